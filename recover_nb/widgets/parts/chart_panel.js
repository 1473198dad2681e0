// Draws a chart at the width of its place, tells what the reader selects in it, and sets its
// parameters. One library draws every chart of the page (charts/showing.js): the first brings it.
const SETTLED = 120; // Milliseconds a brush has not moved for when it is heard.

const bring = async (model) => {
  if (window.recoverVega) return;
  const name = model.get("library").slice("IPY_MODEL_".length);
  const found = await model.widget_manager.get_model(name);
  const script = document.createElement("script");
  script.textContent = found.get("code");
  document.head.append(script);
};

// What is selected, as a list of [field, channel, value].
const selected = (view, choice) =>
  view.data(`${choice}_store`).map(({ fields, values }) =>
    fields.map(({ field, channel, type }, at) => {
      const value = type === "R" ? [...values[at]].sort((one, other) => one - other) : values[at];
      return [field, channel, value];
    }),
  );

function render({ model, el }) {
  const place = document.createElement("div");
  el.append(place);
  let chart, view, waits;
  let spec = model.get("spec");
  const choice = model.get("choice");

  // A brush that the reader moved is where it was, also in a chart of another width.
  const brushed = () => {
    const [brush] = selected(view, choice);
    const value = brush && Object.fromEntries(brush.map(([, channel, range]) => [channel, range]));
    const params = spec.params.map((each) => {
      if (each.name !== choice || each.select?.type !== "interval") return each;
      const { value: last, ...rest } = each;
      return brush ? { ...rest, value } : rest;
    });
    spec = { ...spec, params };
  };
  const give = () => {
    const given = Object.entries(model.get("params"));
    for (const [name, value] of given) view?.signal(name, value);
    return given.length ? view?.runAsync() : undefined;
  };
  const drawn = async (now) => {
    view = now;
    await give();
    if (!choice) return;
    now.addSignalListener(choice, () => {
      clearTimeout(waits);
      waits = setTimeout(() => {
        if (view !== now) return;
        brushed();
        model.send({ picked: selected(now, choice).map((each) => Object.fromEntries(each.map(([field, , value]) => [field, value]))) });
      }, SETTLED);
    });
  };
  const change = () => {
    clearTimeout(waits);
    spec = model.get("spec");
    const empty = !Object.keys(spec).length;
    place.hidden = empty;
    if (empty) {
      chart?.end();
      chart = view = undefined;
      place.replaceChildren();
    } else if (chart) chart.again();
    else {
      chart = { again: () => {}, end: () => {} };
      (window.recoverCharts ||= []).push([place, () => spec, drawn, (begun) => (chart = begun)]);
      bring(model).catch((error) => console.error(error));
    }
  };
  model.on("change:spec", change);
  model.on("change:params", give);
  change();
  return () => {
    model.off("change:spec", change);
    model.off("change:params", give);
    clearTimeout(waits);
    chart?.end();
  };
}
export default { render };
