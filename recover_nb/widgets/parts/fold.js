function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "recover-nb-unfold";
  const show = () => {
    const open = model.get("unfolded");
    button.setAttribute("aria-expanded", String(open));
    button.title = `${open ? "hide" : "show"} what is under ${model.get("title")}`;
    button.textContent = `${open ? "\u25be" : "\u25b8"} ${model.get("title")}`;
  };
  button.addEventListener("click", () => {
    model.set("unfolded", !model.get("unfolded"));
    model.save_changes();
  });
  model.on("change:unfolded change:title", show);
  show();
  el.append(button);
  return () => model.off("change:unfolded change:title", show);
}
export default { render };
