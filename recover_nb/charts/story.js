// Tells failures in four steps, in the place it is given: no kernel, no host, no library.
const STEPS = ["It fails", "Where", "One token", "Was it luck?"];
const TYPED = 70; // Milliseconds for each token or dot.
const PAUSE = 600; // Milliseconds before what a step ends with.
const REST = 2600; // Milliseconds a step stays before the next, while it plays.

const make = (name, look, ...children) => {
  const found = document.createElement(name);
  if (look) found.className = look;
  found.append(...children.filter((each) => each !== null && each !== undefined));
  return found;
};
const percent = (share) => `${Math.round(100 * share)}%`;
const special = (token) => /^<.+>$/.test(token);
const seen = (token) => token.replaceAll(" ", "\u00b7").replaceAll("\n", "\u21b5");

// A trace of more letters than this is set smaller, so that a line holds it.
const LONG = 24;

// A token with, below it, how often the answer still ends right after it.
const box = (token, look = "") =>
  make("span", `story-token ${look}${special(token) ? " story-special" : ""}`, make("span", "story-text", seen(token)), make("span", "story-value", make("span", "story-fill")));

const trace = (tokens, boxes) => {
  const found = make("div", `story-trace${tokens.filter((token) => !special(token)).join("").length > LONG ? " story-long" : ""}`, ...boxes);
  found.setAttribute("role", "img");
  found.setAttribute("aria-label", tokens.join(""));
  return found;
};

const side = (share, look) => {
  const bar = make("span", `story-bar ${look}`, make("span", "story-length"), make("span", "story-share", percent(share)));
  bar.style.setProperty("--share", `${Math.max(1, 70 * share)}%`);
  return bar;
};

// What both models would have written, as mirrored bars.
const bars = ({ bars: rows, tokens, turn }) => {
  if (!rows.length) return null;
  const table = make("div", "story-bars", make("b", "", "the model would write"), make("span"), make("b", "", "its ancestor would write"));
  for (const { token, specialist, ancestor, emitted, right } of rows) {
    const [look, sign] = emitted ? ["story-wrong", " \u2717"] : right ? ["story-right", " \u2713"] : ["story-other", ""];
    table.append(side(specialist, `story-left ${look}`), make("code", look, seen(token) + sign), side(ancestor, look));
  }
  table.setAttribute("role", "group");
  table.setAttribute("aria-label", `What both models would have written in place of ${seen(tokens[turn])}`);
  return table;
};

// The attempts of one intervention as dots, the right ones first, and the interval on the same scale.
const attempts = ({ operator, name, right, interval: [low, high] }) => {
  const n = right.filter(Boolean).length;
  const dots = right.map((_, at) => make("span", `story-dot${at < n ? " story-hit" : ""}`, at < n ? "\u2713" : "\u2717"));
  const row = make("div", "story-dots", ...dots);
  row.style.setProperty("--dots", right.length);
  const words = `${n} of ${right.length} right; 95 % interval ${percent(low)} to ${percent(high)}`;
  row.setAttribute("role", "img");
  row.setAttribute("aria-label", words);
  const span = make("div", "story-interval", make("span", "story-span"));
  span.firstChild.style.left = percent(low);
  span.firstChild.style.right = percent(1 - high);
  const kind = operator === "retry" ? "retry" : "operator";
  return make("div", `story-arm story-arm-${kind}`, make("b", "", name), make("div", "story-row", row, span), make("span", "story-words", words));
};

export function tell(place, told) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const now = { failure: 0, step: 0, plays: false };
  const many = told.stories.length > 1;
  let timers = [];
  const one = () => told.stories[now.failure];

  const headline = make("h2", "story-headline");
  const count = make("span", "story-count");
  const left = make("div", "story-problem");
  const right = make("div", "story-answer");
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
  const play = button("\u25b6 play", "play", () => toggle());
  play.classList.add("story-play");
  const turn = (by) => () => {
    now.failure = (now.failure + by + told.stories.length) % told.stories.length;
    go(0);
  };
  const gallery = many ? make("span", "story-gallery", button("\u25c0", "previous failure", turn(-1)), count, button("\u25b6", "next failure", turn(1))) : null;
  const card = make("section", "story", make("div", "story-top", headline, gallery), make("div", "story-steps", ...steps, play), make("div", "story-body", left, right));
  card.setAttribute("aria-label", many ? "Failures in four steps" : "One failure in four steps");
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

  const say = () => {
    const over = now.step === STEPS.length - 1 && card.dataset.settled === "yes" && told.stories.length > 1;
    const words = now.plays ? "pause" : over ? "next failure" : "play";
    play.textContent = `${now.plays ? "\u2016" : "\u25b6"} ${words}`;
    play.setAttribute("aria-label", words);
  };

  const show = () => {
    card.dataset.settled = "no";
    say();
    timers.forEach(clearTimeout);
    timers = [];
    const failure = one();
    const { step } = now;
    const { tokens, rescued } = failure;
    headline.textContent = failure.headline;
    count.textContent = `${now.failure + 1} of ${told.stories.length}: ${failure.kind}`;
    steps.forEach((each, at) => each.setAttribute("aria-current", at === step ? "step" : "false"));
    card.dataset.step = step + 1;

    const verdict = failure.said === null ? "gave no answer" : `said ${failure.said}`;
    const stamp = make("p", "story-stamp story-wrong", `\u2717 ${verdict}`, make("span", "story-true", `right is ${failure.answer}`));
    left.replaceChildren(make("b", "", "The problem"), make("pre", "", failure.prompt.trimEnd()), stamp, make("p", "story-small", failure.who), make("p", "story-small", failure.chosen));

    const boxes = tokens.map((token) => box(token));
    const hint = "Below each token: how often this model still ends right when it goes on from there.";
    const legend = make("p", "story-small story-legend", step ? hint : "");
    const note = make("p", "story-note", failure.notes[step]);
    note.setAttribute("role", "status");
    const below = make("div", "story-below");
    right.replaceChildren(trace(tokens, boxes), legend, note, below);

    const measured = (at) => {
      boxes[at].classList.add("story-measured");
      boxes[at].querySelector(".story-fill").style.height = `${100 * failure.value[at + 1]}%`;
      const says = `after \u201c${seen(tokens[at])}\u201d ${percent(failure.value[at + 1])} still end right`;
      boxes[at].title = says;
      boxes[at].onmouseenter = () => (legend.textContent = says);
      boxes[at].onmouseleave = () => (legend.textContent = hint);
    };
    const mark = () => boxes[failure.turn].classList.add("story-turn");

    // Each step: what happens one after the other, as [milliseconds since the last, work].
    const plan = [];
    const then = (wait, work) => plan.push([wait, work]);
    if (step === 0) {
      const hidden = [...boxes, stamp];
      hidden.forEach((each) => each.classList.add("story-hidden"));
      boxes.forEach((each) => then(TYPED, () => each.classList.remove("story-hidden")));
      then(PAUSE, () => {
        stamp.classList.remove("story-hidden");
        stamp.classList.add("story-stamped");
      });
    }
    if (step === 1) {
      tokens.forEach((_, at) => {
        then(TYPED, () => measured(at));
        if (at === failure.turn) then(PAUSE, mark);
      });
      then(PAUSE, () => {
        const found = bars(failure);
        if (found) below.replaceChildren(found);
      });
    }
    if (step >= 2) {
      tokens.forEach((_, at) => measured(at));
      mark();
      if (rescued) boxes.slice(rescued.shared).forEach((each) => each.classList.add("story-gone"));
    }
    if (step === 2 && rescued) {
      const { tokens: others, shared, name } = rescued;
      const grown = others.map((token, at) => box(token, at < shared ? "story-same" : at === shared ? "story-turn-right" : "story-new"));
      const saved = make("p", "story-saved story-right", `\u2713 says ${failure.answer}, with ${name}`);
      below.replaceChildren(trace(others, grown), saved);
      [...grown.slice(shared), saved].forEach((each) => each.classList.add("story-hidden"));
      grown.slice(shared).forEach((each, at) =>
        then(at ? TYPED : PAUSE, () => {
          each.classList.remove("story-hidden");
          if (!at) each.classList.add("story-flip");
        }),
      );
      then(PAUSE, () => saved.classList.remove("story-hidden"));
    }
    if (step === 3) {
      const arms = failure.attempts.map(attempts);
      const overall = make("p", "story-overall", told.overall);
      below.replaceChildren(...arms, overall);
      const rows = arms.map((arm) => [...arm.querySelectorAll(".story-dot")]);
      const last = [overall, ...arms.flatMap((arm) => [...arm.querySelectorAll(".story-span, .story-words")])];
      [...rows.flat(), ...last].forEach((each) => each.classList.add("story-hidden"));
      const most = Math.max(...rows.map((row) => row.length));
      for (let at = 0; at < most; at += 1) then(TYPED, () => rows.forEach((row) => row[at]?.classList.remove("story-hidden")));
      then(PAUSE, () => last.forEach((each) => each.classList.remove("story-hidden")));
    }
    const finished = () => {
      card.dataset.settled = "yes";
      say();
      if (!now.plays) return;
      // One failure at a time: after its last step, play goes on to the next.
      if (now.step < STEPS.length - 1) timers.push(setTimeout(next, REST));
      else toggle(false);
    };
    if (still.matches) {
      plan.forEach(([, work]) => work());
      finished();
      return;
    }
    let at = 0;
    for (const [wait, work] of plan) timers.push(setTimeout(work, (at += wait)));
    timers.push(setTimeout(finished, at + PAUSE));
  };

  const next = () => {
    if (!now.plays) return;
    if (now.step < STEPS.length - 1) now.step += 1;
    else {
      now.step = 0;
      now.failure = (now.failure + 1) % told.stories.length;
    }
    show();
  };
  // A step that has begun ends; only what comes after it waits.
  const toggle = (plays = !now.plays) => {
    now.plays = plays;
    say();
    if (plays && card.dataset.settled === "yes") next();
  };
  const go = (step) => {
    now.step = step;
    now.plays = false;
    show();
  };
  place.replaceChildren(card);
  show();
}
