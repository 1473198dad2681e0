"""What the authors' toolkit writes: rollouts, feature shards and repair results.

Rollouts and repair results are JSONL, shards are parquet.
"""

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.files import is_folder
from recover_nb.core.labels import Intervention, Signal
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.dense import NONE, RETRY
from recover_nb.io.jsonl import WHAT, read_problems, read_rollouts
from recover_nb.io.lines import Row, read_jsonl, read_parquet
from recover_nb.io.records import ALIASES, Collector
from recover_nb.io.rows import RolloutRow, Unit
from recover_nb.tasks.checkers import RULE

SHARD = "a feature shard of the authors' toolkit (shard_NNNN.parquet)"
REPAIRS = (
    "repair results of the authors' toolkit (JSON lines with pid, k and one object per condition)"
)
#: Column of a shard -> signal. Their ``V`` is the specialist's probability of the token; the
#: variance is ``logit_var``.
COLUMNS = {
    "Delta_path": Signal.PATH_DEFORMATION.value,
    "G_cov": Signal.COVERAGE_DEFORMATION.value,
    "J_approx": Signal.DEMOTION_PRESSURE.value,
    "logit_var": Signal.LOGIT_VARIANCE.value,
    "kl_div": Signal.KL_DIVERGENCE.value,
    "entropy": Signal.ENTROPY.value,
}
LOCAL = "local_temp_"


@checks.takes(
    tokenizer=checks.TOKENIZER,
    rollouts=checks.PATH,
    repairs=checks.PATH,
    problems=checks.PATH,
    is_correct=RULE,
    unit=checks.UNIT,
    task=checks.TEXT,
    window=checks.DRAWS,
)
def from_vllm_logits(
    rollouts: str | PathLike,
    *,
    features: str | PathLike | Sequence[str | PathLike] | None = None,
    repairs: str | PathLike | None = None,
    problems: str | PathLike | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read what the authors' toolkit wrote for one cell.

    Parameters
    ----------
    rollouts : path
        Observed rollouts as JSON lines; see `from_jsonl`.
    features : path, or paths, optional
        Feature shards: parquet files, or the folder they are in. Matched by problem and rollout.
    repairs : path, optional
        Repair results: one line per attempt, with the outcome of every condition. ``rand``,
        ``geo_pred``, ``geo_wrong``, ``dense`` and ``local_temp_*`` become `sparse_steer_random`,
        `sparse_steer`, `sparse_steer_wrong`, `dense_steer` and `local_temperature`. Their tokens
        are not in the file: such attempts have a length and no trace.
    problems, is_correct, tokenizer, unit, task, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study; signals are taken as they are stored, features and junctions computed from them.

    Raises
    ------
    InputError
        A file or field that cannot be used, a shard of rollouts that are not in the file of
        rollouts.

    Notes
    -----
    Field names: the toolkit's documentation (docs/method.md#sources). The legacy ``.pt`` cache is
    pickled and not read.
    """
    out = Collector(
        Path(rollouts).name,
        "vllm_logits",
        unit=unit,
        task=task,
        is_correct=is_correct,
        tokenizer=tokenizer,
    )
    if problems is not None:
        read_problems(out, problems)
    read_rollouts(out, read_jsonl(rollouts, WHAT), NONE)
    if features is not None:
        _read_shards(out, _shards(features))
    if repairs is not None:
        _read_repairs(out, repairs)
    return out.study(window=window)


def _shards(features: str | PathLike | Sequence[str | PathLike]) -> list[Path]:
    if not isinstance(features, str | PathLike):
        return [Path(each) for each in features]
    folder = Path(features)
    if not is_folder(folder):
        return [folder]
    found = sorted(folder.glob("shard_*.parquet"))
    if not found:
        pickled = any(folder.glob("*.pt"))
        why = (
            "its .pt files are pickled, and not read: write parquet shards"
            if pickled
            else "give the shards"
        )
        raise InputError(f"{folder}: no shard_*.parquet in it; {why}")
    return found


def _read_shards(out: Collector, paths: Sequence[Path]) -> None:
    """Give the signals of the shards to the rollouts they are of."""
    rollouts: dict[tuple[str, int], RolloutRow] = {
        (row.unit[-1], row.number): row for row in out.rows
    }
    seen: dict[tuple[str, int], str] = {}
    for path in paths:
        for row in read_parquet(path, SHARD, ("pid", "rollout_idx", *COLUMNS)):
            key = row.text("pid", blank=False), row.whole("rollout_idx")
            if key in seen:
                raise InputError(
                    f"{row.where}: rollout {key[1]} of problem {key[0]} came before ({seen[key]})"
                )
            seen[key] = row.where
            if key not in rollouts:
                raise InputError(
                    f"{row.where}: rollout {key[1]} of problem {key[0]} is not among the rollouts;"
                    " give the file of rollouts that the shard was made from"
                )
            _give(out, rollouts[key], row)
    n = out.counts.get("signals_of_other_length", 0)
    if n:
        out.notes.append(
            f"{n} of {len(seen)} rollouts have another number of tokens than the shard has signals,"
            " which are left out; they were cut, or tokenized by another tokenizer"
        )


def _give(out: Collector, rollout: RolloutRow, row: Row) -> None:
    signals = {name: np.array(row.numbers(column), np.float32) for column, name in COLUMNS.items()}
    sizes = {column: len(signals[name]) for column, name in COLUMNS.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{column} {size}" for column, size in sizes.items())
        raise InputError(
            f"{row.where}: its columns have different lengths ({shown}); each holds one number a"
            " token"
        )
    if rollout.length is not None and rollout.length != sizes["J_approx"]:
        out.count("signals_of_other_length")
    elif sizes["J_approx"]:
        rollout.signals = signals


def _read_repairs(out: Collector, path: str | PathLike) -> None:
    """Take the attempts of repair results; a line of the dense pass stands alone."""
    units = {unit[-1]: unit for unit in out.problems}
    count: dict[tuple[Unit, str], int] = {}
    for row in read_jsonl(path, REPAIRS):
        pid = row.text("pid", "problem_id", blank=False)
        if pid not in units:
            raise InputError(
                f"{row.where}: problem {pid} is not among the rollouts; give the file of rollouts"
                " of this cell"
            )
        for name, part in _conditions(row):
            number = count.get((units[pid], name), 0)
            count[units[pid], name] = number + 1
            fired = part.flag("fired", needed=False)
            at = part.whole("t_hat", needed=False) if fired else None
            out.add(
                RolloutRow(
                    part.where,
                    units[pid],
                    name,
                    number,
                    part.flag("correct"),
                    n_tokens=part.whole("n_tokens"),
                    fired_at=-1 if at is None else at,
                )
            )
    _say_of_local(out)


def _conditions(row: Row) -> Iterator[tuple[str, Row]]:
    """Yield intervention and outcome of each condition of a line."""
    known = (RETRY, *ALIASES)
    if isinstance(row.values.get("condition"), str):
        name = row.text("condition")
        if name not in known:
            raise row.wrong("condition", name, f"one of {', '.join(known)}")
        yield ALIASES.get(name, name), row
        return
    found = [name for name in row.values if name in known or name.startswith(LOCAL)]
    if not found:
        raise InputError(
            f"{row.where} has no condition; it must have some of {', '.join(known)}, {LOCAL}*"
        )
    local = [name for name in found if name.startswith(LOCAL)]
    for name in found:
        # One local temperature is the intervention; with several, the others keep their names.
        first = bool(local) and name == local[0]
        yield (
            Intervention.LOCAL_TEMPERATURE.value if first else ALIASES.get(name, name),
            row.part(name),
        )


def _say_of_local(out: Collector) -> None:
    others = sorted({row.intervention for row in out.rows if row.intervention.startswith(LOCAL)})
    if others:
        shown = ", ".join(others)
        out.notes.append(
            f"local_temperature is the first temperature of each line; kept beside it: {shown}"
        )
