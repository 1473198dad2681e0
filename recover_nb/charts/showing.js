// Draws every chart of the page that was written beside its picture, at the width of its place.
// A chart is [place, specification]; what was asked for before this came waits in the queue.
(() => {
  const SETTLED = 150; // Milliseconds after the last change of width.
  const [TITLE, SUBTITLE] = [8.6, 7]; // Pixels of a character.
  const AXIS_TITLE = 26; // Characters of a line of an axis's title in a narrow place.
  const TRIES = 14;
  const NARROW = 480; // Pixels of a place in which a legend is a column.
  const SHRUNK = 0.6; // A panel gets this narrow before the next goes below it.
  const LEAST = 120; // Pixels of a panel below which nothing is read.

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

  // In a narrow place a name is what it means, without the name of the code behind it; titles of
  // axes are broken into lines, and legends are a column.
  const brief = (part) => (part?.labelExpr ? { ...part, labelExpr: part.labelExpr.replace(/ \([a-z0-9_]+\)"/g, '"') } : part);
  const short = (room) => (given, name) => {
    if (!given || typeof given !== "object" || Array.isArray(given)) return given;
    const found = { ...given };
    for (const key of ["axis", "legend", "header"]) if (given[key]) found[key] = brief(given[key]);
    if (found.legend && name !== "facet") found.legend = { ...found.legend, columns: 1, titleLimit: 0 };
    if (name === "y" && found.axis?.labelLimit) found.axis = { ...found.axis, labelLimit: 0.6 * room };
    if (name === "x" && given.title) found.title = lines(given.title, AXIS_TITLE);
    if (name === "facet") for (const key of ["row", "column"]) if (given[key]) found[key] = short(room)(given[key], key);
    return found;
  };
  // The first panel of each row needs the names that the first of all had for one row.
  const labelled = (given, name) => {
    if (name !== "y" || given?.axis?.labels !== false) return given;
    const { labels, ticks, ...axis } = given.axis;
    return { ...given, axis };
  };
  const rowed = (panels, columns) => panels.map((each, at) => (at % columns ? each : encoded(each, labelled)));

  // Panels side by side go below one another where they do not fit, and so do words of a legend.
  const arranged = (given, wide, room) => {
    const columns = (panel) => Math.max(1, Math.floor(room / (SHRUNK * panel)));
    const spec = room < NARROW ? encoded(given, short(room)) : given;
    const { hconcat, ...rest } = spec;
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

  const width = (place) => place.querySelector("svg.marks")?.getBoundingClientRect().width ?? 0;

  const draw = async ([place, given]) => {
    if (!place || !given) return;
    let shown, drawn;
    const fit = async () => {
      const room = place.clientWidth;
      if (!room || room === drawn) return;
      drawn = room;
      // Measured out of sight, then put in the place of what was there: nothing flickers.
      const stage = document.createElement("div");
      stage.style.cssText = "position:absolute;visibility:hidden;top:0;left:0";
      place.append(stage);
      let spec = titled(given, room);
      let view;
      let last = Infinity;
      for (let tries = 0; tries < TRIES; tries += 1) {
        view?.finalize();
        view = await window.vegaEmbed(stage, spec, { actions: false, renderer: "svg" });
        const over = width(stage) - room;
        if (over <= 1) break;
        const next = tries === 0 ? arranged(spec, width(stage), room) : over >= last && spec.columns > 1 ? fewer(spec) : spec;
        // Narrower than its least is no panel: where that does not do, one goes below.
        last = next === spec ? over : Infinity;
        // Laid out anew it may fit already; a second look says by how much each panel is too wide.
        const across = next.concat ? next.columns : next.facet?.row ? 1 : next.columns || 1;
        spec = next === spec ? narrowed(spec, Math.ceil(over / across)) : next;
      }
      shown?.finalize();
      shown = view;
      stage.style.cssText = "";
      place.replaceChildren(stage);
      place.dataset.live = "yes";
    };
    try {
      Object.assign(place.style, { position: "relative", overflowX: "clip" });
      await fit();
      let waits;
      new ResizeObserver(() => {
        clearTimeout(waits);
        waits = setTimeout(fit, SETTLED);
      }).observe(place);
    } catch (error) {
      console.error(error); // The picture stays.
    }
  };

  const waiting = window.recoverCharts || [];
  window.recoverCharts = { push: draw };
  waiting.forEach(draw);
})();
