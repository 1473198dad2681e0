// A question: radio buttons in a named group, a field for the hands of each choice, a button, and
// the verdict, which is said when it comes.
let made = 0;

function make(tag, looks, text = "") {
  const place = document.createElement(tag);
  if (looks) place.className = looks;
  place.textContent = text;
  return place;
}

function render({ model, el }) {
  const name = `recover-nb-question-${(made += 1)}`;
  const group = make("fieldset", "recover-nb-question");
  const legend = make("legend");
  legend.append(make("b", "", "Predict."), ` ${model.get("question")}`);
  const counts = make("div", "heads");
  counts.append(make("span", "", "hands"));
  counts.setAttribute("aria-hidden", "true");
  group.append(legend, counts);
  const rows = model.get("choices").map((choice, at) => {
    const row = make("div", "choice");
    const label = make("label");
    const radio = make("input");
    Object.assign(radio, { type: "radio", name, value: choice });
    label.append(radio, make("span", "", choice));
    const hands = make("input");
    Object.assign(hands, { type: "number", min: 0, step: 1, inputMode: "numeric" });
    hands.setAttribute("aria-label", `hands for: ${choice}`);
    radio.addEventListener("change", () => {
      model.set("guess", choice);
      model.save_changes();
    });
    hands.addEventListener("input", () => {
      const all = [...model.get("hands")];
      all[at] = Math.max(0, Math.floor(Number(hands.value) || 0));
      model.set("hands", all);
      model.save_changes();
    });
    row.append(label, hands);
    group.append(row);
    return { choice, row, radio, hands };
  });
  const button = make("button", "reveal", "reveal the answer");
  button.type = "button";
  button.title = "show the answer; a guess comes first";
  button.setAttribute("aria-label", `reveal the answer to: ${model.get("question")}`);
  const said = make("div", "said");
  said.setAttribute("role", "status");
  said.tabIndex = -1;
  let pressed = false;
  button.addEventListener("click", () => {
    // Without a guess the kernel says what is wanted first.
    pressed = Boolean(model.get("guess"));
    said.replaceChildren(...(pressed ? [make("p", "", "Working out the answer \u2026")] : []));
    model.send({ reveal: true });
  });

  function verdict() {
    const [guess, right] = [model.get("guess"), model.get("right")];
    const hit = guess === right;
    const line = make("p", "verdict");
    const looks = hit ? "right" : "wrong";
    line.append(make("span", `recover-nb-${looks}`, hit ? "\u2713" : "\u2717"), " You said ");
    line.append(make("b", "", guess), ": ");
    if (hit) line.append(make("span", "recover-nb-right", "right"), ".");
    else line.append("right is ", make("b", "", right), ".");
    return [line, ...model.get("said").map((each) => make("p", "", each))];
  }
  function show() {
    const [guess, out] = [model.get("guess"), model.get("revealed")];
    group.classList.toggle("counting", model.get("counting"));
    group.classList.toggle("revealed", out);
    rows.forEach(({ choice, row, radio, hands }, at) => {
      radio.checked = choice === guess;
      radio.disabled = out;
      hands.hidden = !model.get("counting");
      hands.disabled = out;
      if (Number(hands.value) !== model.get("hands")[at]) hands.value = model.get("hands")[at];
      row.classList.toggle("is-right", out && choice === model.get("right"));
    });
    button.hidden = out;
    button.classList.toggle("early", !guess);
  }
  function tell() {
    show();
    if (model.get("revealed")) {
      said.replaceChildren(...verdict());
      // The button is gone: who pressed it goes on at the answer.
      if (pressed) said.focus();
    } else {
      const text = model.get("message");
      // An old message is taken back while the answer is worked out.
      if (pressed && !text) return;
      said.replaceChildren(...(text ? [make("p", "", text)] : []));
    }
    pressed = false;
  }
  model.on("change:guess change:hands change:counting", show);
  model.on("change:revealed change:message", tell);
  tell();
  el.append(group, button, said);
  return () => {
    model.off("change:guess change:hands change:counting", show);
    model.off("change:revealed change:message", tell);
  };
}
export default { render };
