// What waits for a prediction: a sentence, and a button that does not wait.
function render({ model, el }) {
  const place = document.createElement("div");
  place.className = "recover-nb-later";
  place.tabIndex = -1;
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", "waits for a prediction");
  const words = document.createElement("p");
  words.textContent = "Answer the prediction above first.";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "show it anyway";
  button.setAttribute("aria-label", `show it anyway, before the answer to: ${model.get("question")}`);
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  let pressed = false;
  button.addEventListener("click", () => {
    pressed = true;
    status.textContent = "Working it out \u2026";
    model.set("opened", true);
    model.save_changes();
  });
  const show = () => {
    words.hidden = button.hidden = model.get("opened");
    if (model.get("done") || !model.get("opened")) status.textContent = model.get("message");
    if (model.get("done") && pressed) place.focus();
  };
  model.on("change:opened change:done change:message", show);
  show();
  place.append(words, button, status);
  el.append(place);
  return () => model.off("change:opened change:done change:message", show);
}
export default { render };
