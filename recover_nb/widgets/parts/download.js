// Asks the kernel for a file and hands it to the browser. No file leaves the machine.
function render({ model, el }) {
  el.classList.add("recover-nb-download");
  const what = document.createElement("select");
  what.setAttribute("aria-label", "what to save");
  what.title = "which chart or table is saved";
  const format = document.createElement("select");
  format.setAttribute("aria-label", "format");
  format.title = "as which kind of file";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Save";
  button.title = "save it as a file, through the browser";
  el.append(what, format, button);

  const fill = (select, values, kept) => {
    select.replaceChildren(...values.map((value) => new Option(value, value)));
    if (values.includes(kept)) select.value = kept;
  };
  const formats = () => fill(format, model.get("items")[what.value] || [], format.value);
  const update = () => {
    fill(what, Object.keys(model.get("items")), what.value);
    formats();
    el.hidden = what.options.length === 0;
  };
  const save = ({ file }, buffers) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([buffers[0]]));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const ask = () => model.send({ name: what.value, format: format.value });
  what.addEventListener("change", formats);
  button.addEventListener("click", ask);
  model.on("change:items", update);
  model.on("msg:custom", save);
  update();
  return () => {
    model.off("change:items", update);
    model.off("msg:custom", save);
  };
}
export default { render };
