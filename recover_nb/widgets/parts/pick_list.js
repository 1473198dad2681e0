// A list box. Items are made once; which are shown is a matter of hiding the others.
const PAGE = 8;

function render({ model, el }) {
  el.classList.add("recover-nb-picks");
  const list = document.createElement("div");
  list.className = "list";
  list.setAttribute("role", "listbox");
  const note = document.createElement("p");
  note.setAttribute("role", "status");
  el.append(list, note);
  let items = new Map();

  const visible = () => model.get("shown").map((key) => items.get(key)).filter(Boolean);
  const mark = () => {
    const chosen = model.get("chosen");
    const shown = visible();
    const stop = shown.includes(items.get(chosen)) ? items.get(chosen) : shown[0];
    items.forEach((item, key) => {
      item.setAttribute("aria-selected", String(key === chosen));
      item.tabIndex = item === stop ? 0 : -1;
    });
    reveal(items.get(chosen));
  };
  // Never the page: only the list scrolls.
  const reveal = (item) => {
    if (!item || item.hidden) return;
    const [top, bottom] = [item.offsetTop, item.offsetTop + item.offsetHeight];
    if (top < list.scrollTop) list.scrollTop = top;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
  };
  const filter = () => {
    const shown = new Set(model.get("shown"));
    items.forEach((item, key) => (item.hidden = !shown.has(key)));
    note.textContent = model.get("note");
    list.scrollTop = 0;
    mark();
  };
  const draw = () => {
    const [heads, abouts, texts] = ["heads", "abouts", "texts"].map((name) => model.get(name));
    list.setAttribute("aria-label", model.get("label"));
    items = new Map(
      model.get("places").map((key, i) => {
        const item = document.createElement("div");
        item.setAttribute("role", "option");
        item.dataset.key = key;
        const head = document.createElement("b");
        head.textContent = heads[i];
        const about = document.createElement("code");
        about.textContent = abouts[i];
        const text = document.createElement("span");
        text.textContent = texts[i];
        item.title = `${heads[i]}: ${texts[i]}`;
        item.append(head, about, text);
        return [key, item];
      }),
    );
    list.replaceChildren(...items.values());
    filter();
  };
  const choose = (item) => {
    if (!item) return;
    model.set("chosen", Number(item.dataset.key));
    model.save_changes();
    mark();
  };
  list.addEventListener("click", (event) => choose(event.target.closest("[role=option]")));
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shown = visible();
    const at = shown.indexOf(event.target.closest("[role=option]"));
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + PAGE,
      PageUp: at - PAGE,
      Home: 0,
      End: shown.length - 1,
      Enter: at,
      " ": at,
    }[event.key];
    if (to === undefined || !shown.length) return;
    const item = shown[Math.max(0, Math.min(to, shown.length - 1))];
    choose(item);
    item.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
  });
  model.on("change:places change:heads change:abouts change:texts change:label", draw);
  model.on("change:shown change:note", filter);
  model.on("change:chosen", mark);
  draw();
  // Until it is on the page it has no height to scroll in.
  const sized = new ResizeObserver(() => reveal(items.get(model.get("chosen"))));
  sized.observe(list);
  return () => {
    sized.disconnect();
    model.off("change:places change:heads change:abouts change:texts change:label", draw);
    model.off("change:shown change:note", filter);
    model.off("change:chosen", mark);
  };
}
export default { render };
