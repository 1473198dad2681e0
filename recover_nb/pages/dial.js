// Turns the cost dial: shows the figures of a budget, which Python has worked out.
export function dial(place, told) {
  const one = (name) => place.querySelector(name);
  const slider = one(".dial-slider input");
  const count = one(".dial-count input");
  const figures = [...place.querySelectorAll(".dial-one")].map((card, at) => ({
    card,
    ...told.strategies[at],
    cells: [...card.querySelectorAll(".dial-square i")],
    square: card.querySelector(".dial-square"),
    number: card.querySelector(".dial-number b"),
    against: card.querySelector(".dial-against"),
    operator: card.querySelector(".dial-operator"),
  }));

  const show = () => {
    const at = Number(slider.value);
    const way = count.checked ? "counted" : "solved";
    const budget = told.budgets[at];
    const [retry] = figures;
    for (const each of figures) {
      const n = each[way][at];
      each.cells.forEach((cell, place) => cell.classList.toggle("on", place < n));
      each.square.setAttribute("aria-label", `${each.name}: ${n} of 100 solved`);
      each.number.textContent = n;
      const more = n - retry[way][at];
      each.against.textContent = count.checked && each.upfront
        ? `still reading: that takes ${each.upfront.toLocaleString("en")} passes`
        : each === retry || !budget ? "" : more === 0 ? "as many as retrying" : `${Math.abs(more)} ${more > 0 ? "more" : "fewer"} than retrying`;
      if (each.operator) each.operator.textContent = told.operators[at];
    }
    one(".dial-budget b").textContent = budget;
    const tries = `about ${told.tries[at]} tries of the model`;
    one(".dial-tries").textContent = tries;
    slider.setAttribute("aria-valuetext", `${budget} forward passes per problem, ${tries}`);
    one(".dial-said").textContent = told[count.checked ? "counted_sentences" : "sentences"][at];
  };
  slider.addEventListener("input", show);
  count.addEventListener("change", show);
  // JupyterLab would take the arrow keys for its own.
  place.dataset.lmSuppressShortcuts = "true";
  place.addEventListener("keydown", (event) => event.stopPropagation());
  place.classList.add("dial-live");
  show();
}
