"""Completions that training writes as it goes: TRL (parquet) and verl (JSON lines)."""

import hashlib
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.dense import NONE
from recover_nb.io.lines import Row, read_jsonl, read_parquet
from recover_nb.io.records import Collector
from recover_nb.io.rows import REASON, RolloutRow, ended_by

TRL = (
    "completions of TRL (completions_*.parquet with step, prompt, completion and one column per"
    " reward)"
)
VERL = "rollouts of verl ({step}.jsonl with input, output, gts, score, step)"
#: Columns of TRL's table that are no rewards.
NOT_REWARDS = ("step", "prompt", "completion", "advantage")


def from_trl(
    path: str | PathLike,
    *,
    reward: str | None = None,
    threshold: float | None = None,
    step: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "trl",
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read completions that a TRL trainer logged.

    Parameters
    ----------
    path : path
        ``completions_*.parquet``.
    reward : str, optional
        The column that says correct; the only one unless given.
    threshold : float, optional
        Rewards of at least this are correct. Without it a reward must be 0 or 1.
    step : int, optional
        Of training: at another step another model spoke. The last in the file unless given.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades completions in place of the reward. TRL keeps no answers: a callable sees "".
    tokenizer, unit, task, n_observed, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study without attempts: "retry" and the others are "not run". A problem is a prompt, named
        by its hash.

    Raises
    ------
    InputError
        A column or value that cannot be used, several rewards and no choice, a step that is not
        there.
    """
    rows = list(read_parquet(path, TRL, ("step", "prompt", "completion")))
    if is_correct is None and reward is None:
        found = [name for name in rows[0].values if name not in NOT_REWARDS]
        if len(found) != 1:
            shown = ", ".join(found) or "(none)"
            raise InputError(
                f"{path} has the rewards {shown}; pass reward= to say which one means correct"
            )
        reward = found[0]
    graded = None if is_correct is not None else reward
    fields = ("prompt", "completion", None, graded)
    out = Collector(
        Path(path).name, "trl", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    _take(out, _at_step(out, rows, path, step), fields, threshold)
    return out.study(n_observed=n_observed, window=window)


def from_verl(
    path: str | PathLike,
    *,
    threshold: float | None = None,
    step: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "verl",
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read rollouts that a verl trainer dumped.

    Parameters
    ----------
    path : path
        ``{step}.jsonl`` of the folder of rollout or validation data.
    threshold : float, optional
        Scores of at least this are correct. Without it a score must be 0 or 1.
    step, is_correct, tokenizer, unit, task, n_observed, window
        See `from_trl`; ``gts`` is the answer.

    Returns
    -------
    Dataset
        As `from_trl`.

    Raises
    ------
    InputError
        A field that cannot be used, or a step that is not there.
    """
    rows = list(read_jsonl(path, VERL))
    fields = ("input", "output", "gts", None if is_correct is not None else "score")
    out = Collector(
        Path(path).name, "verl", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    _take(out, _at_step(out, rows, path, step), fields, threshold)
    return out.study(n_observed=n_observed, window=window)


def _take(out: Collector, rows: Iterator[Row], fields: tuple, threshold: float | None) -> None:
    """Take rows as rollouts, grouped by their prompts."""
    prompt, completion, answer, score = fields
    count: dict[str, int] = {}
    for row in rows:
        text = _words(row, prompt)
        key = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        unit = (out.family, out.method, out.task, key)
        problem = out.problem(unit)
        problem.prompt = text
        if answer is not None:
            problem.answer = row.text(answer, needed=False) or ""
        number = count[key] = count.get(key, -1) + 1
        correct = None if score is None else _verdict(row, score, threshold)
        out.add(
            RolloutRow(
                row.where,
                unit,
                NONE,
                number,
                correct,
                text=_words(row, completion),
                ended=ended_by(row.find(*REASON)[1]),
            )
        )


def _at_step(out: Collector, rows: list[Row], path: Any, step: int | None) -> Iterator[Row]:
    steps = [row.whole("step") for row in rows]
    known = sorted(set(steps))
    if step is not None and step not in known:
        raise InputError(
            f"{path}: no row is of step {step}; it has {', '.join(map(str, known[:10]))}"
        )
    wanted = known[-1] if step is None else step
    if len(known) > 1:
        out.notes.append(f"{path} has {len(known)} steps of training; read was {wanted}")
    return (row for row, each in zip(rows, steps, strict=True) if each == wanted)


def _verdict(row: Row, name: str, threshold: float | None) -> bool:
    if threshold is not None:
        return row.number(name) >= threshold
    value = row.number(name)
    if value not in (0, 1):
        raise row.wrong(name, value, "0 or 1; pass threshold= to say from which on it is correct")
    return value == 1


def _words(row: Row, name: str) -> str:
    """Return a text, or the contents of a conversation."""
    value = row.find(name, needed=True)[1]
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return "\n".join(str(each.get("content") or "") for each in value)
    if not isinstance(value, str):
        raise row.wrong(name, value, "text, or a list of messages")
    return value
