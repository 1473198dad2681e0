// Draws a page of rows as text (never as markup) and keeps a roving focus. Sorting and paging are
// asked for, not done.
function make(name, text, parent) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function render({ model, el }) {
  el.classList.add("recover-nb-table");
  const scroll = make("div", "", el);
  scroll.className = "scroll";
  const table = make("table", "", scroll);
  table.setAttribute("role", "grid");
  const head = make("tr", "", table.createTHead());
  const body = table.createTBody();
  const pager = make("div", "", el);
  pager.className = "pager";
  const back = make("button", "Previous", pager);
  const place = make("span", "", pager);
  const next = make("button", "Next", pager);
  back.type = next.type = "button";
  place.setAttribute("role", "status");
  let rows = [];
  let at = 0;
  let follow = false;

  const ask = (changes) => {
    Object.entries(changes).forEach(([name, value]) => model.set(name, value));
    model.save_changes();
  };
  const focusable = () => rows.forEach((row, i) => { row.tabIndex = i === at ? 0 : -1; });
  const move = (to) => {
    if (!rows.length) return;
    at = Math.max(0, Math.min(to, rows.length - 1));
    focusable();
    rows[at].focus();
  };
  const turn = (step) => {
    const page = model.get("page") + step;
    if (page < 0 || page >= model.get("pages")) return;
    at = 0;
    ask({ page });
  };
  const choose = (i) => {
    at = i;
    focusable();
    ask({ chosen: model.get("row_keys")[i] });
  };
  const order = (name) => {
    const again = model.get("sort") === name;
    ask({ sort: name, descending: again && !model.get("descending"), page: 0 });
  };

  // Shape says what colour says: an arrow at the sorted column, a mark before the chosen row.
  const mark = () => {
    const keys = model.get("row_keys");
    rows.forEach((row, i) => {
      const chosen = keys[i] === model.get("chosen");
      row.classList.toggle("chosen", chosen);
      row.setAttribute("aria-selected", String(chosen));
      row.firstChild.textContent = chosen ? "\u25b8" : "";
    });
  };
  const heads = () => {
    const sort = model.get("sort");
    const way = model.get("descending") ? "descending" : "ascending";
    [...head.cells].slice(1).forEach((cell, i) => {
      const { name, title } = model.get("columns")[i];
      const here = name === sort;
      cell.setAttribute("aria-sort", here ? way : "none");
      const arrow = way === "ascending" ? " \u25b2" : " \u25bc";
      cell.firstChild.textContent = title + (here ? arrow : "");
    });
  };
  const drawHead = () => {
    head.replaceChildren();
    make("th", "", head).setAttribute("aria-label", "chosen");
    model.get("columns").forEach(({ name, title, number }) => {
      const cell = make("th", "", head);
      cell.scope = "col";
      cell.classList.toggle("number", number);
      const button = make("button", title, cell);
      button.type = "button";
      button.addEventListener("click", () => order(name));
    });
    heads();
  };
  const draw = () => {
    const columns = model.get("columns");
    const held = follow || body.contains(el.getRootNode().activeElement);
    table.setAttribute("aria-label", model.get("label"));
    rows = model.get("rows").map((texts, i) => {
      const row = document.createElement("tr");
      row.dataset.place = i;
      make("td", "", row).setAttribute("aria-hidden", "true");
      texts.forEach((text, c) => {
        const cell = make("td", text, row);
        cell.classList.toggle("number", Boolean(columns[c] && columns[c].number));
      });
      return row;
    });
    body.replaceChildren(...rows);
    const chosen = model.get("row_keys").indexOf(model.get("chosen"));
    at = chosen >= 0 && !held ? chosen : Math.max(0, Math.min(at, rows.length - 1));
    focusable();
    mark();
    if (held && rows.length) rows[at].focus();
    follow = false;
    const [page, pages] = [model.get("page"), model.get("pages")];
    place.textContent = `page ${page + 1} of ${pages}, ${model.get("note")}`;
    back.disabled = page <= 0;
    next.disabled = page >= pages - 1;
  };
  // Several traits change together: draw once.
  let due = false;
  const later = () => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      draw();
    });
  };
  back.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) choose(Number(row.dataset.place));
  });
  body.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 };
    const turns = { PageDown: 1, PageUp: -1 };
    if (event.key === "Enter" || event.key === " ") choose(at);
    else if (event.key in moves) move(moves[event.key]);
    else if (event.key in turns) {
      follow = true;
      turn(turns[event.key]);
    } else return;
    // Lab has shortcuts of its own for most of these keys.
    event.preventDefault();
    event.stopPropagation();
  });
  const drawAll = () => {
    drawHead();
    later();
  };
  const listening = {
    "change:columns": drawAll,
    "change:rows change:row_keys change:label change:note change:page change:pages": later,
    "change:sort change:descending": heads,
    "change:chosen": mark,
  };
  Object.entries(listening).forEach(([events, react]) => model.on(events, react));
  drawAll();
  return () => Object.entries(listening).forEach(([events, react]) => model.off(events, react));
}
export default { render };
