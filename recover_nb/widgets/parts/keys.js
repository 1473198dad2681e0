// Lab has shortcuts for arrow keys, Enter and letters (b adds a cell), and takes them from lists,
// buttons and radios that have the focus. What is pressed inside a view stays there; shortcuts with
// Ctrl, Alt or Meta go on to Lab.
function render({ model, el }) {
  el.setAttribute("role", "none");
  const keep = (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  };
  // Lists and fields of ipywidgets show no tooltip, and number fields without one show "null".
  const tell = () => {
    const tooltips = model.get("tooltips");
    view.querySelectorAll(".widget-label").forEach((label) => {
      if (label.closest(".recover-nb") !== view) return;
      const said = tooltips[label.textContent] || "";
      const controls = label.parentElement.querySelectorAll("select, input");
      if (said) [label, ...controls].forEach((each) => (each.title = said));
      else if (label.title === "null") label.removeAttribute("title");
    });
  };
  let due = 0;
  const drawn = new MutationObserver(() => {
    if (!due) due = requestAnimationFrame(() => { due = 0; tell(); });
  });
  let view = null;
  let asked = 0;
  // A widget is drawn before it is put on the page.
  const hold = () => {
    view = el.closest(".recover-nb");
    if (view) {
      view.addEventListener("keydown", keep);
      drawn.observe(view, { childList: true, subtree: true });
      tell();
    } else asked = requestAnimationFrame(hold);
  };
  hold();
  return () => {
    drawn.disconnect();
    cancelAnimationFrame(due);
    cancelAnimationFrame(asked);
    if (view) view.removeEventListener("keydown", keep);
  };
}
export default { render };
