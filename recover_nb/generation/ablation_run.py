"""Ablations that need the models: signals at other settings, and attempts with other operators.

Needs torch.

Every attempt repeats the random numbers of the study's, so that it is a twin of the stored
``retry``.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from recover_nb.core import checks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Method, Signal
from recover_nb.core.places import check_free, taken
from recover_nb.core.schema import UNIT_COORDS, failed_rollouts, text
from recover_nb.core.stored_json import json_attr, json_part
from recover_nb.core.visible import visible
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.features.signal_reductions import default_k_cov
from recover_nb.generation.config import attempts_of, settings_of
from recover_nb.generation.decoding import (
    Calibration,
    Decoded,
    Pair,
    Settings,
    check_device,
    decode,
    problem_key,
)
from recover_nb.generation.decoding.threads import threads_for
from recover_nb.generation.lineage import checkpoint_folder, load_lineage
from recover_nb.generation.provenance import check_packages, git_commit, package_versions
from recover_nb.generation.recompute import compute_signals
from recover_nb.generation.staging import Staging
from recover_nb.generation.traces import check_traces
from recover_nb.routing.ablation.stored import (
    ATTEMPT_VARIATIONS,
    LAYOUT,
    OWN,
    SIGNAL_VARIATIONS,
    Variation,
    cell_units,
    fingerprint,
    load_ablations,
    pack,
    spread_out,
)

#: Decimals of the features written: finer than any of them is known.
DECIMALS = 3

#: Whether attempts (problem, attempt) were correct, and whether the operator acted.
Attempted = tuple[np.ndarray, np.ndarray]


@checks.takes(out=checks.PATH, n_problems=checks.COUNT, resume=checks.FLAG, lab=checks.PATH)
@takes_study()
def run_ablations(
    ds: xr.Dataset,
    out: str | Path,
    *,
    n_problems: int = 30,
    resume: bool = False,
    progress: bool = True,
    lab: str | Path | None = None,
    device: str | None = None,
) -> Path:
    """Compute signals and make attempts at other settings, and write counts and rates as JSON.

    Cells that are done are kept beside `out` (``OUT.partial``) until all are there.

    Parameters
    ----------
    ds : Dataset
        A study of the lineage: its tokens, its calibration and its ``retry`` attempts are used.
    out : path
        Must not exist.
    n_problems : int
        Failed problems of each cell that get new attempts, evenly spaced over the cell; all get new
        signals.
    resume : bool
        Go on with an unfinished run; with nothing to go on with, start; with a finished one, do
        nothing.
    progress : bool
        Show a bar on standard error.
    lab, device : optional
        As for `run_study`.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        `out` exists, an unfinished run is there and ``resume`` is False or it is another run, a
        checkpoint is missing or is not the one the study was made with, an operator is not in the
        study.
    """
    out = Path(out)
    if out.suffix != ".json":
        raise InputError(f"{out}: ablations end in .json")
    is_there = os.path.lexists(out)
    if is_there and not resume:
        raise taken(out)
    if not is_there:
        check_free(out)
    if device is not None:
        check_device(device)
    about = _describe(ds, n_problems, lab)
    staging = Staging(out)
    if is_there:
        _check_same(load_ablations(out)["about"], about, out)
        staging.finish()
        return out
    names = list(
        dict.fromkeys(zip(*(text(ds[name]).tolist() for name in UNIT_COORDS[:3]), strict=True))
    )
    with _begun(staging, about, resume):
        _run_cells(ds, names, staging, about, progress, lab, device)
        staging.place(lambda folder: _written(folder / out.name, staging, names, about))
    return out


def _run_cells(
    ds: xr.Dataset,
    names: list[tuple[str, str, str]],
    staging: Staging,
    about: dict[str, Any],
    progress: bool,
    lab: str | Path | None,
    device: str | None,
) -> None:
    """Compute the cells that are not done, and keep each."""
    missing = [i for i in range(len(names)) if not staging.has(i)]
    loaded: dict[tuple[str, str], Pair] = {}
    with tqdm(
        total=len(names),
        initial=len(names) - len(missing),
        unit="cell",
        file=sys.stderr,
        disable=not progress,
    ) as bar:
        for i in missing:
            family, method, _ = names[i]
            bar.set_description(visible("|".join(names[i])))
            if (family, method) not in loaded:
                loaded = {(family, method): load_lineage(family, method, root=lab, device=device)}
            part = ds.isel(problem=cell_units(ds, names[i]))
            found = ablate_cell(
                part,
                loaded[family, method],
                about["n_problems"],
                about["n_attempts"],
                bar.set_postfix_str,
            )
            staging.write(i, {_CELL: np.array(json.dumps(found))})
            bar.update()


def _written(
    path: Path, staging: Staging, names: list[tuple[str, str, str]], about: dict[str, Any]
) -> Path:
    """Write all cells as one file; return where it is."""
    cells = {
        "|".join(name): json.loads(str(staging.read(i)[_CELL])) for i, name in enumerate(names)
    }
    variations = [
        {"name": each.name, "factor": each.factor, "value": each.value} for each in _VARIATIONS
    ]
    stamp = {"created_at": datetime.now(UTC).isoformat(timespec="seconds")}
    found = {"about": about | stamp, "variations": variations, "cells": cells}
    path.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    return path


#: Under what a cell is kept, as JSON, until all are there.
_CELL = "cell"

_VARIATIONS = (*SIGNAL_VARIATIONS, *ATTEMPT_VARIATIONS)


def _describe(ds: xr.Dataset, n_problems: int, lab: str | Path | None) -> dict[str, Any]:
    """Return the provenance of a run, after checking that the models are those of the study."""
    models = json_part(ds.attrs, "provenance_json", "models")
    for unit, described in models.items():
        family, _, method = unit.rpartition("|")
        for role, name in (("specialist", method), ("ancestor", Method.ANCESTOR.value)):
            folder = checkpoint_folder(family, name, root=lab)
            if checkpoint_hash(folder) != described.get(f"{role}_sha256"):
                raise InputError(
                    f"{folder} is not the checkpoint that the study was made with; put that one"
                    " there"
                )
    wanted = {name for each in ATTEMPT_VARIATIONS for name in each.interventions} | {
        Intervention.RETRY.value
    }
    missing = sorted(wanted - set(text(ds["intervention"]).tolist()))
    if missing:
        raise InputError(
            f"the study has no intervention {', '.join(missing)}; ablations compare with their"
            " attempts"
        )
    config = json_attr(ds.attrs, "config_json")
    return {
        "layout": LAYOUT,
        "command": f"recover-nb ablate --problems {n_problems}",
        "study": fingerprint(ds),
        "seed": int(config["seed"]),
        "n_problems": n_problems,
        "n_attempts": int(config["n_attempts"]),
        "packages": package_versions(),
        "git_commit": git_commit(),
        "models": models,
    }


@contextmanager
def _begun(staging: Staging, about: dict[str, Any], resume: bool) -> Iterator[None]:
    """Hold the folder of a new run, or with `resume` of this very run."""
    with staging.held(resume):
        if staging.started():
            before = staging.read_run()
            _check_same(before, about, staging.folder)
            check_packages(before["packages"])
        else:
            staging.begin(about)
        yield


def _check_same(before: dict[str, Any], about: dict[str, Any], where: Path) -> None:
    changed = [
        name for name in ("study", "n_problems", "models") if before.get(name) != about[name]
    ]
    if changed:
        raise InputError(
            f"{where} is of a run with another {changed[0]}; remove it, or choose another --out"
        )


def ablate_cell(
    ds: xr.Dataset,
    pair: Pair,
    n_problems: int,
    n_attempts: int,
    tell: Callable[[str], object] = lambda stage: None,
) -> dict[str, Any]:
    """Return every figure of one cell.

    Parameters
    ----------
    ds : Dataset
        The failed units of the cell.
    pair : Pair
    n_problems, n_attempts : int
    tell : callable
        Called with the name of each variation as it begins.

    Returns
    -------
    dict
        ``k_cov``: the numbers behind ``half`` and ``double``; ``features``: variation to features
        (3, unit) of the rollouts whose signals are stored; ``signal_check``: largest difference
        between features from stored and from recomputed signals; ``attempted``: units with new
        attempts; ``attempts``: variation to operator to ``attempts``, ``correct``, ``fired`` and
        ``outcomes`` (see `pack`); ``repeat_check``: share of attempts at the study's own settings
        that repeat its tokens.
    """
    settings = settings_of(json_part(ds.attrs, "config_json", "settings"))
    chosen = spread_out(ds.sizes["problem"], n_problems)
    part = ds.isel(problem=chosen).load()
    with threads_for(pair):
        features, difference = _features(ds, pair, settings, tell)
        attempts, repeated = _attempt_all(part, pair, settings, n_attempts, tell)
    sizes = {
        each.name: varied(settings, each, pair).k_cov
        for each in SIGNAL_VARIATIONS
        if each.factor == "k_cov"
    }
    return {
        "k_cov": sizes,
        "features": features,
        "signal_check": round(difference, 6),
        "attempted": chosen.tolist(),
        "attempts": attempts,
        "repeat_check": repeated,
    }


def varied(settings: Settings, variation: Variation, pair: Pair) -> Settings:
    """Return settings with one of them put to another value.

    ``k_cov`` is kept within half the vocabulary.
    """
    value = variation.value
    if isinstance(value, str):
        if variation.factor != "k_cov":
            raise InputError(
                f"{variation.name}: allowed for k_cov only; {variation.factor} takes a number"
            )
        usual = settings.k_cov or default_k_cov(pair.vocab_size)
        value = max(1, usual // 2) if value == "half" else min(2 * usual, pair.vocab_size // 2)
    return replace(settings, **{variation.factor: value})


def _features(
    ds: xr.Dataset, pair: Pair, settings: Settings, tell: Callable[[str], object]
) -> tuple[dict[str, list], float]:
    """Return features of the stored failed rollouts at every signal setting.

    How far recomputing alone moves them is returned too.
    """
    used = ds["has_signals"].values == 1
    traces = ds.sel(intervention=[Intervention.NONE.value])
    length = np.where(
        used[..., None],
        traces["n_tokens"].transpose("problem", "rollout", "intervention").values,
        0,
    )
    traces = traces.assign(n_tokens=(("problem", "rollout", "intervention"), length))

    def features(signals: dict[str, np.ndarray]) -> np.ndarray:
        pressure, variance = (
            signals[name] for name in (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
        )
        return problem_features(
            rollout_features(pressure, variance, length[..., 0], window=settings.window), used
        )

    tell("signals")
    tokens = traces["token_id"].transpose("problem", "rollout", "token", "intervention").values
    first = _first_alike(tokens[..., 0], used)
    alike = first[..., None]
    traces["n_tokens"] = traces["n_tokens"].where(
        (first == np.arange(first.shape[1]))[..., None], 0
    )

    def recomputed(settings: Settings) -> np.ndarray:
        signals = compute_signals(traces, pair, settings=settings)
        return features(
            {name: np.take_along_axis(signals[name].values, alike, axis=1) for name in Signal}
        )

    again = recomputed(settings)
    found = {}
    for each in SIGNAL_VARIATIONS:
        tell(each.name)
        values = recomputed(varied(settings, each, pair))
        found[each.name] = np.round(values, DECIMALS).T.tolist()
    stored = features({name: ds[name].values for name in Signal})
    return found, float(np.abs(again - stored).max(initial=0))


def _first_alike(token_id: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return for each used trace its problem's first with the same tokens.

    The result is (problem, rollout) int64.

    Short wrong answers come again and again; one pass over each is enough.
    """
    first = np.tile(np.arange(used.shape[1]), (len(used), 1))
    for problem, rollout in np.argwhere(used):
        same = used[problem] & (token_id[problem] == token_id[problem, rollout]).all(axis=-1)
        first[problem, rollout] = same.argmax()
    return first


def _attempt_all(
    ds: xr.Dataset, pair: Pair, settings: Settings, n_attempts: int, tell: Callable[[str], object]
) -> tuple[dict[str, dict[str, Any]], float]:
    """Attempt every variation, and the study's own settings.

    It returns counts and outcomes, and how often the stored attempts are repeated.

    The study's own settings are run again, rather than read, because a score that equals its
    threshold fires or does not by a last bit, which differs between batch shapes: in one shape,
    only the setting differs.
    """
    usual = ds["warmup"].values.astype(np.int64)
    own: dict[str, Attempted] = {}
    same = []
    for name in dict.fromkeys(name for each in ATTEMPT_VARIATIONS for name in each.interventions):
        tell(name)
        decoded = _decode(ds, pair, settings, usual, name, n_attempts)
        own[name] = _check(ds, pair, decoded), decoded.fired_at >= 0
        stored = ds["token_id"].sel(intervention=name).values[:, : decoded.token_id.shape[1]]
        same.append((decoded.token_id == stored).all(axis=-1).ravel())
    found = {OWN: {name: _counts(*each) for name, each in own.items()}}
    for each in ATTEMPT_VARIATIONS:
        tell(each.name)
        found[each.name] = {}
        for name in each.interventions:
            warmup = _warmup(usual, each)
            changed = varied(settings, each, pair) if each.factor != "warmup" else settings
            # Where a variation changes nothing, it gives what the study's own settings give.
            rows = np.flatnonzero((warmup != usual) | (changed != settings))
            outcome = _replaced(ds, pair, changed, warmup, name, n_attempts, rows, own[name])
            found[each.name][name] = _counts(*outcome)
    return found, float(np.concatenate(same).mean())


def _replaced(
    ds: xr.Dataset,
    pair: Pair,
    settings: Settings,
    warmup: np.ndarray,
    name: str,
    n_attempts: int,
    rows: np.ndarray,
    own: Attempted,
) -> Attempted:
    """Return outcomes like `own`, but for the problems `rows` those of new attempts."""
    correct, fired = (each.copy() for each in own)
    if len(rows):
        part = ds.isel(problem=rows)
        decoded = _decode(part, pair, settings, warmup[rows], name, n_attempts)
        correct[rows], fired[rows] = _check(part, pair, decoded), decoded.fired_at >= 0
    return correct, fired


def _counts(correct: np.ndarray, fired: np.ndarray) -> dict[str, Any]:
    counts = {
        "attempts": int(correct.size),
        "correct": int(correct.sum()),
        "fired": int(fired.sum()),
    }
    return counts | {"outcomes": pack(correct)}


def _warmup(usual: np.ndarray, variation: Variation) -> np.ndarray:
    if variation.factor != "warmup":
        return usual
    return 2 * usual if variation.value == "double" else np.full_like(usual, variation.value)


def _decode(
    ds: xr.Dataset,
    pair: Pair,
    settings: Settings,
    warmup: np.ndarray,
    intervention: str,
    n_attempts: int,
) -> Decoded:
    """Attempt stored problems, as twins of their stored retries."""
    count = attempts_of(intervention, n_attempts, n_attempts)
    units = (text(ds[name]).tolist() for name in UNIT_COORDS)
    keys = np.array([problem_key(*unit) for unit in zip(*units, strict=True)], dtype=np.uint64)
    retry = ds.sel(intervention=Intervention.RETRY.value)
    n_tokens = retry["n_tokens"].values[:, :count]
    blank = np.zeros_like(n_tokens)
    twins = Decoded(
        retry["token_id"].values[:, :count], n_tokens, blank - 1, blank > 0, blank, blank
    )
    return decode(
        pair,
        text(ds["prompt"]).tolist(),
        keys,
        np.arange(count),
        intervention,
        settings,
        calibration=_calibration(ds, warmup),
        twins=twins,
    )


def _calibration(ds: xr.Dataset, warmup: np.ndarray) -> Calibration:
    """Return the calibration that a study stores, with another warm-up. It can replay nothing."""
    observed = ds.sel(intervention=Intervention.NONE.value)
    failed = failed_rollouts(ds) & (observed["n_tokens"].values > 0)
    lengths = np.ma.masked_array(observed["n_tokens"].values, ~failed)
    n = ds.sizes["problem"]
    return Calibration(
        threshold=ds["fire_threshold"].values,
        coverage_mean=ds["coverage_mean"].values,
        coverage_sd=ds["coverage_sd"].values,
        warmup=warmup,
        median_length=np.ma.median(lengths, axis=1).filled(0).astype(np.float64),
        n_failed=np.ones(n, np.int64),
        failed_token_id=np.full((n, 1, 1), -1, np.int32),
        junction=np.zeros((n, 1), np.int64),
        junction_is_coverage=np.zeros((n, 1), bool),
    )


def _check(ds: xr.Dataset, pair: Pair, decoded: Decoded) -> np.ndarray:
    answers = text(ds["answer"]).tolist()
    rows = zip(decoded.token_id, decoded.n_tokens, answers, strict=True)
    return np.stack(
        [check_traces(pair, tokens, lengths, answer) for tokens, lengths, answer in rows]
    )
