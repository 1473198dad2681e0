// Toggle buttons, so that the browser brings focus and speech. Text is never read as markup.
function render({ model, el }) {
  el.classList.add("recover-nb-chips");
  el.setAttribute("role", "group");
  let buttons = [];
  const mark = () => {
    const chosen = model.get("chosen");
    const options = model.get("options");
    buttons.forEach((each, i) => each.setAttribute("aria-pressed", String(chosen.includes(options[i]))));
  };
  const toggle = (option) => {
    const before = new Set(model.get("single") ? [] : model.get("chosen"));
    if (!before.delete(option)) before.add(option);
    model.set("chosen", model.get("options").filter((each) => before.has(each)));
    model.save_changes();
    mark();
  };
  const draw = () => {
    const [texts, tooltips] = [model.get("texts"), model.get("tooltips")];
    el.classList.toggle("single", model.get("single"));
    const label = document.createElement("span");
    label.textContent = model.get("label");
    el.setAttribute("aria-label", model.get("label"));
    buttons = model.get("options").map((option, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = texts[i] || option;
      button.title = tooltips[i] || `${model.get("label")}: ${button.textContent}`;
      button.addEventListener("click", () => toggle(option));
      return button;
    });
    el.replaceChildren(label, ...buttons);
    el.hidden = buttons.length === 0;
    mark();
  };
  model.on("change:options change:texts change:tooltips change:label", draw);
  model.on("change:chosen", mark);
  draw();
  return () => {
    model.off("change:options change:texts change:tooltips change:label", draw);
    model.off("change:chosen", mark);
  };
}
export default { render };
