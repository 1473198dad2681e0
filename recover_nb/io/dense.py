"""Rollouts laid out as the dense arrays of a study, with what their signals say."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Origin, Signal
from recover_nb.core.schema import PREFIX, empty, is_failure
from recover_nb.features.features import junction, problem_features, rollout_features
from recover_nb.io.rows import SIGNALS, ProblemRow, RolloutRow, Unit

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value
#: Facts of a rollout that a file may tell.
_FACTS = ("ended", "worked")
#: A study whose dense traces would take more than this is refused: a few very long ones pad all
#: others.
MAX_BYTES = 2**33


def order_interventions(found: Sequence[str]) -> tuple[str, ...]:
    """`none` and `retry`, the known ones in their order, then the others in the order they came."""
    known = [name.value for name in Intervention]
    others = [name for name in dict.fromkeys(found) if name not in known]
    return tuple([NONE, RETRY, *(name for name in known[2:] if name in found), *others])


def lay_out(
    rows: list[RolloutRow],
    problems: dict[Unit, ProblemRow],
    names: tuple[str, ...],
    window: int,
    least_tokens: int = 0,
) -> dict[str, np.ndarray]:
    """Lay rollouts out densely, as in `schema`, with only what some row has.

    No derived variable is laid out.

    Parameters
    ----------
    rows : list of RolloutRow
    problems : dict of unit to ProblemRow
    names : tuple of str
        Interventions, in the order of the axis.
    window : int
        Of the junction.
    least_tokens : int
        Least size of the token axis, where traces are stored.

    Raises
    ------
    InputError
        Signals that do not fit their tokens, or traces too long to lay out.
    """
    units = list(problems)
    place = {unit: i for i, unit in enumerate(units)}
    numbers: dict[tuple, list[int]] = {}
    for row in rows:
        numbers.setdefault((row.unit, row.intervention), []).append(row.number)
    # Numbers may have gaps (only the failed ones were kept): places have none.
    ranks = {key: {n: i for i, n in enumerate(sorted(each))} for key, each in numbers.items()}
    at = [
        (
            place[row.unit],
            ranks[row.unit, row.intervention][row.number],
            names.index(row.intervention),
        )
        for row in rows
    ]
    traced = all(row.length is not None for row in rows) and any(
        row.token_id is not None for row in rows
    )
    sizes = {
        "problem": len(units),
        "rollout": max(map(len, numbers.values())),
        "intervention": len(names),
        "token": max(least_tokens, *(row.length or 0 for row in rows)) if traced else 0,
        "feature": len(Feature),
    }
    _check_size(sizes, any(row.signals for row in rows))
    arrays = _about_problems(units, problems, sizes)
    arrays |= _about_rollouts(rows, at, sizes, traced)
    signals = _signals(rows, at, sizes)
    known = (arrays[name] for name in ("correct", "ended"))
    failed = is_failure(*(each[:, :, 0] for each in known if each is not None))
    arrays["n_failed_rollouts"] = failed.sum(1).astype(np.int32)
    arrays["features"] = empty("features", sizes)
    if signals:
        arrays |= _from_signals(signals, failed, window)
    arrays = {
        name: values for name, values in arrays.items() if traced or not _has_token(name, arrays)
    }
    if not traced:
        for name in ("n_tokens", "fired_at", "token_id"):
            arrays.pop(name, None)
    if traced and signals:
        arrays |= _alternatives(rows, at, failed, sizes)
    _keep_stored(arrays, rows, at, [problems[unit] for unit in units], sizes)
    return {name: values for name, values in arrays.items() if values is not None}


def _has_token(name: str, arrays: dict[str, np.ndarray]) -> bool:
    return name in {*SIGNALS, "has_signals", "junction"}


def _keep_stored(
    arrays: dict[str, Any],
    rows: list[RolloutRow],
    at: list,
    problems: list[ProblemRow],
    sizes: dict[str, int],
) -> None:
    """Put what the file itself stores over what was computed from it."""
    for name in {name for row in rows for name in row.extra}:
        arrays[name] = empty(name, sizes)
    for row, where in zip(rows, at, strict=True):
        for name, value in row.extra.items():
            arrays[name][where[: arrays[name].ndim]] = value
    stored = [
        (i, name, np.asarray(value))
        for i, each in enumerate(problems)
        for name, value in each.stored.items()
    ]
    # A study may keep fewer prefixes than its longest trace has.
    prefixes = [value.shape[-1] for _, name, value in stored if name == "value_right"]
    sizes = sizes | ({PREFIX: max(prefixes)} if prefixes else {})
    for name in {name for _, name, _ in stored}:
        arrays[name] = empty(name, sizes)
    for i, name, value in stored:
        room = arrays[name].shape[1:]
        if any(n > m for n, m in zip(value.shape, room, strict=True)):
            raise InputError(
                f"{name!r} of problem {i} has the shape {value.shape}, more than its study has room"
                f" for ({room}); leave it out, or read the file as it was written"
            )
        arrays[name][(i, *(slice(0, n) for n in value.shape))] = value


def _check_size(sizes: dict[str, int], signals: bool) -> None:
    cells = sizes["problem"] * sizes["rollout"] * sizes["token"]
    needed = 4 * cells * (sizes["intervention"] + 8 * signals)
    if needed > MAX_BYTES:
        raise InputError(
            f"{sizes['problem']} problems x {sizes['rollout']} rollouts x {sizes['intervention']}"
            f" interventions padded to {sizes['token']} tokens take {needed / 1e9:.0f} GB; import"
            " fewer problems at a time, or leave out the longest rollouts"
        )


def _about_problems(
    units: list[Unit], problems: dict[Unit, ProblemRow], sizes: dict[str, int]
) -> dict[str, np.ndarray]:
    arrays = {name: empty(name, sizes) for name in ("prompt", "answer", "level")}
    for i, unit in enumerate(units):
        each = problems[unit]
        arrays["prompt"][i], arrays["answer"][i], arrays["level"][i] = (
            each.prompt,
            each.answer,
            each.level,
        )
    text = dict(
        zip(("family", "method", "task", "problem_id"), zip(*units, strict=True), strict=True)
    )
    text["split"] = [problems[unit].split for unit in units]
    return arrays | {name: np.array(list(values), dtype=object) for name, values in text.items()}


def _about_rollouts(
    rows: list[RolloutRow], at: list[tuple[int, int, int]], sizes: dict[str, int], traced: bool
) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        name: empty(name, sizes) for name in ("correct", "n_tokens", "fired_at", "token_id")
    }
    shape = arrays["correct"].shape
    has_text = any(row.text is not None for row in rows)
    arrays["generated_text"] = np.full(shape, "", dtype=object) if has_text else None
    facts = {name: any(getattr(row, name) is not None for row in rows) for name in _FACTS}
    arrays |= {name: empty(name, sizes) if known else None for name, known in facts.items()}
    arrays["origin"] = empty("origin", sizes) if any(facts.values()) else None
    for row, where in zip(rows, at, strict=True):
        arrays["correct"][where] = int(row.correct)
        for name in _FACTS:
            if getattr(row, name) is not None:
                arrays[name][where] = int(getattr(row, name))
        if arrays["origin"] is not None and not row.correct:
            arrays["origin"][where] = _origin(row)
        if has_text:
            arrays["generated_text"][where] = row.text or ""
        if traced:
            arrays["n_tokens"][where] = row.length
            arrays["fired_at"][where] = row.fired_at if row.fired_at < row.length else -1
            if row.token_id is not None:
                arrays["token_id"][(*where, slice(0, row.length))] = row.token_id
    return arrays


def _origin(row: RolloutRow) -> str:
    """Say what a file can tell of where a wrong rollout went wrong."""
    if row.ended is False:
        return Origin.CUT_OFF.value
    return Origin.GUESS.value if row.worked is False else ""


def _signals(rows: list[RolloutRow], at: list, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Return signals of observed rollouts, (problem, rollout, token).

    Their length is their own where no token dimension is stored.
    """
    having = [
        (row, where) for row, where in zip(rows, at, strict=True) if row.signals and where[2] == 0
    ]
    if not having:
        return {}
    longest = max(sizes["token"], *(len(next(iter(row.signals.values()))) for row, _ in having))
    shape = sizes["problem"], sizes["rollout"]
    names = {name for row, _ in having for name in row.signals}
    found = {name: np.zeros((*shape, longest), np.float32) for name in names}
    found["length"], found["has_signals"] = np.zeros(shape, np.int64), np.zeros(shape, np.int8)
    for row, (p, r, _) in having:
        sizes_of = {name: len(values) for name, values in row.signals.items()}
        n = row.length or max(sizes_of.values())
        if set(sizes_of.values()) != {n}:
            shown = ", ".join(f"{name} {size}" for name, size in sorted(sizes_of.items()))
            raise InputError(
                f"{row.where}: the rollout has {n} tokens, but its signals have {shown}; they must"
                " be as many"
            )
        for name, values in row.signals.items():
            found[name][p, r, :n] = values
        found["length"][p, r], found["has_signals"][p, r] = n, 1
    return found


def _from_signals(
    signals: dict[str, np.ndarray], failed: np.ndarray, window: int
) -> dict[str, np.ndarray]:
    """Junctions, features, and the signals of failed rollouts themselves."""
    length, has = signals.pop("length"), signals.pop("has_signals")
    pressure, variance = (
        signals[name.value] for name in (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
    )
    used = failed & (has == 1)
    values = rollout_features(pressure, variance, length, window=window)
    return signals | {
        "has_signals": has,
        "junction": np.where(used, junction(pressure, length), -1).astype(np.int32),
        "features": problem_features(values, used),
    }


def _alternatives(
    rows: list, at: list, failed: np.ndarray, sizes: dict[str, int]
) -> dict[str, np.ndarray]:
    """Keep what both models preferred along each problem's first failed rollout, if lists say."""
    first = np.where(failed.any(1), failed.argmax(1), -1)
    having = [
        (row, p)
        for row, (p, r, i) in zip(rows, at, strict=True)
        if row.alternatives is not None and i == 0 and r == first[p]
    ]
    if not having:
        return {}
    arrays = {
        name: empty(name, sizes) for name in ("alternative_token_id", "alternative_log_probability")
    }
    for row, p in having:
        for values, given in zip(arrays.values(), row.alternatives, strict=True):
            values[p, : len(given)] = given
    return arrays
