"""Companions of a study: its problems over other numbers, and its problems drawn again.

See docs/method.md#companions.

A regime is read off a few attempts, so it changes when they are drawn again. Only what new numbers
change beyond that is due to the numbers. Both companions are ordinary runs of which the small
variables are kept. Running needs torch, reading does not.
"""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from recover_nb import tasks
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import (
    ROUTED_INTERVENTIONS,
    SURVIVAL_COMPANIONS,
    Companion,
    Family,
    Intervention,
    Signal,
    parse,
)
from recover_nb.core.schema import failed_rollouts
from recover_nb.core.shipped import data_folder
from recover_nb.features.features import rollout_features
from recover_nb.generation.config import StudyConfig
from recover_nb.io import store

#: Problems a cell (two periods of the levels) and seed of the shipped companions; the bundled study
#: has seed 0.
N_PROBLEMS, SEED = 50, 1

#: Family whose methods are trained with more seeds, and those seeds; the shipped lineage has 0.
SEEDED, MORE_SEEDS = Family.NEOX.value, (1, 2)

#: What a companion keeps of a run.
KEPT = (
    "prompt",
    "answer",
    "level",
    "n_failed_rollouts",
    "solved_by_majority",
    "features",
    "rescue_rate",
    "attempts",
    "regime",
    "route",
)

#: What it keeps beside these where every attempt is kept, in place of `rollout_features`: what came
#: of each and what it cost.
ATTEMPTS = ("correct", "ended", "answer_id", "forward_specialist", "forward_ancestor")

#: Dimension of the observed rollouts; not `rollout`, which would promise every attempt.
OBSERVED = "observed"


def companion_config(
    companion: str, *, n_problems: int = N_PROBLEMS, seed: int = SEED, **changes
) -> StudyConfig:
    """Return the configuration of a companion of the bundled study.

    Parameters
    ----------
    companion : str
        A name of `labels.Companion`.
    n_problems : int
        Problems a cell: the first ones of the study.
    seed : int
        Of decoding, and of the new numbers of ``"remapped"``.
    **changes
        Other fields of `StudyConfig`.
    """
    companion = parse(Companion, companion)
    own = {"interventions": tuple(name.value for name in ROUTED_INTERVENTIONS), "value_problems": 0}
    changes = {**own, **changes}
    config = StudyConfig(n_problems=n_problems, seed=seed, **changes)
    new_numbers = seed if companion is Companion.REMAPPED else None
    # Signals of every observed rollout, because features of each are kept.
    return StudyConfig.from_dict(
        {**config.to_dict(), "remap_seed": new_numbers, "signal_rollouts": config.n_rollouts}
    )


def run_companion(
    config: StudyConfig,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    lab: str | Path | None = None,
    attempts: bool = False,
) -> Path:
    """Run a companion and write what is kept of it.

    Parameters
    ----------
    config : StudyConfig
        From `companion_config`.
    out : path
        Ends in ``.zarr``, ``.zarr.zip`` or ``.nc``; must not exist, unless it is this companion
        and `resume` is given. The whole run lies in ``OUT.partial`` while it lasts.
    resume, progress, lab
        As for `run_study`.
    attempts : bool
        As for `compact`.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        `out` exists, or what `run_study` refuses.
    """
    out = Path(out)
    store.suffix_of(out)
    runner = need("recover_nb.generation.run", "models", "running a companion study")
    if resume and os.path.lexists(out):
        _check_attempts(out, attempts)
    return runner.run_here(
        config,
        out,
        runner.describe_models(config, lab),
        resume=resume,
        progress=progress,
        lab=lab,
        kept=lambda ds: compact(ds, config, attempts=attempts),
    )


def _check_attempts(out: Path, attempts: bool) -> None:
    """Refuse a companion that keeps more or less than was asked for."""
    with store.open_study(out) as ds:
        kept = ATTEMPTS[0] in ds
    if kept is not attempts:
        has = ("keeps features only", "keeps every attempt")[kept]
        raise InputError(f"{out} exists and {has}; choose another --out, or remove it first")


def compact(ds: xr.Dataset, config: StudyConfig, *, attempts: bool = False) -> xr.Dataset:
    """Return what a companion keeps of a run, under the ids of the study's own problems.

    Parameters
    ----------
    ds : Dataset
        A finished run.
    config : StudyConfig
        That it was run with.
    attempts : bool
        Keep `ATTEMPTS`, so that rules can be judged on it, in place of `rollout_features`.

    Returns
    -------
    Dataset
        `KEPT`, the coordinate `asked_id` (id of what was asked, which differs where numbers do),
        and `rollout_features` (problem, observed, feature) float32: NaN for a rollout that did not
        fail.
    """
    per_task = {
        task: [
            each.problem_id
            for each in tasks.problems(task, config.split, config.n_problems, config.problem_seed)
        ]
        for task in config.tasks
    }
    ids = [name for _, _, task in config.cells for name in per_task[task]]
    asked = ds["problem_id"].values.astype(object)
    kept = ds[[*KEPT, *(ATTEMPTS if attempts else ())]].load()
    kept = kept.assign_coords(
        problem_id=("problem", np.array(ids, dtype=object)), asked_id=("problem", asked)
    )
    if not attempts:
        kept["rollout_features"] = _rollout_features(ds, config)
    return kept


def _rollout_features(ds: xr.Dataset, config: StudyConfig) -> xr.DataArray:
    """Compute features of each failed rollout, a few problems at a time."""
    observed = ds["n_tokens"].sel(intervention=Intervention.NONE.value)
    length = np.where(failed_rollouts(ds), observed.values, 0)[:, : config.n_rollouts]
    rows = []
    for start in range(0, ds.sizes["problem"], store.CHUNK_PROBLEMS):
        block = {
            "problem": slice(start, start + store.CHUNK_PROBLEMS),
            "rollout": slice(config.n_rollouts),
        }
        pressure, variance = (
            ds[name.value].isel(block).values
            for name in (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
        )
        rows.append(
            rollout_features(
                pressure, variance, length[block["problem"]], window=config.settings.window
            )
        )
    meaning = "features of each failed observed rollout; NaN where it did not fail"
    return xr.DataArray(
        np.concatenate(rows).astype(np.float32),
        dims=("problem", OBSERVED, "feature"),
        attrs={"long_name": meaning},
    )


def load_remapped() -> tuple[xr.Dataset, xr.Dataset]:
    """Return the companions of the bundled study: with new numbers, and drawn again.

    Returns
    -------
    remapped, redrawn : Dataset
        The first 50 problems of each cell, under the study's own `problem_id`; see
        `recover_nb.remap_survival`.

    Raises
    ------
    InputError
        If the installation is incomplete.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> [ds.sizes["problem"] for ds in rnb.load_remapped()]
    [900, 900]
    """
    remapped, redrawn = (_shipped(name.value) for name in SURVIVAL_COMPANIONS)
    return remapped, redrawn


def _shipped(name: str) -> xr.Dataset:
    return store.open_study(data_folder() / f"{name}.zarr.zip", load=True)


def load_fresh() -> xr.Dataset:
    """Return the bundled study drawn again with another seed, every attempt kept.

    docs/method.md#companions. What was learned from the bundled study can be judged on it: the same
    problems put to the same models, all random numbers new. Tokens and signals are not kept.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the installation is incomplete.

    See Also
    --------
    compare_routers : Its parameter ``fresh``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> fresh = rnb.load_fresh()
    >>> fresh.attrs["seed"], fresh.sizes["problem"]
    (2, 2700)
    """
    return _shipped(Companion.FRESH.value)


def load_unseen() -> xr.Dataset:
    """Return other problems put to the models of the bundled study, every attempt kept.

    docs/method.md#companions. What was chosen on the bundled study can be judged on it: problems
    that nobody has seen, with one observed answer each. Tokens and signals are not kept.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the installation is incomplete.

    See Also
    --------
    recover_gain : Its parameter ``test``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> unseen = rnb.load_unseen()
    >>> unseen.attrs["seed"], unseen.sizes["problem"]
    (3, 2700)
    """
    return _shipped(Companion.UNSEEN.value)


def load_seeds() -> dict[int, xr.Dataset]:
    """Return the same problems put to three checkpoints of each method of one family.

    docs/method.md#seeds. The checkpoints differ by the seed of their post-training alone, and come
    from one ancestor.

    Returns
    -------
    dict of int to Dataset
        By seed of post-training: 0 is the shipped lineage. What a companion keeps of a run.

    Raises
    ------
    InputError
        If the installation is incomplete.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> {seed: ds.sizes["problem"] for seed, ds in rnb.load_seeds().items()}
    {0: 450, 1: 450, 2: 450}
    """
    own = _shipped(Companion.REDRAWN.value)
    others = {seed: _shipped(f"seed_{seed}") for seed in MORE_SEEDS}
    return {0: own.isel(problem=own["family"].values.astype(str) == SEEDED), **others}
