"""Log-probabilities as serving APIs return them: lists of the likeliest tokens of both models.

Both go along the same traces.

One JSONL file per model, one line per rollout: what the API returned, with ``problem_id``,
``rollout_idx`` and (in the specialist's) ``is_correct``, ``prompt`` and ``answer`` beside it.
"""

import json
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.features.signal_reductions import DEFAULT_TEMPERATURE, DEFAULT_TOP_K
from recover_nb.io.dense import NONE
from recover_nb.io.jsonl import PROBLEM_ID, ROLLOUT_IDX, TOKENS
from recover_nb.io.lines import Row, read_jsonl
from recover_nb.io.logprobs.topk import Listed, check_own, signals_of_lists
from recover_nb.io.records import Collector
from recover_nb.io.rows import REASON, RolloutRow, ended_by

VLLM = "responses of vLLM (JSON lines with problem_id, rollout_idx, output_ids, prompt_logprobs)"
OPENAI = "completions with log-probabilities (JSON lines with problem_id, rollout_idx, choices)"
#: Rounding of stored log-probabilities may leave them a little above 0.
SLACK = 1e-2

Trace = tuple[list[int], list[Listed]]


def from_vllm_logprobs(
    specialist: str | PathLike,
    ancestor: str | PathLike,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read both models' ``prompt_logprobs`` of vLLM along the same rollouts.

    Parameters
    ----------
    specialist, ancestor : path
        JSON lines: ``problem_id``, ``rollout_idx``, ``output_ids`` and ``prompt_logprobs`` over
        prompt and output (first entry null, then ``{token_id: {"logprob", "rank",
        "decoded_token"}}``); the specialist's also ``is_correct``, ``prompt``, ``answer``,
        ``generated_text``.
    temperature : float
        T at which the rollouts were sampled. vLLM returns log-probabilities at T = 1; they are
        tempered here.
    top_k, k_cov
        See `recover_nb.signals_from_topk`.
    is_correct, unit, task, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study with signals, ``missing_mass`` and ``missing_mass_ancestor`` (problem, rollout,
        token): the probability at T = 1 that is not in the lists; and both models' likeliest tokens
        along each problem's first failed rollout.

    Raises
    ------
    InputError
        A field that cannot be used, a rollout that the ancestor's file lacks, a list that is empty
        or lacks the token.

    Notes
    -----
    docs/method.md#top-k-lists. Rollouts whose lists do not go along their tokens (another
    tokenizer) keep no signals; they are counted in ``import_counts_json`` and said in
    ``import_notes``.
    """
    options = {"temperature": temperature, "top_k": top_k, "k_cov": k_cov}
    out = Collector(
        Path(specialist).name, "vllm_logprobs", unit=unit, task=task, is_correct=is_correct
    )
    _read_both(
        out,
        read_jsonl(specialist, VLLM),
        read_jsonl(ancestor, VLLM),
        ancestor,
        _vllm_trace,
        options,
    )
    return out.study(window=window)


def from_openai_logprobs(
    specialist: str | PathLike,
    ancestor: str | PathLike,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read OpenAI-style completions with ``logprobs``, and the ancestor's along the same text.

    Parameters
    ----------
    specialist : path
        JSON lines: ``problem_id``, ``rollout_idx`` and ``choices`` with ``text`` and ``logprobs``
        (``tokens``, ``token_logprobs``, ``top_logprobs``); ``is_correct``, ``prompt``, ``answer``.
    ancestor : path
        The same lines scored by the ancestor: prompt and text sent with ``echo``; what stands
        before the text's tokens, and one token after them, is passed over.
    tokenizer : optional
        With ``get_vocab``: token names become its ids. Otherwise tokens are numbered in the order
        they come, and attribute ``vocabulary_json`` lists their names.
    temperature, top_k, k_cov, is_correct, unit, task, window
        See `from_vllm_logprobs`.

    Returns
    -------
    Dataset
        As `from_vllm_logprobs`.

    Raises
    ------
    InputError
        As `from_vllm_logprobs`.
    """
    options = {"temperature": temperature, "top_k": top_k, "k_cov": k_cov}
    out = Collector(
        Path(specialist).name, "openai_logprobs", unit=unit, task=task, is_correct=is_correct
    )
    names = _Vocabulary({} if tokenizer is None else dict(tokenizer.get_vocab()))
    _read_both(
        out,
        read_jsonl(specialist, OPENAI),
        read_jsonl(ancestor, OPENAI),
        ancestor,
        names.trace,
        options,
    )
    ds = out.study(window=window)
    return (
        ds
        if tokenizer is not None
        else ds.assign_attrs(vocabulary_json=json.dumps(list(names.ids)))
    )


def _read_both(
    out: Collector,
    specialist: Iterator[Row],
    ancestor: Iterator[Row],
    path: str | PathLike,
    trace: Callable[[Row], Trace],
    options: dict[str, Any],
) -> None:
    """Take the specialist's rollouts, with signals where the ancestor's lists fit the tokens."""
    others: dict[tuple, tuple[Row, Trace]] = {}
    for row in ancestor:
        key = _key(row)
        if key in others:
            before = others[key][0].where
            raise InputError(
                f"{row.where}: rollout {key[1]} of problem {key[0]} came before ({before})"
            )
        others[key] = row, trace(row)
    surprisal, entropy = [], []
    for row in specialist:
        key, (tokens, lists) = _key(row), trace(row)
        if key not in others:
            raise InputError(
                f"{row.where}: rollout {key[1]} of problem {key[0]} is not in {path}; score it by"
                " both models"
            )
        rollout = _rollout(out, row, key, tokens)
        along = _along(*others[key][1], tokens)
        out.count("rollouts_scored_by_both")
        if along is None or len(lists) < len(tokens):
            out.count("tokenization_mismatches")
        elif tokens:
            mine = lists[-len(tokens) :]
            rollout.signals, rollout.alternatives = signals_of_lists(mine, along, tokens, **options)
            surprisal.append(
                [
                    -listed[token]
                    for listed, token in zip(mine, tokens, strict=True)
                    if token in listed
                ]
            )
            entropy.append(rollout.signals[Signal.ENTROPY.value])
        out.add(rollout)
    check_own(
        surprisal,
        entropy,
        "the specialist",
        "take a server that lists what may come in a token's place",
    )
    n, total = (
        out.counts.get("tokenization_mismatches", 0),
        out.counts.get("rollouts_scored_by_both", 0),
    )
    if n:
        out.notes.append(
            f"{n} of {total} rollouts are other tokens to the ancestor than to the specialist; they"
            " keep no signals"
        )


def _key(row: Row) -> tuple[str, int]:
    return row.text(*PROBLEM_ID, blank=False), row.whole(*ROLLOUT_IDX)


def _rollout(out: Collector, row: Row, key: tuple[str, int], tokens: list[int]) -> RolloutRow:
    unit = (out.family, out.method, out.task, key[0])
    problem = out.problem(unit)
    problem.prompt = row.text("prompt", needed=False) or problem.prompt
    problem.answer = row.text("answer", needed=False) or problem.answer
    text, reason = row.text("generated_text", needed=False), row.find(*REASON)[1]
    if "choices" in row.values:
        choice = _choice(row)
        text = choice.text("text", needed=False) if text is None else text
        reason = choice.find(*REASON)[1] if reason is None else reason
    return RolloutRow(
        row.where,
        unit,
        NONE,
        key[1],
        row.flag("is_correct", needed=False),
        text=text,
        token_id=tokens,
        ended=ended_by(reason),
    )


def _along(tokens: list[int], lists: list[Listed], wanted: list[int]) -> list[Listed] | None:
    """Return the lists along `wanted` at the end of a scored sequence, or one before the end.

    None is returned if it is not there.
    """
    n = len(wanted)
    for end in (len(tokens), len(tokens) - 1):
        if n <= end and tokens[end - n : end] == wanted and len(lists) >= n:
            found = lists[len(lists) - (len(tokens) - end) - n : len(lists) - (len(tokens) - end)]
            return found if all(found) else None
    return None


def _vllm_trace(row: Row) -> Trace:
    """Return the output's tokens and the lists along them."""
    tokens = row.ids(*TOKENS)
    entries = row.find("prompt_logprobs", needed=True)[1]
    if not isinstance(entries, list):
        raise row.wrong(
            "prompt_logprobs", entries, "a list with one entry per token, the first null"
        )
    if len(entries) <= len(tokens):
        raise InputError(
            f"{row.where}: 'prompt_logprobs' has {len(entries)} entries for {len(tokens)} output"
            " tokens; it must cover prompt and output"
        )
    along = entries[len(entries) - len(tokens) :]
    return tokens, [
        _vllm_list(row, entry, token) for entry, token in zip(along, tokens, strict=True)
    ]


def _vllm_list(row: Row, entry: Any, token: int) -> Listed:
    if not isinstance(entry, dict) or not entry:
        raise row.wrong(
            "prompt_logprobs", entry, "objects of token_id to logprob from the second entry on"
        )
    found = {}
    for name, value in entry.items():
        if not name.isdecimal() or not isinstance(value, dict):
            raise row.wrong(
                "prompt_logprobs",
                {name: value},
                "objects of token_id to {logprob, rank, decoded_token}",
            )
        found[int(name)] = _log_probability(Row(f"{row.where}, prompt_logprobs", value), "logprob")
    if token not in found:
        raise InputError(
            f"{row.where}: the list of a place lacks its token {token}; prompt_logprobs and"
            " output_ids are of different sequences"
        )
    return found


def _log_probability(row: Row, name: str) -> float:
    value = row.number(name)
    if value > SLACK:
        raise row.wrong(name, value, "a log-probability, 0 or less")
    return min(value, 0.0)


def _choice(row: Row) -> Row:
    choices = row.find("choices", needed=True)[1]
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise row.wrong("choices", choices, "a list with one completion")
    return Row(f"{row.where}, choices", choices[0])


class _Vocabulary:
    """Token names as numbers: a tokenizer's, or in the order they come."""

    def __init__(self, known: dict[str, int]) -> None:
        self.ids, self._grows = known, not known

    def id_of(self, row: Row, name: Any) -> int:
        if not isinstance(name, str):
            raise row.wrong("tokens", name, "texts")
        if name not in self.ids:
            if not self._grows:
                raise row.wrong(
                    "tokens", name, "a token of the tokenizer (without one, tokens are numbered)"
                )
            self.ids[name] = len(self.ids)
        return self.ids[name]

    def trace(self, row: Row) -> Trace:
        """Return tokens of a completion, or of prompt and completion, and the lists along them."""
        logged = _choice(row).part("logprobs")
        names, own, lists = (
            logged.find(name, needed=True)[1]
            for name in ("tokens", "token_logprobs", "top_logprobs")
        )
        for name, value in (("tokens", names), ("token_logprobs", own), ("top_logprobs", lists)):
            if not isinstance(value, list) or len(value) != len(names):
                raise logged.wrong(name, value, "a list with one entry per token")
        tokens = [self.id_of(logged, name) for name in names]
        return tokens, [self._listed(logged, *each) for each in zip(names, own, lists, strict=True)]

    def _listed(self, row: Row, name: str, own: Any, listed: Any) -> Listed:
        """Return one list, with the token itself; empty at the first place of a prompt.

        That place has no list.
        """
        if own is None and not listed:
            return {}
        if listed is not None and not isinstance(listed, dict):
            raise row.wrong("top_logprobs", listed, "objects of token to log-probability")
        values = {**(listed or {}), name: own}
        where = Row(f"{row.where}, top_logprobs", values)
        return {self.id_of(row, each): _log_probability(where, each) for each in values}
