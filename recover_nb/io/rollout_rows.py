"""From rows of anybody's log to rollouts: what names the problem, what is its text, was it right.

A row is mostly a rollout; a row with a list of texts is several of them.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.fields import NAMES, is_name, pick, tell_name
from recover_nb.io.lines import Row
from recover_nb.io.messages import is_messages, words_of_messages
from recover_nb.io.own_keys import (
    own_problem,
    read_problem,
    read_signals,
    read_study,
    read_variables,
)
from recover_nb.io.records import Collector
from recover_nb.io.replies import Reply
from recover_nb.io.row_texts import Found, find_replies, split
from recover_nb.io.row_verdicts import read_verdict, refuse_counts
from recover_nb.io.rows import RolloutRow, Unit, shortened
from recover_nb.io.settling import (
    Taken,
    settle_numbers,
    settle_texts,
    tell_outcome,
    tell_split_prompts,
)

TOKENS = ("output_ids", "token_ids")
#: How ids of requests begin: they name no problem.
REQUEST_IDS = ("chatcmpl-", "cmpl-", "resp_", "msg_", "batch_req_", "gen-")
#: Names of the order of rollouts that are often something else, such as the place in a data set.
_SURE = ("rollout_idx",)


class Reading:
    """The rows of one file."""

    def __init__(self, out: Collector, intervention: str) -> None:
        self.out, self.intervention = out, intervention
        self.taken: list[Taken] = []
        self.prompts: dict[Unit, str] = {}
        self.unnamed: Row | None = None
        self.named = False

    def take(self, row: Row) -> None:
        """Take the rollouts of a row."""
        if is_problem_alone(row):
            self.note_problem(row, self.unit(row, ""), "", has_text=True)
            return
        found = find_replies(row, self.out.tell)
        prompt = read_prompt(row, found, self.out.tell)
        tokens = any(row.values.get(name) is not None for name in TOKENS)
        if found.replies is None and not tokens:
            refuse_counts(row)
            if failed(row):
                self.out.tell(
                    "failed_requests",
                    "{n} rows have an error of the tool in place of a rollout, and are left out",
                )
                return
        unit = self.unit(row, prompt)
        parts = split(row, found)
        several = len(parts) > 1
        self.note_problem(row, unit, prompt, several or found.replies is not None or tokens)
        for each, reply in parts:
            self.taken.append(self.rollout(each, reply, unit, several))

    def unit(self, row: Row, prompt: str) -> Unit:
        """Return the problem of a row: by its name, else by its prompt."""
        return *self.cell(row), self.problem_name(row, prompt)

    def cell(self, row: Row) -> tuple[str, str, str]:
        """Return family, method and task."""
        out = self.out
        return (
            row.text("family", needed=False) or out.family,
            row.text("method", needed=False) or out.method,
            row.text("task", needed=False) or out.task,
        )

    def problem_name(self, row: Row, prompt: str) -> str:
        """Return the name of a row's problem, by its prompt where no row of the file has a name."""
        name = find_name(row, self.out)
        self.named = self.named or name is not None
        if name is None and self.unnamed is None:
            self.unnamed = row
        if self.unnamed is not None and (self.named or not prompt):
            # Says which names there could be.
            self.unnamed.text(*NAMES["problem_id"], blank=False)
            raise InputError(
                f"{self.unnamed.where}: {shortened(self.unnamed.values.get('id'))} is the id of a"
                " request and names no problem; give a field problem_id"
            )
        if name is not None:
            return name
        self.out.tell(
            "problems_named_by_prompt",
            "{n} rows name no problem, so each prompt is a problem, named by its hash",
        )
        return hashed(prompt)

    def note_problem(self, row: Row, unit: Unit, prompt: str, has_text: bool) -> None:
        """Keep what a row says of its problem; the first to say it counts."""
        about = self.out.problem(unit)
        stored = own_problem(row)
        if stored is not None:
            read_problem(about, stored)
        if prompt and self.prompts.setdefault(unit, prompt) != prompt:
            self.out.tell(
                "other_prompts",
                "{n} rows have another prompt than the first row of their problem, whose prompt is"
                " kept",
            )
        about.prompt = about.prompt or prompt
        answer = expected_answer(row, self.out, has_text)
        if not answer:
            return
        if not about.answer:
            about.answer = answer
            self.out.answered.add(unit)
        elif about.answer != answer:
            # Those of problems= were given on purpose.
            if self.out.grades and unit in self.out.answered:
                raise InputError(
                    f"{row.where}: the expected answer of problem {unit[-1]} is"
                    f" {shortened(answer)}, and was {shortened(about.answer)} before; if it is what"
                    " the model answered, name it otherwise, and the expected one `answer`"
                )
            self.out.tell(
                "other_answers",
                "{n} rows have another expected answer than their problem had before; the first is"
                " kept",
            )

    def rollout(self, row: Row, reply: Reply | None, unit: Unit, several: bool) -> Taken:
        """Return the rollout of a row, whose order and text may not be known yet."""
        values = row.values if reply is None else {**row.values, **reply.values}
        out, row_tokens = self.out, Row(row.where, values).ids(*TOKENS, needed=False)
        fired = row.whole("fired_at", needed=False, least=-1)
        name, number = ("", None) if several else find_number(row, out)
        made = RolloutRow(
            row.where,
            unit,
            row.text("intervention", needed=False, blank=False) or self.intervention,
            -1 if number is None else number,
            read_verdict(row, reply, out),
            text=None if reply is None else reply.text,
            token_id=row_tokens,
            n_tokens=row.whole("n_tokens", needed=False),
            fired_at=-1 if fired is None else fired,
            signals=read_signals(row),
            ended=out.ended(values),
            hidden=reply is not None and reply.hidden,
            extra=read_variables(row),
        )
        tell_of(reply, row_tokens, out)
        said = None
        if made.text is None and made.token_id is None:
            # One answer beside several verdicts is not what each of them is about.
            mine = is_plain(row.values.get("answer")) and not several
            said = row.text("answer", needed=False) if mine else None
            if said is None and made.n_tokens is None:
                tell_outcome(row, out)
        # Of other rows nothing more is needed, and they may be large.
        rest = row if said is not None else Row(row.where, {})
        return Taken(made, number, name in _SURE, said, rest)

    def settle(self) -> None:
        """Decide what needs all rows, and give the rollouts to the collector."""
        settle_texts(self.taken, self.out)
        settle_numbers(self.taken, self.out)
        tell_split_prompts(self.prompts, self.out)
        for each in self.taken:
            self.out.add(each.row)


def read_rollouts(out: Collector, rows: Iterable[Row], intervention: str) -> dict[str, Any]:
    """Take rollouts of rows with this format's fields; return what the first says of its study."""
    study: dict[str, Any] = {}
    reading = Reading(out, intervention)
    for place, row in enumerate(rows):
        if not place:
            study = read_study(row)
        reading.take(row)
    reading.settle()
    return study


def is_problem_alone(row: Row) -> bool:
    """Tell whether a row is a problem of a study, without a rollout, as `to_jsonl` writes it."""
    about = row.values.get("problem")
    there = any(row.values.get(name) is not None for name in ("rollout_idx", "is_correct", *TOKENS))
    return isinstance(about, dict) and "beside" in about and not there


def hashed(*texts: str) -> str:
    """Return a name made of texts."""
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=6).hexdigest()


def is_plain(value: Any) -> bool:
    """Tell whether a value is a text or a number."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def find_name(row: Row, out: Collector) -> str | None:
    """Return what names the problem of a row; None where nothing does."""
    values = row.values
    own = any(values.get(name) is not None for name in ("problem_id", "pid"))
    if not own and isinstance(values.get("custom_id"), str | int):
        # A batch: `id` is that of the request.
        out.tell("problems_named_by_custom_id", "problems are named by 'custom_id' (in {n} rows)")
        return out.name(row.values["custom_id"])
    request = values.get("id")
    if isinstance(request, str) and request.startswith(REQUEST_IDS):
        row = Row(row.where, {name: each for name, each in values.items() if name != "id"})
    name, value = pick(row, "problem_id", is_name, out.tell)
    if not name:
        return None
    row.text(name, blank=False)  # refuses what is neither text nor a number
    return out.name(value)


def find_number(row: Row, out: Collector) -> tuple[str, int | None]:
    """Return name and value of what orders the rollouts of a problem."""
    own, *others = NAMES["rollout_idx"]
    if row.values.get(own) is not None:
        return own, row.whole(own)
    for name in others:
        value = row.values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            tell_name("rollout_idx", name, out.tell)
            return name, value
    return "", None


def read_prompt(row: Row, found: Found, tell: Any) -> str:
    """Return the prompt of a row: a text, or the messages before the reply."""
    name, value = pick(row, "prompt", is_prompt, tell)
    if is_messages(value):
        return words_of_messages(value)
    if name == "prompt" and isinstance(value, list | dict):
        raise row.wrong(name, value, "text, or a list of messages")
    text = row.text(name, needed=False) if name else ""
    return text or found.prompt


def is_prompt(value: Any) -> bool:
    """Tell whether a value can be a prompt."""
    return (isinstance(value, str) and bool(value.strip())) or is_messages(value)


def expected_answer(row: Row, out: Collector, has_text: bool) -> str:
    """Return the expected answer that a row names.

    Without a text beside it, an ``answer`` may be the rollout's text: `settle_texts` decides.
    """
    if not has_text and is_plain(row.values.get("answer")):
        row = Row(row.where, {name: each for name, each in row.values.items() if name != "answer"})
    name, value = pick(row, "answer", is_name, out.tell)
    others = [each for each in NAMES["answer"][1:] if is_plain(row.values.get(each))]
    if name == "answer" and any(row.values[each] != value for each in others):
        out.tell(
            "other_answers_not_read",
            f"`answer` is read as the expected one, and not {', '.join(map(repr, others))}, which"
            " differs from it (in {n} rows)",
        )
    if isinstance(value, list) and value:
        if len(value) > 1:
            out.tell(
                "several_answers",
                "{n} rows list several expected answers; the first of each is kept",
            )
        value = value[0]
    if isinstance(value, dict):
        inner = Row(f"{row.where}, {name}", value)
        keys = (*NAMES["answer"], "value", "text")
        return inner.text(*keys, needed=False) or ""
    return "" if not name else Row(row.where, {name: value}).text(name, needed=False) or ""


def failed(row: Row) -> bool:
    """Tell whether a row without a reply holds the error of a request, and no verdict."""
    if any(row.values.get(name) is not None for name in NAMES["is_correct"]):
        return False
    places: list[Any] = [row.values, row.values.get("response")]
    if isinstance(places[-1], dict):
        places.append(places[-1].get("body"))
    return any(isinstance(each, dict) and bool(each.get("error")) for each in places)


def tell_of(reply: Reply | None, tokens: list[int] | None, out: Collector) -> None:
    """Tell of what is special about a reply."""
    if reply is None:
        return
    if reply.hidden:
        kept = "" if tokens is None else " other than those the log has"
        out.tell(
            "reasoning_hidden",
            "the log hides the reasoning of {n} rollouts, or a part of it; their texts are only"
            f" what it shows, and are not tokenized into traces{kept}",
        )
    if reply.joined:
        out.tell("reasoning_joined", "{n} texts are the reasoning of the log and then the answer")
    if reply.called:
        out.tell("calls_of_tools", "{n} rollouts end in a call of a tool and have no text")
    if reply.refused:
        out.tell("refusals", "{n} rollouts are refusals of the model")
