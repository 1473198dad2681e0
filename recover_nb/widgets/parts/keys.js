// Lab has shortcuts for arrow keys, Enter and letters (b adds a cell), and takes them from lists,
// buttons and radios that have the focus. What is pressed inside a view stays there; shortcuts with
// Ctrl, Alt or Meta go on to Lab.
function render({ el }) {
  el.setAttribute("role", "none");
  const keep = (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  };
  let view = null;
  let asked = 0;
  // A widget is drawn before it is put on the page.
  const hold = () => {
    view = el.closest(".recover-nb");
    if (view) view.addEventListener("keydown", keep);
    else asked = requestAnimationFrame(hold);
  };
  hold();
  return () => {
    cancelAnimationFrame(asked);
    if (view) view.removeEventListener("keydown", keep);
  };
}
export default { render };
