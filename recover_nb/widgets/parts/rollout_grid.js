// Radio buttons, so that the browser brings focus, arrow keys and speech. Text is never read as
// markup.
function render({ model, el }) {
  const field = document.createElement("fieldset");
  field.className = "recover-nb-rollouts";
  const legend = document.createElement("legend");
  const grid = document.createElement("div");
  field.append(legend, grid);
  el.append(field);
  // Radios of one name exclude each other across the whole page: every view needs its own.
  const name = `rollouts-${Math.random().toString(36).slice(2)}`;
  let radios = [];

  const mark = () => {
    const chosen = model.get("chosen");
    radios.forEach((radio, i) => {
      radio.checked = i === chosen;
    });
  };
  const draw = () => {
    const [colours, notes] = [model.get("colours"), model.get("notes")];
    legend.textContent = model.get("label");
    grid.style.gridTemplateColumns = `repeat(${model.get("columns")}, max-content)`;
    const focused = radios.indexOf(document.activeElement);
    radios = [];
    const cells = model.get("texts").map((text, i) => {
      const radio = document.createElement("input");
      radio.type = "radio";
      radio.name = name;
      radio.value = i;
      radio.setAttribute("aria-label", notes[i] || text);
      const cell = document.createElement("label");
      cell.title = notes[i] || text;
      cell.style.background = colours[i] || "";
      cell.append(radio, text);
      radios.push(radio);
      return cell;
    });
    grid.replaceChildren(...cells);
    field.hidden = cells.length === 0;
    mark();
    if (focused >= 0 && radios[focused]) radios[focused].focus();
  };
  grid.addEventListener("change", (event) => {
    model.set("chosen", Number(event.target.value));
    model.save_changes();
  });
  // Lab has shortcuts of its own for arrow keys.
  grid.addEventListener("keydown", (event) => event.stopPropagation());
  const drawn = "change:texts change:colours change:notes change:columns change:label";
  model.on(drawn, draw);
  model.on("change:chosen", mark);
  draw();
  return () => {
    model.off(drawn, draw);
    model.off("change:chosen", mark);
  };
}
export default { render };
