// Draws what it is given; text is never read as markup.
const SHOWN = { " ": "\u00b7", "\n": "\u21b5", "\t": "\u21e5" };
const seen = (text) => Array.from(text, (each) => SHOWN[each] || each).join("") || "\u2205";
const make = (name, look, text) => {
  const found = document.createElement(name);
  if (look) found.className = look;
  if (text !== undefined) found.textContent = text;
  return found;
};
const share = (value) => {
  if (value === null || value === undefined) return "\u2013";
  return value < 0.005 ? "< 1 %" : `${Math.round(100 * value)} %`;
};

function render({ model, el }) {
  el.classList.add("recover-nb-bars");
  const said = make("p", "sentence");
  said.setAttribute("role", "status");
  const table = make("table");
  el.append(said, table);

  const side = (value, look) => {
    const cell = make("td", look);
    const length = make("i");
    length.style.width = `${Math.round(70 * (value || 0))}%`;
    cell.append(length, make("span", "", share(value)));
    return cell;
  };
  const show = () => {
    const [places, sentences] = [model.get("places"), model.get("sentences")];
    const cursor = model.get("cursor");
    const at = cursor >= 0 && cursor < sentences.length ? cursor : model.get("home");
    said.textContent = sentences[at] || model.get("hint");
    const rows = places[at] || [];
    table.hidden = rows.length === 0;
    const head = make("tr");
    for (const [name, look] of [["the specialist", "left"], ["", ""], ["its ancestor", "right"]]) {
      const cell = make(name ? "th" : "td", look, name);
      if (name) cell.scope = "col";
      head.append(cell);
    }
    const drawn = rows.map((row) => {
      const saved = rows.some((each) => each.rescued);
      const look = row.rescued ? "rescued" : row.emitted && saved ? "emitted fate" : row.emitted ? "emitted" : "";
      const line = make("tr", look);
      const word = make("th", "word");
      word.scope = "row";
      word.append(make("code", "", seen(row.token)));
      word.title = seen(row.token);
      if (row.emitted || row.rescued) word.setAttribute("aria-label", `${row.token}, ${row.emitted ? "written" : "the attempt below wrote this"}`);
      line.append(side(row.specialist, "left"), word, side(row.ancestor, "right"));
      return line;
    });
    table.replaceChildren(head, ...drawn);
  };
  const heard = "change:places change:sentences change:cursor change:home change:hint";
  model.on(heard, show);
  show();
  return () => model.off(heard, show);
}
export default { render };
