// Draws every chart of the page that was written beside its picture, at the width of its place.
// A chart is [place, specification, heard, began]; what was asked for before this came waits in the queue.
// One that changes gives a function that returns its specification, `heard` gets the view of each
// drawing before it is seen, and `began` is told of `again`, which looks for changes, and `end`.
(() => {
  const SETTLED = 150; // Milliseconds after the last change of width.
  const [TITLE, SUBTITLE, NAME] = [8.6, 7, 6.4]; // Pixels of a character.
  const AXIS_TITLE = 26; // Characters of a line of an axis's title in a narrow place.
  const LINE = 11; // Pixels of a line of a name.
  const SYMBOL = 24; // Pixels of a legend's symbol, with the room around it.
  const TRIES = 14;
  const NARROW = 480; // Pixels of a place in which a legend is a column.
  const SHRUNK = 0.6; // A panel gets this narrow before the next goes below it.
  const LEAST = 90; // Pixels of a panel below which nothing is read.
  // Without its mode a row of panels that went below one another is taken for another language.
  // Marks have no words of their own: see `named`.
  const EMBED = { actions: false, renderer: "svg", mode: "vega-lite", config: { aria: false } };

  // Words in lines of at most `most` characters; what is in lines already may get more of them.
  const lines = (text, most) => {
    if (Array.isArray(text)) return text.flatMap((each) => lines(each, most));
    if (typeof text !== "string" || text.length <= most) return text;
    const found = [""];
    for (const word of text.split(" ")) {
      const last = found[found.length - 1];
      if (last && last.length + word.length >= most) found.push(word);
      else found[found.length - 1] = last ? `${last} ${word}` : word;
    }
    return found;
  };

  // A title is as wide as its place at most.
  const titled = (spec, room) => {
    const { title } = spec;
    if (!title) return spec;
    const { text, subtitle, ...rest } = typeof title === "object" && !Array.isArray(title) ? title : { text: title };
    const broken = { ...rest, text: lines(text, Math.floor(room / TITLE)) };
    if (subtitle) broken.subtitle = lines(subtitle, Math.floor(room / SUBTITLE));
    return { ...spec, title: broken };
  };

  // Every encoding of a specification, changed.
  const encoded = (spec, change) => {
    const found = { ...spec };
    for (const key of ["layer", "concat", "hconcat", "vconcat"]) if (spec[key]) found[key] = spec[key].map((each) => encoded(each, change));
    if (spec.spec) found.spec = encoded(spec.spec, change);
    if (spec.encoding) {
      const channels = Object.entries(spec.encoding).map(([name, given]) => [name, change(given, name)]);
      found.encoding = Object.fromEntries(channels);
    }
    if (spec.facet) found.facet = change(spec.facet, "facet");
    return found;
  };

  // In a narrow place a name is what it means, without the name of the code behind it; names and
  // titles of axes are broken into lines, and legends are a column.
  const brief = (part) => (part?.labelExpr ? { ...part, labelExpr: part.labelExpr.replace(/ \([a-z0-9_]+\)"/g, '"') } : part);
  // What is longer than `wide` pixels goes on in a second line.
  const twoLines = (part, wide) => {
    const [said, most] = [part.labelExpr ?? "datum.label", Math.floor(wide / NAME)];
    const broken = `split(replace(${said}, regexp("^(.{1,${most - 1}}[ |])"), "$1\\n"), "\\n")`;
    const long = `isString(${said}) && length(${said}) > ${most}`;
    return { ...part, labelExpr: `${long} ? ${broken} : ${said}`, labelLineHeight: LINE, long };
  };
  // Names take half of the place.
  const halved = (axis, room) => {
    const { long, ...broken } = twoLines(axis, room / 2);
    const labelOffset = { condition: { test: long, value: -LINE / 2 }, value: 0 };
    return { ...broken, labelLimit: room / 2, labelOffset };
  };
  const short = (room) => (given, name) => {
    if (!given || typeof given !== "object" || Array.isArray(given)) return given;
    const found = { ...given };
    for (const key of ["axis", "legend", "header"]) if (given[key]) found[key] = brief(given[key]);
    if (found.legend && name !== "facet") {
      const { long, labelLineHeight, ...legend } = given.legend.type === "gradient" ? found.legend : twoLines(found.legend, room / 2 - SYMBOL);
      found.legend = { ...legend, columns: 1, titleLimit: 0 };
    }
    if (name === "y" && given.axis !== null && (given.type === "nominal" || given.type === "ordinal")) {
      found.axis = halved(found.axis ?? {}, room);
    }
    if (name === "x" && given.axis !== null && given.title) {
      found.title = lines(given.title, AXIS_TITLE);
      // Its lines may be longer than the panel, and have room below the names to the left of it.
      found.axis = { ...found.axis, titleAnchor: "end" };
    }
    if (name === "facet" && given.field && given.header !== null) {
      const { long, ...header } = twoLines(found.header ?? {}, room / 2);
      found.header = { ...header, labelLineHeight: LINE + 2 };
    }
    if (name === "facet") for (const key of ["row", "column"]) if (given[key]) found[key] = short(room)(given[key], "facet");
    return found;
  };
  // The first panel of each row needs the names that the first of all had for one row.
  const labelled = (given, name) => {
    if (name !== "y" || given?.axis?.labels !== false) return given;
    const { labels, ticks, ...axis } = given.axis;
    return { ...given, axis };
  };
  const rowed = (panels, columns) => panels.map((each, at) => (at % columns ? each : encoded(each, labelled)));

  // The first title of the vertical axis.
  const titleOf = (spec) => spec.encoding?.y?.title ?? spec.layer?.map(titleOf).find(Boolean);
  // Rows of panels that are as long as there is room, then what is left of each below them.
  const cut = (rows, across) => {
    const found = [];
    for (let start = 0; start < rows[0].hconcat.length; start += across) {
      for (const row of rows) {
        const [first, ...rest] = row.hconcat.slice(start, start + across);
        const headed = encoded(first, (given, name) => (name === "y" && given.title === null ? { ...given, title: titleOf(row.hconcat[0]) } : given));
        found.push({ ...row, hconcat: [headed, ...rest] });
      }
    }
    return found;
  };

  const gridded = (spec, across) => {
    const { grid } = spec.usermeta;
    return { ...spec, usermeta: { grid, across }, vconcat: cut(grid, across) };
  };

  // Panels side by side go below one another where they do not fit, and so do words of a legend.
  const arranged = (given, wide, room) => {
    const columns = (panel) => Math.max(1, Math.floor(room / (SHRUNK * panel)));
    const spec = room < NARROW ? encoded(given, short(room)) : given;
    const { hconcat, vconcat, ...rest } = spec;
    if (vconcat?.every((row) => row.hconcat)) {
      return gridded({ ...spec, usermeta: { grid: vconcat } }, columns(wide / vconcat[0].hconcat.length));
    }
    if (hconcat) {
      const across = Math.min(hconcat.length, columns(wide / hconcat.length));
      return { ...rest, usermeta: { row: hconcat }, concat: rowed(hconcat, across), columns: across };
    }
    const { facet } = spec;
    // A row of panels, which can go on below.
    if (facet?.column && !facet.row) {
      const panels = facet.column.sort?.length || 1;
      return { ...spec, facet: facet.column, columns: Math.min(panels, columns(wide / panels)) };
    }
    if (spec.facet && spec.columns) {
      const each = wide / Math.min(spec.columns, spec.usermeta?.panels ?? spec.columns);
      return { ...spec, columns: Math.min(spec.columns, columns(each)) };
    }
    return spec;
  };

  // One panel less in a row.
  const fewer = (spec) => {
    const columns = spec.columns - 1;
    return spec.concat ? { ...spec, columns, concat: rowed(spec.usermeta.row, columns) } : { ...spec, columns };
  };

  // Every width that is given in pixels, less `by` pixels.
  const narrowed = (spec, by) => {
    for (const key of ["concat", "vconcat", "hconcat"]) {
      const share = key === "hconcat" ? Math.ceil(by / (spec.hconcat?.length || 1)) : by;
      if (spec[key]) return { ...spec, [key]: spec[key].map((each) => narrowed(each, share)) };
    }
    if (spec.spec) return { ...spec, spec: narrowed(spec.spec, by) };
    if (typeof spec.width !== "number") return spec;
    return { ...spec, width: Math.max(LEAST, spec.width - by) };
  };

  // A chart is heard as one picture with a sentence that says what it shows, not as its ticks and
  // marks. Marks have figures on hover, and tables have them all.
  const named = (place, said) => {
    const drawing = place.querySelector("svg.marks");
    if (!drawing) return;
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", said || "chart");
    drawing.removeAttribute("aria-hidden");
    // Brushes and rules call themselves pictures, and have no words.
    for (const part of drawing.children) part.setAttribute("aria-hidden", "true");
    cornered(drawing);
  };

  // Vega counts pixels from the corner of a drawing, but those of the screen: on a page that is
  // zoomed (the beamer's) they are others, and the corner is where the pointer makes it right.
  let pointer = { clientX: 0, clientY: 0 };
  const point = (event) => (pointer = event.changedTouches?.[0] ?? event);
  for (const way of ["down", "move", "up"]) window.addEventListener(`pointer${way}`, point, true);
  const cornered = (drawing) => {
    const measured = () => SVGElement.prototype.getBoundingClientRect.call(drawing);
    drawing.getBoundingClientRect = () => {
      const [box, zoom] = [measured(), drawing.currentCSSZoom ?? 1];
      const from = (at, corner) => at - (at - corner) / zoom;
      return zoom === 1 ? box : new DOMRect(from(pointer.clientX, box.left), from(pointer.clientY, box.top), box.width, box.height);
    };
  };

  // As it was drawn: a page may shrink a drawing to its place, or zoom.
  const width = (place) => Number(place.querySelector("svg.marks")?.getAttribute("width") ?? 0);

  const bare = ({ datasets, description, ...rest }) => JSON.stringify(rest);

  const draw = ([place, given, heard = () => {}, began = () => {}]) => {
    if (!place || !given) return;
    let shown, drawn, room, spec, looks, column;
    const fit = async () => {
      const now = typeof given === "function" ? given() : given;
      const wide = place.clientWidth;
      if (!wide || (wide === room && now === drawn)) return;
      // Other rows of the same chart fit as the last ones did.
      const [before, fitted] = [looks, room];
      [room, drawn, looks] = [wide, now, bare(now)];
      const known = wide === fitted && looks === before;
      spec = known ? { ...spec, datasets: now.datasets } : titled(now, room);
      if (!known) column = room < NARROW;
      // Measured out of sight, then put in the place of what was there: nothing flickers.
      const stage = document.createElement("div");
      stage.style.cssText = "position:absolute;visibility:hidden;top:0;left:0";
      place.append(stage);
      let view;
      let last = Infinity;
      try {
        for (let tries = known ? 1 : 0; tries < TRIES; tries += 1) {
          view?.finalize();
          view = await window.vegaEmbed(stage, spec, EMBED);
          const over = width(stage) - room;
          if (over <= 1) break;
          const stuck = over >= last;
          let next = spec;
          if (tries === 0) next = arranged(spec, width(stage), room);
          else if (stuck && spec.columns > 1) next = fewer(spec);
          else if (stuck && spec.usermeta?.across > 1) next = gridded(spec, spec.usermeta.across - 1);
          else if (stuck && !column) {
            // It is the legend that is too wide.
            column = true;
            next = encoded(spec, short(room));
          }
          // Narrower than its least is no panel: where that does not do, one goes below.
          last = next === spec ? over : Infinity;
          // Laid out anew it may fit already; a second look says by how much each panel is too wide.
          const across = next.concat ? next.columns : next.facet?.row ? 1 : next.columns || 1;
          spec = next === spec ? narrowed(spec, Math.ceil(over / across)) : next;
        }
      } catch (error) {
        stage.remove();
        looks = undefined;
        throw error;
      }
      named(stage, now.description);
      await heard(view.view);
      shown?.finalize();
      shown = view;
      stage.style.cssText = "";
      place.replaceChildren(stage);
      place.dataset.live = "yes";
    };
    let [busy, wanted, ended] = [false, false, false];
    const again = async () => {
      wanted = true;
      if (busy) return;
      busy = true;
      while (wanted && !ended) {
        wanted = false;
        await fit().catch((error) => console.error(error)); // What was there stays.
      }
      busy = false;
    };
    Object.assign(place.style, { position: "relative", overflowX: "clip" });
    let waits;
    const observer = new ResizeObserver(() => {
      clearTimeout(waits);
      waits = setTimeout(again, SETTLED);
    });
    observer.observe(place);
    const end = () => {
      ended = true;
      observer.disconnect();
      clearTimeout(waits);
      shown?.finalize();
    };
    began({ again, end });
    again();
  };

  const waiting = window.recoverCharts || [];
  window.recoverCharts = { push: draw };
  waiting.forEach(draw);
})();
