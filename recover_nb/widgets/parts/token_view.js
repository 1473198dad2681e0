// Draws tokens as text (never as markup) and keeps a roving focus. All that it knows is in its
// traits.
const SHOWN = { " ": "\u00b7", "\n": "\u21b5", "\t": "\u21e5" };
const NAMES = { " ": "space", "\n": "line end", "\t": "tab" };

function visible(text) {
  return Array.from(text, (character) => SHOWN[character] || character).join("") || "\u2205";
}

function spoken(text) {
  return NAMES[text] || text || "empty";
}

// Black or white text, whichever stands out more from an #rrggbb background.
function ink(colour) {
  const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour || "");
  if (!found) return "";
  const [r, g, b] = found.slice(1).map((part) => {
    const share = parseInt(part, 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

function render({ model, el }) {
  el.classList.add("recover-nb-tokens");
  el.setAttribute("role", "listbox");
  let cells = [];

  const move = (place) => {
    if (!cells.length) return;
    const to = Math.max(0, Math.min(place, cells.length - 1));
    model.set("cursor", to);
    model.save_changes();
    cells[to].focus();
  };
  const pin = (place) => {
    model.set("pinned", model.get("pinned") === place ? -1 : place);
    model.set("cursor", place);
    model.save_changes();
  };
  const mark = () => {
    const [first, last] = model.get("window");
    const junction = model.get("junction");
    const cursor = model.get("cursor");
    const pinned = model.get("pinned");
    const differs = new Set(model.get("differs"));
    cells.forEach((cell, i) => {
      cell.classList.toggle("window", i >= first && i <= last && first >= 0);
      cell.classList.toggle("junction", i === junction);
      cell.classList.toggle("fatal", i === model.get("fatal"));
      cell.classList.toggle("differs", differs.has(i));
      cell.classList.toggle("current", i === cursor);
      cell.classList.toggle("pinned", i === pinned);
      cell.setAttribute("aria-selected", String(i === cursor));
      cell.tabIndex = i === Math.max(0, Math.min(cursor, cells.length - 1)) ? 0 : -1;
    });
  };
  const paint = () => {
    const colours = model.get("colours");
    const notes = model.get("notes");
    const tokens = model.get("tokens");
    cells.forEach((cell, i) => {
      cell.firstChild.style.background = colours[i] || "";
      cell.firstChild.style.color = ink(colours[i]);
      const junction = i === model.get("junction") ? ", junction" : "";
      const fatal = i === model.get("fatal") ? ", fatal token: here the answer was lost" : "";
      const label = `token ${i}: ${spoken(tokens[i])}${junction}${fatal}${notes[i] ? `. ${notes[i]}` : ""}`;
      cell.setAttribute("aria-label", label);
      cell.title = label;
    });
    mark();
  };
  // What goes on after each token, below it; and below that the step it belongs to.
  const bars = () => {
    const [values, others] = [model.get("values"), model.get("others")];
    const steps = model.get("steps");
    el.classList.toggle("valued", values.length > 0);
    cells.forEach((cell, i) => {
      cell.querySelector(".value")?.remove();
      cell.querySelector(".step")?.remove();
      if (steps.length) {
        const line = document.createElement("span");
        line.className = `step ${steps[i] || ""}`;
        cell.append(line);
      }
      if (!values.length) return;
      const bar = document.createElement("span");
      bar.className = "value";
      const fill = document.createElement("i");
      fill.style.height = `${100 * (values[i] || 0)}%`;
      bar.append(fill);
      if (others.length) {
        const other = document.createElement("b");
        other.style.bottom = `${100 * (others[i] || 0)}%`;
        bar.append(other);
      }
      cell.firstChild.after(bar);
    });
    paint();
  };
  const draw = () => {
    el.setAttribute("aria-label", model.get("label"));
    cells = model.get("tokens").map((token, i) => {
      const cell = document.createElement("span");
      cell.className = "token";
      cell.setAttribute("role", "option");
      cell.dataset.place = i;
      const text = document.createElement("span");
      text.className = token in SHOWN ? "said mark" : "said";
      text.textContent = visible(token);
      cell.append(text);
      return cell;
    });
    const parts = cells.flatMap((cell, i) =>
      model.get("tokens")[i].includes("\n") ? [cell, document.createElement("br")] : [cell],
    );
    el.replaceChildren(...parts);
    bars();
  };
  const placeOf = (event) => {
    const cell = event.target.closest(".token");
    return cell ? Number(cell.dataset.place) : -1;
  };
  el.addEventListener("click", (event) => {
    const place = placeOf(event);
    if (place >= 0) pin(place);
  });
  el.addEventListener("mouseover", (event) => {
    const place = placeOf(event);
    if (place < 0 || model.get("pinned") >= 0 || place === model.get("cursor")) return;
    model.set("cursor", place);
    model.save_changes();
  });
  el.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Math.max(0, model.get("cursor"));
    const targets = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: cells.length - 1,
      j: model.get("junction"),
      J: model.get("junction"),
    };
    if (event.key === "Enter" || event.key === " ") pin(at);
    else if (event.key in targets && targets[event.key] >= 0) move(targets[event.key]);
    else if (!(event.key in targets)) return;
    // Lab has shortcuts of its own for most of these keys.
    event.preventDefault();
    event.stopPropagation();
  });
  model.on("change:tokens change:label", draw);
  model.on("change:values change:others change:steps", bars);
  model.on("change:colours change:notes change:fatal change:junction", paint);
  model.on("change:cursor change:pinned change:window change:differs", mark);
  draw();
  return () => {
    model.off("change:tokens change:label", draw);
    model.off("change:values change:others change:steps", bars);
    model.off("change:colours change:notes change:fatal change:junction", paint);
    model.off("change:cursor change:pinned change:window change:differs", mark);
  };
}
export default { render };
