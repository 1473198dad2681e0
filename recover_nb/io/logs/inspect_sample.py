"""One sample of a log of inspect_ai: what the model was given, what it wrote, how it was scored."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.lines import Row
from recover_nb.io.logs.verdicts import tell_partial, verdict_of
from recover_nb.io.messages import words_of_content, words_of_message, words_of_messages
from recover_nb.io.records import Collector
from recover_nb.io.rows import ended_by

#: How scorers say correct and wrong. Partial credit and no answer are wrong.
VERDICTS = {"C": True, "I": False, "P": False, "N": False}
#: A long text is stored once, under its hash; older logs write ``tc://``.
ATTACHMENT = re.compile(r"(?:attachment|tc)://([0-9a-f]{8,64})")
ASSISTANT = "assistant"
#: Levels of objects in objects that are searched for attachments.
DEEPEST = 20


def unusable(row: Row, out: Collector) -> bool:
    """Tell of a sample that says nothing of the model: it broke, or was taken back."""
    if row.find("error")[1] is not None:
        out.tell("failed_samples", "{n} samples ended in an error of the tool and are left out")
        return True
    if row.find("invalidation", "invalidated")[1]:
        out.tell("invalidated_samples", "{n} samples were invalidated and are left out")
        return True
    return False


def with_attachments(row: Row, out: Collector) -> Row:
    """Return a sample in which texts stand where references to attachments stood."""
    old = row.values.get("transcript")
    found = row.values.get("attachments") or (isinstance(old, dict) and old.get("content"))
    stored = found if isinstance(found, dict) else {}
    missing = 0

    def text_of(match: re.Match[str]) -> str:
        nonlocal missing
        text = stored.get(match[1])
        missing += not isinstance(text, str)
        return text if isinstance(text, str) else match[0]

    fields = ("input", "messages", "output", "target", "choices")
    values = {name: _replaced(row.values[name], text_of) for name in fields if name in row.values}
    if missing:
        out.tell(
            "missing_attachments",
            "{n} texts are attachments that the log does not hold; their names stand there",
            missing,
        )
    return Row(row.where, row.values | values)


def _replaced(value: Any, text_of: Callable[[re.Match[str]], str], depth: int = 0) -> Any:
    if isinstance(value, str):
        return ATTACHMENT.sub(text_of, value) if "://" in value else value
    if isinstance(value, list) and depth < DEEPEST:
        return [_replaced(each, text_of, depth + 1) for each in value]
    if isinstance(value, dict) and depth < DEEPEST:
        return {
            name: each if name == "logprobs" else _replaced(each, text_of, depth + 1)
            for name, each in value.items()
        }
    return value


def prompt_of(row: Row) -> str:
    """Return what the model was given before its first turn: system texts and templates, too."""
    given = row.find("input", needed=True)[1]
    if not isinstance(given, list):
        given = row.text("input")
    shown = 0 if isinstance(given, str) else sum(map(_is_turn, given))
    messages = row.values.get("messages")
    before: list[Mapping[str, Any]] = []
    for each in messages if isinstance(messages, list) else []:
        if _is_turn(each):
            shown -= 1
            if shown < 0:
                break
        if isinstance(each, dict):
            before.append(each)
    text = words_of_messages(before)
    if not text.strip():
        text = given if isinstance(given, str) else _words_of_list(given)
    return "\n".join([text, *_choices_unsaid(row, text)])


def _is_turn(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == ASSISTANT


def _words_of_list(messages: list[Any]) -> str:
    return words_of_messages([each for each in messages if isinstance(each, dict)])


def _choices_unsaid(row: Row, text: str) -> list[str]:
    """Return lines of the choices, where the prompt does not show them itself."""
    choices = row.values.get("choices")
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
        return []
    if len(choices) > 26 or all(each in text for each in choices):
        return []
    return [f"{chr(65 + i)}) {each}" for i, each in enumerate(choices)]


def targets_of(row: Row) -> list[str]:
    """Return the right answers; one joined text where all of several letters are right at once."""
    name, value = row.find("target")
    if not isinstance(value, list):
        return [row.text("target", needed=False) or ""]
    each = [Row(row.where, {name: one}).text(name) for one in value if one is not None]
    several_letters = len(each) > 1 and isinstance(row.values.get("choices"), list)
    return [", ".join(each)] if several_letters else each or [""]


class Completion:
    """What the model wrote last in a sample.

    Attributes
    ----------
    text : str or None
        Reasoning, then answer; None where the model wrote no text.
    answer : str or None
        The part that scorers see.
    ended : bool or None
    redacted : bool
        Whether reasoning is missing from the text, because its provider hides it.
    choice : Row or None
        The completion in the log.
    """

    def __init__(self, row: Row, out: Collector) -> None:
        self.text = self.answer = self.choice = None
        self.redacted = False
        self.ended: bool | None = None
        output = row.part("output", needed=False) or Row(f"{row.where}, output", {})
        choices = output.find("choices")[1]
        choices = [] if choices is None else choices
        if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
            raise output.wrong("choices", choices, "a list of completions")
        if choices:
            self._read(Row(f"{output.where}, choices", choices[0]))
        else:
            self.text = self.answer = output.text("completion", needed=False) or None
        if len(choices) > 1:
            out.tell(
                "further_choices",
                "{n} further completions of samples are left out; the first was scored",
                len(choices) - 1,
            )
        if isinstance(row.values.get("limit"), dict):
            self.ended = False
        self._tell(row, out)

    def _read(self, choice: Row) -> None:
        message = choice.part("message")
        thought, self.redacted = _reasoning(message)
        content = message.values.get("content")
        if isinstance(content, list):
            content = [each for each in content if not _is_reasoning(each)]
        said = words_of_content(content)
        whole = "\n".join(each for each in (thought, said) if each)
        self.choice, self.ended = choice, ended_by(choice.values.get("stop_reason"))
        if whole or not message.values.get("tool_calls"):
            self.text, self.answer = whole, said

    def _tell(self, row: Row, out: Collector) -> None:
        traced = out.tokenizer is not None
        if self.text is None:
            out.tell(
                "samples_without_text",
                "{n} samples have no text of the model (cut by a limit, or a call of a tool alone);"
                f" they are {'left out' if traced else 'kept as outcomes without a text'}",
            )
        if self.redacted:
            out.tell(
                "redacted_reasoning",
                "{n} completions have reasoning that the log does not show; "
                + (
                    "they have no trace and are left out (they are outcomes without tokenizer=)"
                    if traced
                    else "their text is the answer alone"
                ),
            )
        messages = row.values.get("messages")
        given = row.values.get("input")
        turns = sum(map(_is_turn, messages)) if isinstance(messages, list) else 0
        turns -= sum(map(_is_turn, given)) if isinstance(given, list) else 0
        if turns > 1:
            out.tell(
                "samples_of_several_turns",
                "{n} samples have several turns of the model; the text is that of the last",
            )


def _is_reasoning(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "reasoning"


def _reasoning(message: Row) -> tuple[str, bool]:
    """Return what a message says of its reasoning, and whether some of it is hidden."""
    content = message.values.get("content")
    parts = [each for each in content if _is_reasoning(each)] if isinstance(content, list) else []
    seen = [each for each in parts if not each.get("redacted")]
    older = {name: value for name, value in message.values.items() if name != "content"}
    thought = "\n".join(
        filter(None, [words_of_message(older), *(words_of_content([each]) for each in seen)])
    )
    return thought, len(seen) < len(parts)


def score_of(row: Row, scorer: str | None, out: Collector) -> bool | None:
    """Return whether a sample is scored correct; None where it has no score.

    Parameters
    ----------
    row : Row
    scorer : str, optional
        Of several; ``"scorer.part"`` takes one part of a score that has several.
    out : Collector
        Is told of partial credit.

    Raises
    ------
    InputError
        Several scorers and no choice, a value that is no verdict.
    """
    scores = row.part("scores", needed=False)
    if scores is None:
        single = row.part("score", needed=False)
        scores = None if single is None else Row(row.where, {"score": single.values})
    if scores is None or not scores.values:
        return None
    name, _, part = (scorer or "").partition(".")
    if scorer in scores.values:
        name, part = str(scorer), ""
    if not scorer and len(scores.values) > 1:
        found = ", ".join(scores.values)
        raise InputError(f"{row.where} has scores of {found}; pass scorer= to choose one")
    score = scores.part(name or next(iter(scores.values)), needed=False)
    if score is None:
        return None
    value = score.find("value", needed=True)[1]
    return _verdict(score, _single(score, value, name or next(iter(scores.values)), part), out)


def _single(score: Row, value: Any, name: str, part: str) -> Any:
    """Return the one value of a score that may be an object or a list."""
    if isinstance(value, dict) and value:
        if part:
            return Row(f"{score.where}, value", value).find(part, needed=True)[1]
        if len(value) > 1:
            found = ", ".join(map(str, value))
            raise InputError(
                f"{score.where} has the parts {found}; pass scorer='{name}.{next(iter(value))}' or"
                " another of them to choose one"
            )
        return next(iter(value.values()))
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _verdict(score: Row, value: Any, out: Collector) -> bool | None:
    """Return what a value says: a letter, or a number."""
    if isinstance(value, str) and value in VERDICTS:
        if value == "P":
            tell_partial(out)
        return VERDICTS[value]
    allowed = f"{', '.join(VERDICTS)}, or a number from 0 to 1; else pass is_correct="
    return verdict_of(score, "value", value, allowed, out)
