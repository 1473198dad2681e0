"""Completions in the rows of a file: which rollout each is, and what is known beside its tokens."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from recover_nb.io.dense import NONE
from recover_nb.io.jsonl import PROBLEM_ID, ROLLOUT_IDX
from recover_nb.io.lines import Row
from recover_nb.io.logprobs.shapes import choices_of, per_choice, unwrapped
from recover_nb.io.messages import words_of_message, words_of_messages
from recover_nb.io.records import Collector
from recover_nb.io.rows import REASON, RolloutRow, ended_by

#: What llama.cpp calls the ends of a text.
_STOPPED = {"eos": "stop", "word": "stop", "limit": "length"}
#: What servers call the text that they generated.
_TEXTS = ("text", "generated_text", "content")

Key = tuple[str, int]


class Answer(NamedTuple):
    """One completion: the file's row, the server's answer in it, and the completion in that."""

    key: Key
    row: Row
    body: Row
    choice: Row
    place: int
    of: int

    def beside(self, *names: str) -> Any:
        """Return the first value that the row gives for this completion under one of these names.

        A server's own ``token_ids`` are not asked: they may be of one token behind a sent trace.
        """
        found = (per_choice(self.row, name, self.of)[self.place] for name in names)
        return next((each for each in found if each is not None), None)


def answers_in(rows: Iterable[Row]) -> Iterator[Answer]:
    """Yield every completion of a file's rows."""
    for row in rows:
        problem, first = row.text(*PROBLEM_ID, blank=False), row.whole(*ROLLOUT_IDX)
        body = unwrapped(row)
        choices = choices_of(body)
        for place, choice in enumerate(choices):
            yield Answer((problem, first + place), row, body, choice, place, len(choices))


def prompt_of(answer: Answer) -> str:
    """Return the prompt as text; token ids, as some servers repeat, are none."""
    for name in ("prompt", "messages"):
        value = answer.row.values.get(name)
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return words_of_messages(value)
        if value is not None and not isinstance(value, list):
            return answer.row.text(name, needed=False) or ""
    return ""


def rollout_of(out: Collector, answer: Answer, prompt: str) -> RolloutRow:
    """Return a rollout without its tokens, and note its problem."""
    unit = (out.family, out.method, out.task, answer.key[0])
    problem = out.problem(unit)
    problem.prompt = prompt or problem.prompt
    problem.answer = answer.row.text("answer", needed=False) or problem.answer
    grade = answer.beside("is_correct")
    if grade is None and answer.choice is not answer.row:
        grade = answer.choice.find("is_correct")[1]
    return RolloutRow(
        answer.row.where,
        unit,
        NONE,
        answer.key[1],
        Row(answer.row.where, {"is_correct": grade}).flag("is_correct", needed=False),
        text=_text_of(answer),
        ended=ended_by(_reason_of(answer)),
    )


def _text_of(answer: Answer) -> str | None:
    text = answer.row.text("generated_text", needed=False)
    if text is not None:
        return text
    message = answer.choice.values.get("message")
    if isinstance(message, dict):
        return words_of_message(message)
    apart = answer.choice is not answer.row
    known = any(answer.body.values.get(k) is not None for k in ("meta_info", "details"))
    known = known or "completion_probabilities" in answer.body.values
    return answer.choice.text(*_TEXTS, needed=False) if apart or known else None


def _reason_of(answer: Answer) -> Any:
    homes = (
        answer.row.values,
        answer.choice.values,
        *(answer.body.values.get(name) for name in ("meta_info", "details")),
    )
    for home in homes:
        if isinstance(home, dict):
            reason = next((home[name] for name in REASON if home.get(name) is not None), None)
            reason = reason.get("type") if isinstance(reason, dict) else reason
            if reason is not None:
                return reason
    stopped = answer.body.values.get("stop_type")
    return _STOPPED.get(stopped) if isinstance(stopped, str) else None
