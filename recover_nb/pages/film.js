// Plays the film of training: where each problem is at a step, which Python has worked out.
export function film(place, told) {
  const WAIT = 1400; // Milliseconds from step to step.
  const one = (name) => place.querySelector(name);
  const [slider, button, drawing] = [one(".film-controls input"), one(".film-play"), one(".film-drawing")];
  const numbers = [...drawing.querySelectorAll(".film-n")];
  const dots = [...drawing.querySelectorAll("circle")];
  const last = told.steps.length - 1;
  let timer = null;

  const show = () => {
    const at = Number(slider.value);
    const taken = new Map();
    told.dots.forEach((dot, index) => {
      const { x, across } = told.groups[dot.group];
      const key = `${dot.group} ${dot.band[at]}`;
      const slot = taken.get(key) ?? 0;
      taken.set(key, slot + 1);
      const left = x + (slot % across) * told.pitch + Math.floor(told.pitch / 2);
      const top = told.bases[dot.band[at]] - Math.floor(slot / across) * told.pitch;
      dots[index].style.transform = `translate(${left}px,${top}px)`;
    });
    numbers.forEach((number, index) => {
      const n = taken.get(`${Math.floor(index / told.bands.length)} ${index % told.bands.length}`) ?? 0;
      number.textContent = n.toLocaleString("en");
    });
    const step = told.steps[at];
    one(".film-step b").textContent = step;
    slider.setAttribute("aria-valuetext", `after ${step} steps`);
    one(".film-said").textContent = told.sentences[at];
    drawing.setAttribute("aria-label", told.sentences[at]);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const next = () => {
    if (Number(slider.value) < last) {
      slider.value = Number(slider.value) + 1;
      show();
    }
    if (Number(slider.value) >= last) stop();
  };
  const play = () => {
    if (timer) return stop();
    if (Number(slider.value) >= last) slider.value = 0;
    show();
    button.textContent = "Pause";
    timer = setInterval(() => (place.isConnected ? next() : stop()), WAIT);
  };
  slider.addEventListener("input", () => {
    stop();
    show();
  });
  button.addEventListener("click", play);
  drawing.addEventListener("pointerover", (event) => {
    const dot = told.dots[dots.indexOf(event.target)];
    if (dot) one(".film-one").textContent = `${dot.name}: ${dot.prompt} (right: ${dot.rate.map((rate) => `${rate} %`).join(", ")})`;
  });
  // JupyterLab would take the arrow keys for its own.
  place.dataset.lmSuppressShortcuts = "true";
  place.addEventListener("keydown", (event) => event.stopPropagation());
  place.classList.add("film-live");
  show();
}
