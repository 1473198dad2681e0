// Draws a page of rows as text (never as markup) and keeps a roving focus. Searching, sorting, paging
// and the choice of columns are asked for, not done. Tab goes through the search, the columns, the
// headings, the rows (one stop) and the pager.
const STEP = 80;
// Milliseconds without another letter until a search is asked for.
const REST = 150;

function make(name, text, parent) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function button(text, tooltip, parent) {
  const element = make("button", text, parent);
  element.type = "button";
  element.title = tooltip;
  return element;
}

function searching(model, parent) {
  const label = make("label", "search", parent);
  const field = make("input", "", label);
  field.type = "search";
  label.title = field.title = "show only rows with all of these words, in any column";
  let waiting = 0;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      waiting = 0;
      model.set("search", field.value);
      model.set("page", 0);
      model.save_changes();
    }, REST);
  });
  // What is being typed is newer than what Python says of it.
  return () => {
    if (!waiting && field.value !== model.get("search")) field.value = model.get("search");
  };
}

function choosing(model, parent, el) {
  const open = button("columns", "choose which columns are shown", parent);
  const menu = make("fieldset", "", parent);
  menu.id = `columns-${Math.random().toString(36).slice(2)}`;
  open.setAttribute("aria-controls", menu.id);
  let boxes = [];
  const unfold = (unfolded) => {
    menu.hidden = !unfolded;
    open.setAttribute("aria-expanded", String(unfolded));
  };
  const ask = (names) => {
    model.set("chosen_columns", names);
    model.save_changes();
  };
  const mark = () => {
    const shown = model.get("columns").map(({ name }) => name);
    boxes.forEach((box) => (box.checked = shown.includes(box.value)));
  };
  const draw = () => {
    menu.replaceChildren();
    make("legend", "columns to show", menu);
    boxes = model.get("offered").map(({ name, title }) => {
      const label = make("label", "", menu);
      const box = make("input", "", label);
      label.append(title);
      label.title = box.title = `show the column ${title}`;
      Object.assign(box, { type: "checkbox", value: name });
      return box;
    });
    button("as at first", "show the columns that were there at first", menu)
      .addEventListener("click", () => ask([]));
    open.hidden = boxes.length < 2;
    mark();
  };
  open.addEventListener("click", () => unfold(menu.hidden));
  menu.addEventListener("change", () =>
    ask(boxes.filter((box) => box.checked).map((box) => box.value)),
  );
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.hidden || !parent.contains(event.target)) return;
    unfold(false);
    open.focus();
    event.stopPropagation();
  });
  unfold(false);
  return { draw, mark };
}

function render({ model, el }) {
  el.classList.add("recover-nb-table");
  const tools = make("div", "", el);
  tools.className = "tools";
  const search = searching(model, tools);
  const menu = choosing(model, tools, el);
  const scroll = make("div", "", el);
  scroll.className = "scroll";
  const table = make("table", "", scroll);
  table.setAttribute("role", "grid");
  const head = make("tr", "", table.createTHead());
  const body = table.createTBody();
  const pager = make("div", "", el);
  pager.className = "pager";
  const back = button("Previous", "the page before", pager);
  const place = make("span", "", pager);
  const next = button("Next", "the page after", pager);
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
      // Said by aria-sort already.
      cell.firstChild.textContent = title;
      const arrow = make("span", here ? (way === "ascending" ? " \u25b2" : " \u25bc") : "", cell.firstChild);
      arrow.setAttribute("aria-hidden", "true");
    });
  };
  const drawHead = () => {
    const held = [...head.cells].findIndex((cell) => cell.contains(el.getRootNode().activeElement));
    head.replaceChildren();
    make("td", "", head);
    model.get("columns").forEach(({ name, title, number }) => {
      const cell = make("th", "", head);
      cell.scope = "col";
      cell.classList.toggle("number", number);
      button("", `sort by ${title}; again: the other way`, cell)
        .addEventListener("click", () => order(name));
    });
    heads();
    if (held > 0 && head.cells[held]) head.cells[held].firstChild.focus();
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
    place.textContent = pages > 1 ? `page ${page + 1} of ${pages}, ${model.get("note")}` : model.get("note");
    // What fits on one page is neither searched nor turned.
    const whole = pages <= 1;
    tools.firstChild.hidden = whole && !model.get("search");
    back.hidden = next.hidden = whole;
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
    const across = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 };
    const turns = { PageDown: 1, PageUp: -1 };
    if (event.key === "Enter" || event.key === " ") choose(at);
    else if (across) scroll.scrollBy({ left: across });
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
    menu.mark();
    later();
  };
  // Lab has shortcuts of its own, which it takes from buttons too.
  el.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
  const listening = {
    "change:columns": drawAll,
    "change:offered": menu.draw,
    "change:search": search,
    "change:rows change:row_keys change:label change:note change:page change:pages": later,
    "change:sort change:descending": heads,
    "change:chosen": mark,
  };
  Object.entries(listening).forEach(([events, react]) => model.on(events, react));
  menu.draw();
  search();
  drawAll();
  return () => Object.entries(listening).forEach(([events, react]) => model.off(events, react));
}
export default { render };
