// Makes the notebook around a place one for the beamer. The bar goes with the output that holds it.
export function present(place, on) {
  // JupyterLab runs an output's script before the output is on the page.
  const begin = (tries) => {
    if (!place.isConnected && tries) return setTimeout(() => begin(tries - 1), 100);
    const page = place.closest(".jp-Notebook") || document.body;
    const scroller = () => [page.querySelector(".jp-WindowedPanel-outer"), page].find(
      (each) => each && each.scrollHeight > each.clientHeight + 4) || document.scrollingElement;
    page.querySelectorAll(".recover-nb-bar").forEach((bar) => bar.remove());
    page.classList.toggle("recover-nb-present", on);
    page.classList.remove("recover-nb-code");
    if (!on) {
      place.textContent = "The notebook as it was.";
      return undefined;
    }
    const bar = document.createElement("div");
    bar.className = "recover-nb-bar";
    bar.setAttribute("role", "toolbar");
    bar.setAttribute("aria-label", "presentation");
    const button = (words, name, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = words;
      if (name) made.setAttribute("aria-label", name);
      made.addEventListener("click", () => act(made));
      bar.append(made);
    };
    const go = (way) => {
      const outer = scroller();
      const top = outer === document.scrollingElement ? 0 : outer.getBoundingClientRect().top;
      const heads = [...page.querySelectorAll("h1, h2")].filter((each) => each.offsetParent)
        .map((each) => each.getBoundingClientRect().top - top - 12);
      const step = way > 0 ? heads.find((each) => each > 48) : heads.filter((each) => each < -8).pop();
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (step !== undefined) outer.scrollBy({ top: step, behavior: calm ? "auto" : "smooth" });
    };
    button("\u25c0", "previous idea", () => go(-1));
    button("\u25b6", "next idea", () => go(1));
    // Voila has none.
    if (page.querySelector(".jp-CodeCell .jp-InputArea-editor")) {
      button("show code", "", (made) => {
        const shown = page.classList.toggle("recover-nb-code");
        made.textContent = shown ? "hide code" : "show code";
      });
    }
    // Keys pressed in the bar are not the notebook's.
    bar.addEventListener("keydown", (event) => event.stopPropagation());
    place.replaceChildren(bar);
    return undefined;
  };
  begin(50);
}
