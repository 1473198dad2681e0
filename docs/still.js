// Runs widgets that bring a module of their own, on the state they had when the notebook had run.
// No kernel answers.
(() => {
  const data = JSON.parse(document.getElementById("still-data").textContent);

  const bytes = ({ data: text, encoding }) => {
    if (encoding !== "base64") throw new Error(`unknown encoding ${encoding}`);
    return new DataView(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);
  };
  const fill = (state, { path, ...buffer }) => {
    const inner = path.slice(0, -1).reduce((at, key) => at[key], state);
    inner[path.at(-1)] = bytes(buffer);
  };

  const makeModel = ({ state, buffers }) => {
    buffers.forEach((buffer) => fill(state, buffer));
    const listeners = new Map();
    const each = (names, act) => names.split(/\s+/).forEach(act);
    const tell = (name, ...args) =>
      [...(listeners.get(name) || [])].forEach((listener) => listener(...args));
    const model = {
      changed: {},
      get: (name) => state[name],
      set(names, value) {
        const values = typeof names === "string" ? { [names]: value } : names;
        for (const [name, next] of Object.entries(values)) {
          if (JSON.stringify(state[name]) === JSON.stringify(next)) continue;
          state[name] = next;
          model.changed = { [name]: next };
          tell(`change:${name}`, model, next);
          tell("change", model);
        }
      },
      on: (names, act) =>
        each(names, (name) => listeners.set(name, (listeners.get(name) || new Set()).add(act))),
      off: (names, act) =>
        names
          ? each(names, (name) => (act ? listeners.get(name)?.delete(act) : listeners.delete(name)))
          : listeners.clear(),
      save_changes() {},
      send() {},
    };
    return model;
  };

  const load = (text) =>
    import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  const modules = data.modules.map(load);
  const models = new Map();
  const modelOf = async (name) => {
    const { module, ...stored } = data.models[name];
    const widget = (await modules[module]).default;
    const { initialize, render } = typeof widget === "function" ? await widget() : widget;
    const model = makeModel(stored);
    await initialize?.({ model });
    return { model, render };
  };
  const show = async (el) => {
    const name = el.dataset.model;
    if (!models.has(name)) models.set(name, modelOf(name));
    const { model, render } = await models.get(name);
    await render({ model, el });
    el.dataset.shown = "";
  };
  for (const el of document.querySelectorAll(".still-module")) {
    show(el).catch((error) => {
      el.textContent = `This widget could not be shown: ${error.message}`;
      console.error(error);
    });
  }
})();
