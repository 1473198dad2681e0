"""Whether a problem's regime survives new numbers (docs/method.md#regime-survival).

A regime is read off twenty attempts, so it also changes when they are drawn again with the same
numbers. A study and its two companions, over other numbers and drawn again, tell the two apart:
everything here is reported for both, and their difference is what the numbers did.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, SOLVED, Companion, Depth, Regime
from recover_nb.core.result import Result
from recover_nb.core.schema import UNIT_COORDS, cell_names, text
from recover_nb.features.reliability import question_weights
from recover_nb.stats.agreement import beyond_chance, cohen_kappa
from recover_nb.stats.resampling import ratio, value_and_interval

#: What can become of a problem; one that never failed has no regime.
OUTCOMES = (*(each.value for each in Regime), SOLVED)
#: Row over every problem that failed, whatever its regime.
ANY = "any regime"
LEVEL = 0.95
#: Whether a vote among all observed rollouts solves a problem.
VOTE = "solved_by_majority"
_GROUPS = ("task", "method", "family")


@dataclass(frozen=True)
class RemapSurvival(Result):
    """What became of the same problems over other numbers, and drawn again.

    Attributes
    ----------
    units : mapping of str to array, shape (unit,)
        ``family``, ``method``, ``task``, ``problem_id``, ``cell`` and ``level`` of each problem
        compared.
    original : str array, shape (unit,)
        Its outcome in the study: a regime, or ``"solved"``.
    outcomes : mapping of Companion to str array, shape (unit,)
        Its outcome in each companion.
    survival : Dataset
        Dimensions `group` (all problems, then each task, method and family; coordinate `by` says
        which) and `outcome` (the original one, and ``"any regime"``): `n`; `remapped` and
        `redrawn`, the share that has the same outcome again; `difference`, redrawn less remapped;
        `confirmed`, the share among those that had it again when drawn again, and their number
        `n_confirmed`. Each share with `_low` and `_high`.
    agreement : Dataset
        Dimensions `group` and `companion`: `n`, `agreement`, `kappa` (Cohen's) and `kappa_within`,
        where chance is another problem of the same cell and level: it agrees as often as
        `chance_within` says. Each but `n` with `_low` and `_high`; `kappa_difference` and
        `kappa_within_difference` (group) are redrawn less remapped.
    drop : Dataset or None
        Dimension `group`: of the `n` problems that a vote among all observed rollouts solves in the
        study, the share that it does not solve in each companion (`remapped`, `redrawn`), and
        `difference`, remapped less redrawn: the conditional accuracy drop that is due to the
        numbers. Each share with `_low` and `_high`. None where a study does not know its votes.
    settings : mapping
    """

    title = "Is it the problem, or its numbers?"
    chart = "plot_remapping"
    following = ("found.to_dataframe()  # every group and outcome",)

    units: Mapping[str, np.ndarray]
    original: np.ndarray
    outcomes: Mapping[Companion, np.ndarray]
    survival: xr.Dataset
    agreement: xr.Dataset
    drop: xr.Dataset | None
    settings: Mapping[str, int]

    @property
    def dataset(self) -> xr.Dataset:
        """`survival`, and the parts of `agreement`, which is by companion."""
        more = self.agreement.rename(n="n_agreement")
        return self.survival.merge(more, compat="override")

    @property
    def sentence(self) -> str:
        """How often regimes survive, and what new numbers take away."""
        found = self.survival.sel(group=ALL)
        parts = []
        for name in (ANY, Regime.BEYOND_REACH.value):
            one = {key: float(value) for key, value in found.sel(outcome=name).data_vars.items()}
            low, high = (100 * one[f"difference_{end}"] for end in ("low", "high"))
            parts.append(
                f"{'Any regime' if name == ANY else name} ({one['n']:.0f} problems) stays the"
                f" same in {one['redrawn']:.0%} with new draws and in {one['remapped']:.0%} with"
                f" new numbers, which cost {100 * one['difference']:.1f} points"
                f" [{low:.1f}, {high:.1f}]."
            )
        return " ".join(parts)

    def to_dataframe(self) -> pd.DataFrame:
        """Return `survival` with one row for each group and outcome."""
        return self.survival.to_dataframe().reset_index()

    @property
    def depth(self) -> np.ndarray:
        """Return the kind of failure of each ``beyond_reach`` problem: `labels.Depth`, (unit,).

        Any other problem has "".
        """
        again = {name: each == Regime.BEYOND_REACH for name, each in self.outcomes.items()}
        found = np.select(
            [~again[Companion.REDRAWN], ~again[Companion.REMAPPED]],
            [Depth.UNSETTLED.value, Depth.SHALLOW.value],
            Depth.STRUCTURAL.value,
        )
        return np.where(self.original == Regime.BEYOND_REACH, found, "")


@takes_study("ds", "remapped", "redrawn")
@checks.takes(n_bootstrap=checks.COUNT, seed=checks.SEED)
def remap_survival(
    ds: xr.Dataset,
    remapped: xr.Dataset,
    redrawn: xr.Dataset,
    *,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> RemapSurvival:
    """Compare a study's regimes with those of new numbers and of new draws.

    Parameters
    ----------
    ds : Dataset
        The study.
    remapped, redrawn : Dataset
        Its companions, as `recover_nb.load_remapped` returns them: the same units by family,
        method, task and `problem_id`, any part of the study's, with as many attempts.
    n_bootstrap : int
        Resamples of the questions asked, within tasks; one question put to several specialists
        moves together.
    seed : int
        Of the resamples.

    Returns
    -------
    RemapSurvival
        Intervals are 95 %, percentile. Differences are paired: same problems, same resamples.

    Raises
    ------
    InputError
        If units do not match, the redrawn companion asks other prompts or repeats the study's
        draws, the remapped one asks the same prompts, numbers of attempts differ, or a failed
        problem has no regime.

    Notes
    -----
    Source: docs/method.md#regime-survival.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> found = rnb.remap_survival(rnb.load_study(), *rnb.load_remapped(), n_bootstrap=10)
    >>> found.survival["n"].sel(group="all", outcome="beyond_reach").item()
    87
    """
    ds, redrawn = _same_units(ds, remapped, "the study"), _same_units(redrawn, remapped, "redrawn")
    _check_companions(ds, remapped, redrawn)
    companions = {Companion.REMAPPED: remapped, Companion.REDRAWN: redrawn}
    original = _outcome(ds, "the study")
    outcomes = {name: _outcome(each, name) for name, each in companions.items()}
    units = {name: text(ds[name]) for name in UNIT_COORDS}
    units |= {
        "cell": cell_names(ds),
        "level": ds["level"].values if "level" in ds else np.full(len(original), -1),
    }
    weights = question_weights(ds, np.ones(len(original), dtype=bool), n_bootstrap, seed)
    groups = _groups(units)
    strata = np.char.add(np.char.add(units["cell"], "|"), units["level"].astype(str))
    return RemapSurvival(
        units,
        original,
        outcomes,
        _survival(original, outcomes, groups, weights),
        _agreement(original, outcomes, strata, groups, weights),
        _drop(ds, companions, groups, weights),
        {"n_bootstrap": n_bootstrap, "seed": seed},
    )


def align(ds: xr.Dataset, other: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both studies with the problem units they share, in the order of `other`.

    Raises
    ------
    InputError
        If they share none.
    """
    known = set(_unit_names(ds))
    shared = [i for i, unit in enumerate(_unit_names(other)) if unit in known]
    if not shared:
        raise InputError(
            "the two studies share no problem unit: family, method, task and problem_id must be the"
            " same"
        )
    other = other.isel(problem=shared)
    return _same_units(ds, other, "the study"), other


def _same_units(ds: xr.Dataset, wanted: xr.Dataset, name: str) -> xr.Dataset:
    """Return the problems of `wanted`, in its order."""
    known = {unit: i for i, unit in enumerate(_unit_names(ds))}
    missing = [unit for unit in _unit_names(wanted) if unit not in known]
    if missing or not known:
        raise InputError(
            f"{name} has no problem {'|'.join(missing[0]) if missing else 'at all'}; the remapped"
            " companion must hold problems of the study under their own problem_id, and the"
            " redrawn one the same problems"
        )
    return ds.isel(problem=[known[unit] for unit in _unit_names(wanted)])


def _unit_names(ds: xr.Dataset) -> list[tuple[str, ...]]:
    return list(zip(*(text(ds[name]).tolist() for name in UNIT_COORDS), strict=True))


def _check_companions(ds: xr.Dataset, remapped: xr.Dataset, redrawn: xr.Dataset) -> None:
    """Refuse companions that are not what they are taken for.

    The comparison would say nothing, and look fine.
    """
    if "prompt" in ds and (text(ds["prompt"]) != text(redrawn["prompt"])).any():
        raise InputError(
            "redrawn asks other prompts than the study; give the companion made with --redraw third"
        )
    if "prompt" in ds and (text(ds["prompt"]) == text(remapped["prompt"])).any():
        raise InputError(
            "remapped asks a prompt of the study itself; give the companion over other numbers"
            " second"
        )
    if "config_json" in ds.attrs and int(ds.attrs["seed"]) == int(redrawn.attrs["seed"]):
        raise InputError(
            f"redrawn has seed {redrawn.attrs['seed']}, as the study has: its draws are the same;"
            " make it with another --seed"
        )
    names = [name for name in text(remapped["intervention"]) if name in text(ds["intervention"])]
    studies = (ds, remapped, redrawn)
    counts = [
        each["attempts"].sel(intervention=names).max("problem").values.tolist() for each in studies
    ]
    if not counts[0] == counts[1] == counts[2]:
        raise InputError(
            f"attempts of {', '.join(names)} differ: {counts[0]} in the study, {counts[1]}"
            f" remapped, {counts[2]} redrawn; regimes depend on how many there are, so they must be"
            " the same"
        )


def _outcome(ds: xr.Dataset, name: str) -> np.ndarray:
    regime = text(ds["regime"])
    failed = ds["n_failed_rollouts"].values > 0
    if (failed & (regime == "")).any():
        raise InputError(
            f"{name}: a failed problem has no regime; run retry and the four routed interventions"
            " on it"
        )
    return np.where(failed, regime, SOLVED)


def _groups(units: Mapping[str, np.ndarray]) -> list[tuple[str, str, np.ndarray]]:
    """Return (by, name, mask) of every group of problems."""
    groups = [(ALL, ALL, np.ones(len(units["task"]), dtype=bool))]
    for by in _GROUPS:
        groups += [(by, str(name), units[by] == name) for name in dict.fromkeys(units[by].tolist())]
    return groups


def _named(name: str, dims: tuple[str, ...], draws: np.ndarray) -> dict:
    value, low, high = value_and_interval(draws, LEVEL)
    return {name: (dims, value), f"{name}_low": (dims, low), f"{name}_high": (dims, high)}


def _drop(
    ds: xr.Dataset,
    companions: Mapping[Companion, xr.Dataset],
    groups: list[tuple[str, str, np.ndarray]],
    weights: np.ndarray,
) -> xr.Dataset | None:
    """Of the problems solved by vote, the share not solved again; docs/method.md#accuracy-drop."""
    studies = (ds, *companions.values())
    if any(VOTE not in each or (each[VOTE].values < 0).any() for each in studies):
        return None
    inside = np.stack([mask for *_, mask in groups], axis=1) & (ds[VOTE].values == 1)[:, None]
    count = weights @ inside.astype(float)
    lost = {
        name: weights @ (inside & (each[VOTE].values == 0)[:, None]).astype(float)
        for name, each in companions.items()
    }
    less = lost[Companion.REMAPPED] - lost[Companion.REDRAWN]
    variables: dict = {"n": ("group", count[0].astype(np.int64))}
    for name, each in (*lost.items(), ("difference", less)):
        variables |= _named(str(name), ("group",), ratio(each, count))
    return xr.Dataset(variables, _group_coords(groups))


def _survival(
    original: np.ndarray,
    outcomes: Mapping[Companion, np.ndarray],
    groups: list[tuple[str, str, np.ndarray]],
    weights: np.ndarray,
) -> xr.Dataset:
    rows = (*OUTCOMES, ANY)
    chosen = np.stack(
        [original != SOLVED if row == ANY else original == row for row in rows], axis=1
    )
    inside = np.stack([mask for *_, mask in groups], axis=1)[:, :, None] & chosen[:, None, :]
    same = {name: (each == original)[:, None, None] for name, each in outcomes.items()}

    def total(mask: np.ndarray) -> np.ndarray:
        return (weights @ mask.reshape(len(mask), -1).astype(float)).reshape(
            len(weights), *mask.shape[1:]
        )

    remapped, redrawn = (same[name] for name in (Companion.REMAPPED, Companion.REDRAWN))
    count, kept_remapped, kept_redrawn = (
        total(inside),
        total(inside & remapped),
        total(inside & redrawn),
    )
    dims = ("group", "outcome")
    variables = {
        **_named("remapped", dims, ratio(kept_remapped, count)),
        **_named("redrawn", dims, ratio(kept_redrawn, count)),
        **_named("difference", dims, ratio(kept_redrawn - kept_remapped, count)),
        **_named("confirmed", dims, ratio(total(inside & redrawn & remapped), kept_redrawn)),
        "n": (dims, count[0].astype(np.int64)),
        "n_confirmed": (dims, kept_redrawn[0].astype(np.int64)),
    }
    return xr.Dataset(variables, _group_coords(groups) | {"outcome": list(rows)})


def _group_coords(groups: list[tuple[str, str, np.ndarray]]) -> dict:
    return {"group": [name for _, name, _ in groups], "by": ("group", [by for by, *_ in groups])}


def _agreement(
    original: np.ndarray,
    outcomes: Mapping[Companion, np.ndarray],
    strata: np.ndarray,
    groups: list[tuple[str, str, np.ndarray]],
    weights: np.ndarray,
) -> xr.Dataset:
    names = ("agreement", "kappa", "chance_within", "kappa_within")
    draws = np.full((len(names), len(weights), len(groups), len(outcomes)), np.nan)
    for i, (_, _, mask) in enumerate(groups):
        w = weights[:, mask]
        for j, outcome in enumerate(outcomes.values()):
            first, second = original[mask], outcome[mask]
            table = np.stack(
                [[w @ ((first == a) & (second == b)) for b in OUTCOMES] for a in OUTCOMES]
            )
            draws[0, :, i, j] = ratio(w @ (first == second), w.sum(axis=1))
            draws[1, :, i, j] = cohen_kappa(np.moveaxis(table, -1, 0))
            draws[2:, :, i, j] = beyond_chance(first, second, strata[mask], w)[1:]
    variables = {"n": ("group", np.array([mask.sum() for *_, mask in groups]))}
    for name, each in zip(names, draws, strict=True):
        variables |= _named(name, ("group", "companion"), each)
        if name.startswith("kappa"):
            place = list(outcomes)
            less = (
                each[..., place.index(Companion.REDRAWN)]
                - each[..., place.index(Companion.REMAPPED)]
            )
            variables |= _named(f"{name}_difference", ("group",), less)
    coords = _group_coords(groups) | {"companion": [name.value for name in outcomes]}
    return xr.Dataset(variables, coords)
