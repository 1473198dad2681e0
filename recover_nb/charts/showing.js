// Draws every chart of the page that was written beside its picture, at the width of its place.
// A chart is [place, specification]; what was asked for before this came waits in the queue.
(() => {
  const SETTLED = 150; // Milliseconds after the last change of width.
  const LEAST = 140; // Pixels of a panel below which nothing is read.

  // Panels side by side go below one another where they do not fit.
  const arranged = (spec, wide, room) => {
    const columns = (panel) => Math.max(1, Math.floor(room / panel));
    const { hconcat, ...rest } = spec;
    if (hconcat) return { ...rest, concat: hconcat, columns: columns(wide / hconcat.length) };
    if (spec.facet && spec.columns) {
      const each = wide / Math.min(spec.columns, spec.usermeta?.panels ?? spec.columns);
      return { ...spec, columns: Math.min(spec.columns, columns(each)) };
    }
    return spec;
  };

  // Every width that is given in pixels, less `by` pixels.
  const narrowed = (spec, by) => {
    const panels = spec.concat || spec.vconcat;
    if (panels) {
      const key = spec.concat ? "concat" : "vconcat";
      return { ...spec, [key]: panels.map((each) => narrowed(each, by)) };
    }
    if (spec.spec) return { ...spec, spec: narrowed(spec.spec, by) };
    if (typeof spec.width !== "number") return spec;
    return { ...spec, width: Math.max(LEAST, spec.width - by) };
  };

  const width = (place) => place.querySelector("svg.marks")?.getBoundingClientRect().width ?? 0;

  const draw = async ([place, given]) => {
    if (!place || !given) return;
    const options = { actions: false, renderer: "svg" };
    const stage = document.createElement("div");
    let shown, drawn;
    const fit = async () => {
      const room = place.clientWidth;
      if (!room || room === drawn) return;
      drawn = room;
      let spec = given;
      for (let tries = 0; tries < 3; tries += 1) {
        shown?.finalize();
        shown = await window.vegaEmbed(stage, spec, options);
        if (!stage.parentNode) place.replaceChildren(stage);
        const over = width(stage) - room;
        if (over <= 1) break;
        const next = tries === 0 ? arranged(spec, width(stage), room) : spec;
        // Laid out anew it may fit already; a second look says by how much each panel is too wide.
        const across = next.concat ? next.columns : next.facet?.row ? 1 : next.columns || 1;
        spec = next === spec ? narrowed(spec, Math.ceil(over / across)) : next;
      }
      place.dataset.live = "yes";
    };
    try {
      stage.className = "recover-nb-chart-live";
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
