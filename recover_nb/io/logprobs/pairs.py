"""Rollouts of two files of log-probabilities, paired: the specialist's and the ancestor's."""

from collections.abc import Iterator
from os import PathLike
from typing import Any, NamedTuple

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.io.jsonl import TOKENS
from recover_nb.io.lines import Row
from recover_nb.io.logprobs.along import Scored, echoed_from, in_ids, lists_along, span_of
from recover_nb.io.logprobs.answers import Answer, Key, answers_in, prompt_of, rollout_of
from recover_nb.io.logprobs.shapes import FORMS, Logged, own_part, prompt_part
from recover_nb.io.logprobs.token_names import Ids, id_in
from recover_nb.io.logprobs.topk import Lists, check_own, signals_of_lists
from recover_nb.io.records import Collector
from recover_nb.io.rows import RolloutRow


class Form(NamedTuple):
    """What a file is expected to hold: its name, a sentence, and the field that is looked at."""

    name: str
    what: str
    field: str


PROMPT = Form(
    "vllm_logprobs",
    "responses of vLLM (JSON lines with problem_id, rollout_idx, output_ids, prompt_logprobs)",
    "prompt_logprobs",
)
GENERATED = Form(
    "openai_logprobs",
    "completions with log-probabilities (JSON lines with problem_id, rollout_idx, choices)",
    "logprobs",
)


def _logged(answer: Answer, form: Form, *, sent: bool) -> Logged:
    """Return the log-probabilities of a completion, in whatever form; of what was `sent` first."""
    for part in (prompt_part, own_part) if sent else (own_part, prompt_part):
        found = part(answer.body, answer.choice)
        if found is not None:
            return found
    home = answer.choice if form is GENERATED else answer.body
    known = ", ".join(map(str, list(home.values)[:12])) or "nothing"
    raise InputError(f"{home.where} has no {form.field!r}; it has {known}; read are {FORMS}")


class _Others:
    """The ancestor's sequences by rollout, read on as far as they are asked for."""

    def __init__(self, answers: Iterator[Answer], path: str | PathLike, read: Any) -> None:
        self._answers, self._path, self._read = answers, path, read
        self._aside: dict[Key, Scored] = {}
        self._seen: dict[Key, str] = {}

    def _next(self) -> Answer | None:
        answer = next(self._answers, None)
        if answer is None:
            return None
        problem, number = answer.key
        before = self._seen.setdefault(answer.key, answer.row.where)
        if before is not answer.row.where:
            raise InputError(
                f"{answer.row.where}: rollout {number} of problem {problem} came before ({before})"
            )
        return answer

    def find(self, key: Key, where: str) -> Scored:
        """Return the sequence of a rollout, and keep those that come before it."""
        if key in self._aside:
            return self._aside.pop(key)
        while (answer := self._next()) is not None:
            scored = self._read(answer)
            if answer.key == key:
                return scored
            self._aside[answer.key] = scored.settled()
        raise InputError(
            f"{where}: rollout {key[1]} of problem {key[0]} is not in {self._path}; score it by"
            " both models"
        )

    def rest(self) -> int:
        """Return how many were not asked for."""
        left = len(self._aside)
        while self._next() is not None:
            left += 1
        return left


def read_both(
    out: Collector,
    specialist: Iterator[Row],
    ancestor: Iterator[Row],
    path: str | PathLike,
    form: Form,
    names: Ids,
    options: dict[str, Any],
) -> None:
    """Take the specialist's rollouts, with signals where the ancestor's lists fit the tokens."""
    others = _Others(answers_in(ancestor), path, lambda each: _sent(out, each, form, names))
    judged, first_empty = _Judged(), ""
    for answer in answers_in(specialist):
        rollout, scored, span = _own_rollout(out, answer, form, names)
        theirs = others.find(answer.key, answer.row.where)
        _check_names(names, answer)
        out.count("rollouts_scored_by_both")
        wanted = rollout.token_id or []
        along = span and _lists_of_both(out, (scored, theirs), span, wanted, form)
        if span is None or (wanted and along is None):
            out.count("tokenization_mismatches")
        elif along == ():
            first_empty = first_empty or answer.row.where
        elif along:
            rollout.signals, rollout.alternatives = signals_of_lists(*along, wanted, **options)
            judged.add(along[0], wanted, rollout.signals[Signal.ENTROPY.value])
        out.add(rollout)
    judged.check()
    _check_some(out, first_empty)
    _say_rest(out, others.rest())


def _say_rest(out: Collector, left: int) -> None:
    n, total = (
        out.counts.get(name, 0) for name in ("tokenization_mismatches", "rollouts_scored_by_both")
    )
    if n:
        out.notes.append(
            f"{n} of {total} rollouts are other tokens to the ancestor than to the specialist; they"
            " keep no signals"
        )
    if left:
        out.tell(
            "ancestor_only",
            "{n} rollouts are in the ancestor's file alone and are left out",
            left,
        )


class _Judged:
    """What the specialist gives its own tokens; a model that finds them absurd wrote others."""

    def __init__(self) -> None:
        self.surprisal: list[list[float]] = []
        self.entropy: list[Any] = []

    def add(self, lists: Lists, wanted: list[int], entropy: Any) -> None:
        rows, columns = (lists.ids == [[token] for token in wanted]).nonzero()
        self.surprisal.append((-lists.values[rows, columns]).tolist())
        self.entropy.append(entropy)

    def check(self) -> None:
        check_own(
            self.surprisal,
            self.entropy,
            "the specialist",
            "take a server that lists what may come in a token's place",
        )


def _check_some(out: Collector, first_empty: str) -> None:
    """Refuse files in which no rollout at all has lists."""
    n = out.counts.get("rollouts_without_lists", 0)
    if n and n == out.counts["rollouts_scored_by_both"]:
        raise InputError(
            f"{first_empty}: no rollout has a list of the likeliest tokens at each of its tokens;"
            " ask both servers for them (logprobs, top_logprobs or top_logprobs_num of 20)"
        )


def _check_names(names: Ids, answer: Answer) -> None:
    if names.mixed:
        raise InputError(
            f"{answer.row.where}: some tokens come with ids and others with names alone; pass"
            " tokenizer=, or ask both servers for ids (return_tokens_as_token_ids)"
        )


def _own_rollout(
    out: Collector, answer: Answer, form: Form, names: Ids
) -> tuple[RolloutRow, Scored, tuple[int, int] | None]:
    """Return a rollout, its sequence, and where its trace stands in that."""
    given = _given_ids(answer)
    logged = _logged(answer, form, sent=given is not None)
    if logged.sampled:
        out.tell(
            "probabilities_of_the_sampler",
            "{n} rollouts list probabilities after the sampler's temperature and cuts, taken as"
            " they are; ask with post_sampling_probs=false",
        )
    prompt = prompt_of(answer)
    rollout = rollout_of(out, answer, prompt)
    scored = in_ids(logged, names, out.tell, (_whole_text(answer), rollout.text))
    span: tuple[int, int] | None
    # Without a tokenizer, ids say nothing of names.
    if given is not None and (names.known is not None or not _by_names(logged)):
        span = _span_of_given(logged, scored, given)
        rollout.token_id = given
        return rollout, scored, span
    if None in logged.tokens:
        raise InputError(
            f"{answer.row.where} has no {' or '.join(map(repr, TOKENS))}; prompt_logprobs do not"
            " say which tokens are the output's"
        )
    span = _span_of_own(answer, logged, rollout, prompt)
    found = scored.ids[slice(*span)]
    if None in found:
        span = None
        _say_unknown(out, answer, logged, found, rollout)
    else:
        rollout.token_id = [token for token in found if token is not None]
    return rollout, scored, span


def _say_unknown(
    out: Collector, answer: Answer, logged: Logged, found: list[int | None], rollout: RolloutRow
) -> None:
    """Count a trace with a token that the tokenizer does not know; without a text refuse it."""
    if rollout.text is None or all(token is None for token in found):
        name = next(
            token.name
            for token, number in zip(logged.tokens[-len(found) :], found, strict=True)
            if number is None and token is not None
        )
        raise logged.row.wrong(
            "tokens", name, "a token of the tokenizer (without one, tokens are numbered)"
        )
    out.tell(
        "traces_with_unknown_tokens",
        "{n} rollouts have a token that no token of the tokenizer is named like; they keep their"
        " text alone; ask the server for ids (return_tokens_as_token_ids)",
    )


def _sent(out: Collector, answer: Answer, form: Form, names: Ids) -> Scored:
    """Return the ancestor's sequence: its end are the row's ids, where it gives them."""
    logged = _logged(answer, form, sent=True)
    scored = in_ids(logged, names, out.tell, (_whole_text(answer),))
    given = _given_ids(answer)
    if given and len(given) < len(scored.ids) and set(scored.ids) == {None}:
        scored.ids[-len(given) :] = given
    return scored


def _whole_text(answer: Answer) -> str | None:
    """Return the text that stands beside named tokens, an echoed prompt included."""
    text = answer.choice.values.get("text")
    return text if isinstance(text, str) else None


def _by_names(logged: Logged) -> bool:
    return any(
        token is not None and token.id is None and id_in(token.name or "") is None
        for token in logged.tokens
    )


def _given_ids(answer: Answer) -> list[int] | None:
    value = answer.beside(*TOKENS)
    return Row(answer.row.where, {TOKENS[0]: value}).ids(TOKENS[0], needed=False)


def _span_of_given(logged: Logged, scored: Scored, given: list[int]) -> tuple[int, int] | None:
    size = len(scored.ids)
    if None not in logged.tokens:
        return span_of(scored, given)
    if size <= len(given):
        raise InputError(
            f"{logged.row.where}: 'prompt_logprobs' has {size} entries for {len(given)} output"
            " tokens; it must cover prompt and output"
        )
    return size - len(given), size


def _span_of_own(
    answer: Answer, logged: Logged, rollout: RolloutRow, prompt: str
) -> tuple[int, int]:
    """Return where the trace stands among named tokens; an echoed prompt is none of it."""
    size = len(logged.tokens)
    if logged.generated is not None:
        return size - logged.generated, size
    if not size or logged.own[0] is not None:
        return 0, size
    # The first token of all has no log-probability: the prompt is there too.
    text = answer.row.text("generated_text", needed=False)
    if text is None and rollout.text is not None and prompt:
        text = rollout.text.partition(prompt)[2] if prompt in rollout.text else rollout.text
    span = None if text is None else echoed_from(logged, prompt, text)
    if span is None:
        raise InputError(
            f"{logged.row.where} echoes its prompt (the first token has no log-probability), and"
            " 'prompt' and 'generated_text' do not say where it ends; give both as they were sent,"
            " or output_ids"
        )
    rollout.text = text
    return span


def _lists_of_both(
    out: Collector,
    both: tuple[Scored, Scored],
    span: tuple[int, int],
    wanted: list[int],
    form: Form,
) -> tuple[Lists, Lists] | tuple[()] | None:
    """Return both models' lists; () where one is empty, None where they do not fit."""
    if not wanted:
        return None
    mine, theirs = both
    their_span = _their_span(theirs, wanted)
    if their_span is None:
        return None
    lists, n_empty = lists_along(mine, span, wanted, out.tell)
    others, n_other = lists_along(theirs, their_span, wanted, out.tell)
    if n_empty or n_other:
        out.tell(
            "rollouts_without_lists",
            "{n} rollouts have a token without a list of what may come in its place; they keep no"
            " signals; ask both servers for such lists (logprobs, top_logprobs)",
        )
        return ()
    return lists, others


def _their_span(theirs: Scored, wanted: list[int]) -> tuple[int, int] | None:
    size = len(theirs.ids)
    if size and None not in theirs.ids:
        return span_of(theirs, wanted)
    begin = size - len(wanted)
    if begin < 0:
        return None
    for place, token in zip(range(begin, size), wanted, strict=True):
        if theirs.ids[place] not in (None, token):
            return None
        listed = [each for each, _ in theirs.pairs(place)]
        if theirs.own[place] is None and listed and token not in listed:
            return None
    return begin, size
