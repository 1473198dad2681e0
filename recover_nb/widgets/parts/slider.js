// The browser's own slider, so that it brings focus, keys and speech. Heard when it is let go.
function render({ model, el }) {
  el.classList.add("recover-nb-slider");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const value = document.createElement("span");
  input.type = "range";
  input.id = `slider-${Math.random().toString(36).slice(2)}`;
  label.htmlFor = input.id;
  // The browser says the value of a slider by itself.
  value.setAttribute("aria-hidden", "true");
  el.append(label, input, value);
  const read = () => {
    const digits = (String(model.get("step")).split(".")[1] || "").length;
    value.textContent = Number(input.value).toFixed(digits);
  };
  const draw = () => {
    label.textContent = model.get("description");
    input.title = label.title = model.get("tooltip") || "";
    input.disabled = model.get("disabled");
    ["min", "max", "step", "value"].forEach((name) => (input[name] = model.get(name)));
    read();
  };
  input.addEventListener("input", read);
  input.addEventListener("change", () => {
    model.set("value", Number(input.value));
    model.save_changes();
  });
  const drawn = ["min", "max", "step", "value", "description", "tooltip", "disabled"]
    .map((name) => `change:${name}`)
    .join(" ");
  model.on(drawn, draw);
  draw();
  return () => model.off(drawn, draw);
}
export default { render };
