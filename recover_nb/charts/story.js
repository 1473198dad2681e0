// Tells failures in four steps, in the place it is given: no kernel, no host, no library.
const STEPS = ["It fails", "Where", "One token", "Was it luck?"];
const TYPED = 70; // Milliseconds a token.
const REST = 2600; // Milliseconds a step stays before the next, while it plays.

const make = (name, look, ...children) => {
  const found = document.createElement(name);
  if (look) found.className = look;
  found.append(...children.filter((each) => each !== null && each !== undefined));
  return found;
};
const percent = (share) => `${Math.round(100 * share)} %`;
const seen = (token) => token.replaceAll(" ", "\u00b7").replaceAll("\n", "\u21b5");

export function tell(place, told) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const now = { failure: 0, step: 0, plays: false };
  let timers = [];
  const later = (work, wait) => timers.push(setTimeout(work, wait));
  const one = () => told.stories[now.failure];

  const headline = make("h3", "story-headline");
  const count = make("span", "story-count");
  const said = make("p", "story-said");
  said.setAttribute("role", "status");
  const left = make("div", "story-problem");
  const trace = make("div", "story-trace");
  const note = make("p", "story-note");
  const below = make("div", "story-below");
  const button = (name, label, act) => {
    const found = make("button", "story-button", name);
    found.type = "button";
    found.setAttribute("aria-label", label);
    found.addEventListener("click", act);
    return found;
  };
  const steps = STEPS.map((name, at) => {
    const found = button(`${at + 1} ${name}`, `step ${at + 1}: ${name}`, () => go(at));
    found.classList.add("story-step");
    return found;
  });
  const play = button("\u25b6 play", "play", () => (now.plays ? pause() : run()));
  const turn = (by) => () => {
    now.failure = (now.failure + by + told.stories.length) % told.stories.length;
    go(0);
  };
  const card = make(
    "section",
    "story",
    make("div", "story-top", headline, make("span", "story-gallery", button("\u25c0", "previous failure", turn(-1)), count, button("\u25b6", "next failure", turn(1)), play)),
    make("div", "story-steps", ...steps),
    make("div", "story-body", left, make("div", "story-answer", said, trace, note)),
    below,
  );
  card.setAttribute("aria-label", "One failure in four steps");
  // JupyterLab would take the keys for its own.
  card.dataset.lmSuppressShortcuts = "true";
  card.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = now.step + by;
    if (next >= 0 && next < STEPS.length) {
      go(next);
      steps[next].focus();
    }
  });

  // A token with, below it, how often the answer still ends right after it.
  const box = (token, value, look) => {
    const bar = make("span", "story-value");
    if (value !== undefined) {
      bar.append(make("span", "story-fill"));
      bar.firstChild.style.height = `${100 * value}%`;
      bar.title = `${percent(value)} still end right after this token`;
    }
    return make("span", `story-token ${look}`, make("span", "story-text", seen(token)), bar);
  };

  const bars = () => {
    const { bars: rows, turn: at, tokens } = one();
    const table = make("div", "story-bars", make("b", "", "the model would write"), make("span"), make("b", "", "its ancestor would write"));
    for (const row of rows) {
      const side = (share, look) => {
        const bar = make("span", `story-bar ${look}`, make("span", "story-length"), make("span", "story-share", percent(share)));
        bar.firstChild.style.width = `${Math.max(1, 70 * share)}%`;
        return bar;
      };
      const look = row.emitted ? "story-wrong" : row.right ? "story-right" : "story-other";
      table.append(side(row.specialist, `story-left ${look}`), make("code", look, seen(row.token)), side(row.ancestor, look));
    }
    table.setAttribute("aria-label", `What both models would have written in place of ${seen(tokens[at])}`);
    return table;
  };

  const dots = ({ operator, name, right, interval }) => {
    const row = make("div", "story-dots");
    for (const each of right) row.append(make("span", each ? "story-dot story-hit" : "story-dot", each ? "\u2713" : "\u2717"));
    const n = right.filter(Boolean).length;
    const words = `${n} of ${right.length} right, 95 % interval ${percent(interval[0])} to ${percent(interval[1])}`;
    row.setAttribute("role", "img");
    row.setAttribute("aria-label", words);
    const line = make("div", `story-arm story-arm-${operator === "retry" ? "retry" : "operator"}`, make("b", "", name), row, make("span", "", words));
    return line;
  };

  // Shows each of `parts` after the last, or all at once.
  const grow = (parts, done) => {
    if (still.matches || !now.plays) {
      done();
      return;
    }
    parts.forEach((each) => (each.style.visibility = "hidden"));
    parts.forEach((each, at) => later(() => (each.style.visibility = ""), TYPED * at));
    later(done, TYPED * parts.length);
  };

  const show = () => {
    timers.forEach(clearTimeout);
    timers = [];
    const failure = one();
    const { step } = now;
    headline.textContent = failure.headline;
    count.textContent = `${now.failure + 1} of ${told.stories.length}: ${failure.kind}`;
    steps.forEach((each, at) => each.setAttribute("aria-current", at === step ? "step" : "false"));
    play.textContent = now.plays ? "\u23f8 pause" : "\u25b6 play";
    play.setAttribute("aria-label", now.plays ? "pause" : "play");
    left.replaceChildren(make("b", "", "problem"), make("pre", "", failure.prompt.trimEnd()), make("span", "story-cell", failure.who));
    const verdict = failure.said === null ? "gives no answer" : `says ${failure.said}`;
    said.replaceChildren(make("b", "story-wrong", `\u2717 ${verdict}`), `, right is ${failure.answer}`);
    const tokens = failure.tokens.map((token, at) => {
      const look = step >= 1 && at === failure.turn ? "story-turn" : step >= 2 && failure.rescued && at >= failure.rescued.shared ? "story-gone" : "";
      return box(token, step >= 1 ? failure.value[at + 1] : undefined, look);
    });
    trace.replaceChildren(...tokens);
    note.textContent = failure.notes[step];
    below.replaceChildren();
    if (step === 1) below.append(bars());
    if (step === 2 && failure.rescued) {
      const { tokens: others, shared } = failure.rescued;
      const saved = others.map((token, at) => box(token, undefined, at === shared ? "story-turn-right" : at < shared ? "story-same" : "story-new"));
      below.append(make("p", "story-said", make("b", "story-right", `\u2713 says ${failure.answer}`), `, with ${failure.rescued.name}`), make("div", "story-trace", ...saved));
      grow(saved.slice(shared), next);
      return;
    }
    if (step === 3) {
      below.append(...failure.attempts.map(dots), make("p", "story-note", told.overall));
      grow([...below.querySelectorAll(".story-dot")], next);
      return;
    }
    grow(step <= 1 ? tokens : [], next);
  };

  const next = () => {
    if (!now.plays) return;
    later(() => {
      if (now.step < STEPS.length - 1) now.step += 1;
      else {
        now.step = 0;
        now.failure = (now.failure + 1) % told.stories.length;
      }
      show();
    }, REST);
  };
  const pause = () => {
    now.plays = false;
    show();
  };
  const run = () => {
    now.plays = true;
    show();
  };
  const go = (step) => {
    now.step = step;
    now.plays = false;
    show();
  };
  place.replaceChildren(card);
  show();
  return { go, run, pause, now };
}
