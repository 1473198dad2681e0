"""Tables of a study alone: problems, regimes, rescue, firing, cost, features."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, ROUTED_INTERVENTIONS, Intervention, Regime
from recover_nb.core.schema import cell_names, checkpoint_codes, cut_off_hint, failed_units
from recover_nb.routing.populations import FAILED, allowed_populations, choose_populations
from recover_nb.routing.rescue import classify_regimes, with_rates, worked_rates
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_ratio,
    bootstrap_weights,
    checkpoint_interval,
)
from recover_nb.tables.kit import feature_columns, mean, per_rollout

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value
#: Cost variable of the study -> column.
COST_COLUMNS = {
    "n_tokens": "tokens",
    "forward_specialist": "forward_specialist",
    "forward_ancestor": "forward_ancestor",
}


def problems_by_cell(ds: xr.Dataset, *, total: bool = False) -> pd.DataFrame:
    """Count problems and observed rollouts of each cell, and how many are right.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    total : bool
        Add a last row ``all``.

    Returns
    -------
    DataFrame
        ``cell``, ``problems``, ``rollouts`` (observed), ``pass_at_1`` (mean over problems of the
        share of observed rollouts that is correct), ``parseable`` (share of observed rollouts that
        end by themselves with an answer), ``failed`` (problems with a failed rollout). NaN where
        rollouts are not stored.

    Raises
    ------
    InputError
        If the study has no cells or no rescue rates and attempts to count.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> counts = rnb.tables.problems_by_cell(rnb.load_study(), total=True)
    >>> counts[["cell", "problems", "pass_at_1", "failed"]].round(2).tail(2)
                               cell  problems  pass_at_1  failed
    17  neox|self_distill|deduction       150       0.87      32
    18                          all      2700       0.77    1190
    """
    # Where rollouts are stored, a problem has failed whether or not it was tried again.
    failed = failed_units(ds) if "correct" in ds else _failed(ds)
    correct, parseable = (_observed(ds, name) for name in ("correct", "parseable"))
    rows = []
    for cell, inside in cells_of(ds, total):
        row = {
            "cell": cell,
            "problems": len(inside),
            "rollouts": np.nan,
            "pass_at_1": np.nan,
            "parseable": np.nan,
        }
        if correct is not None:
            run = correct[inside] >= 0
            row["rollouts"] = run.sum()
            row["pass_at_1"] = mean(_ratio((correct[inside] == 1).sum(axis=1), run.sum(axis=1)))
        if parseable is not None:
            known = parseable[inside] >= 0
            row["parseable"] = float(_ratio((parseable[inside] == 1).sum(), known.sum()))
        rows.append(row | {"failed": failed[inside].sum()})
    columns = ["cell", "problems", "rollouts", "pass_at_1", "parseable", "failed"]
    return pd.DataFrame(rows, columns=columns)


@takes_study()
def regimes_by_cell(ds: xr.Dataset, *, total: bool = False) -> pd.DataFrame:
    """Count the regimes of the failed problems of each cell.

    Parameters
    ----------
    ds : Dataset
        With ``regime``, or rescue rates from which it follows.
    total : bool
        Add rows for ``all`` cells.

    Returns
    -------
    DataFrame
        One row per cell and regime: ``cell``, ``regime``, ``count``, ``share`` (of the cell's
        failed problems), ``failed``, and ``start``, ``middle``, ``end``: where its share lies when
        shares are laid end to end.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> regimes = rnb.tables.regimes_by_cell(rnb.load_study(), total=True).query("cell == 'all'")
    >>> regimes[["regime", "count", "share"]].round(2)
                regime  count  share
    54  steerable_hard    206   0.17
    55    beyond_reach    265   0.22
    56        resample    719   0.60
    """
    regime = _regime(ds)
    columns = ["cell", "regime", "count", "share", "failed", "start", "middle", "end"]
    frames = []
    for cell, inside in cells_of(ds, total):
        counts = {each.value: int((regime[inside] == each.value).sum()) for each in Regime}
        frames.append(stack_shares(cell, "regime", counts, "failed"))
    return pd.concat(frames, ignore_index=True)[columns]


def stack_shares(cell: str, kind: str, counts: dict[str, int], total: str) -> pd.DataFrame:
    """Lay the shares of `counts` end to end; all NaN where nothing was counted."""
    count = np.array(list(counts.values()))
    share = _ratio(count, count.sum())
    end = share.cumsum()
    return pd.DataFrame(
        {
            "cell": cell,
            kind: list(counts),
            "count": count,
            "share": share,
            total: count.sum(),
            "start": end - share,
            "middle": end - share / 2,
            "end": end,
        }
    )


@takes_study()
def regime_sentence(ds: xr.Dataset) -> str:
    """Say in a sentence how many failed problems are of each regime, the most common first.

    Raises
    ------
    InputError
        As `regimes_by_cell`.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> sentence = rnb.tables.regime_sentence(rnb.load_study())
    >>> print(rnb.tables.paragraphs(sentence, width=80))
    Of 1190 failed problems: resample 719 (60%), beyond_reach 265 (22%),
    steerable_hard 206 (17%).
    """
    frame = regimes_by_cell(ds)
    counts = frame.groupby("regime")["count"].sum().sort_values(ascending=False, kind="stable")
    if not counts.sum():
        return f"No problem failed{cut_off_hint(ds)}."
    parts = ", ".join(
        f"{name} {count} ({count / counts.sum():.0%})" for name, count in counts.items()
    )
    return f"Of {counts.sum()} failed problems: {parts}."


@takes_study()
def rescue_by_intervention(
    ds: xr.Dataset,
    *,
    population: str | None = None,
    total: bool = False,
    by_cell: bool = True,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return each intervention's rescue rate over the failed problems of a population.

    Nothing is selected by the attempts that score.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    population : str, optional
        docs/method.md#populations; by default ``failed_first_1``, or ``failed`` where no rollouts
        are stored.
    total, by_cell : bool
        Add rows for ``all`` cells; have rows for each cell.
    n_bootstrap, seed : int
        Resamples of the underlying questions and their seed.

    Returns
    -------
    DataFrame
        One row per cell and intervention: ``population``, ``cell``, ``intervention``, ``problems``,
        ``attempts``, ``rate`` (mean over problems) with its 95 % interval ``low``, ``high``;
        ``retry_rate`` on the same problems; the paired difference from retry ``lift_points`` with
        ``lift_low_points``, ``lift_high_points`` at 95 %, ``lift_low_all_points``,
        ``lift_high_all_points`` widened (Bonferroni) so that all interventions of a cell hold
        together at 95 %, and ``lift_low_checkpoints_points``, ``lift_high_checkpoints_points`` over
        checkpoints. ``worked_rate`` and ``worked_lift_points`` are the same where a right guess (an
        answer without a step) counts as wrong. NaN for what was not run or is not known, and for
        the difference of retry from itself.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rescue = rnb.tables.rescue_by_intervention(
    ...     rnb.load_study(), total=True, by_cell=False, n_bootstrap=100
    ... )
    >>> rescue[["intervention", "rate", "low", "high"]].round(2).head(3)
            intervention  rate   low  high
    0              retry  0.17  0.14  0.20
    1        temperature  0.16  0.14  0.19
    2  local_temperature  0.17  0.14  0.20
    """
    if not (total or by_cell):
        raise InputError(
            "total=False and by_cell=False leave no row; allowed: either of them, or both"
        )
    rates, attempts = _rates(ds)
    names = [str(name) for name in ds["intervention"].values]
    arms = [name for name in names if name != NONE]
    place = [names.index(name) for name in arms]
    rates, attempts = rates[:, place], attempts[:, place]
    questions = (
        ds["problem_id"].values.astype(str) if "problem_id" in ds.coords else np.arange(len(rates))
    )
    strata = ds["task"].values.astype(str) if "task" in ds.coords else np.zeros(len(rates))
    used, checkpoints = _failed(ds), checkpoint_codes(ds)
    name = allowed_populations(ds)[0] if population is None else population
    if name != FAILED:
        used &= choose_populations(ds, [name])[name]
    worked = worked_rates(ds, arms)
    if worked is None:
        worked = np.full(rates.shape, np.nan)
    resamples = bootstrap_weights(
        questions[used], strata[used], n_bootstrap, np.random.default_rng(seed)
    )
    place_in_used = np.cumsum(used) - 1
    frames = []
    for cell, inside in cells_of(ds, total, by_cell):
        rows = inside[used[inside]]
        drawn = resamples.subset(place_in_used[rows])
        found = _intervals(rates[rows], arms, drawn, checkpoints[rows])
        own = _intervals(worked[rows], arms, drawn, checkpoints[rows])
        found |= {f"worked_{each}": own[each] for each in ("rate", "lift_points")}
        counted = np.where(np.isnan(rates[rows]), 0, attempts[rows]).sum(axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "population": name,
                    "cell": cell,
                    "intervention": arms,
                    "attempts": counted,
                    **found,
                }
            )
        )
    columns = ["population", "cell", "intervention", "problems", "attempts", "rate", "low", "high"]
    columns += [
        "retry_rate",
        "lift_points",
        "lift_low_points",
        "lift_high_points",
        "lift_low_all_points",
        "lift_high_all_points",
        "lift_low_checkpoints_points",
        "lift_high_checkpoints_points",
        "worked_rate",
        "worked_lift_points",
    ]
    return pd.concat(frames, ignore_index=True)[columns]


def _intervals(
    rates: np.ndarray, arms: Sequence[str], resamples: Resamples, checkpoints: np.ndarray
) -> dict[str, np.ndarray]:
    """Rates of each arm and their differences from retry, with intervals."""
    retry = arms.index(RETRY)
    known = ~np.isnan(rates)
    weight, value = known.astype(float), np.where(known, rates, 0.0)
    base = value[:, [retry]] * weight
    rate = bootstrap_ratio(
        np.concatenate([value, base], axis=1), np.tile(weight, (1, 2)), resamples
    )
    lift = bootstrap_ratio(value - base, weight, resamples)
    compared = max(int(known.any(axis=0).sum()) - 1, 1)
    together = bootstrap_ratio(value - base, weight, resamples, level=1 - 0.05 / compared)
    ends = checkpoint_interval(value - base, weight, checkpoints)
    n = len(arms)
    other = np.where(np.arange(n) == retry, np.nan, 100.0)
    return {
        "problems": known.sum(axis=0),
        "rate": rate.value[:n],
        "low": rate.percentile[0, :n],
        "high": rate.percentile[1, :n],
        "retry_rate": rate.value[n:],
        "lift_points": lift.value * other,
        "lift_low_points": lift.percentile[0] * other,
        "lift_high_points": lift.percentile[1] * other,
        "lift_low_all_points": together.percentile[0] * other,
        "lift_high_all_points": together.percentile[1] * other,
        "lift_low_checkpoints_points": ends[0] * other,
        "lift_high_checkpoints_points": ends[1] * other,
    }


@takes_study()
def firing(ds: xr.Dataset, *, total: bool = False) -> pd.DataFrame:
    """How often each operator acted: one that never fires is retry under another name.

    Parameters
    ----------
    ds : Dataset
        With ``fired_at`` and ``n_tokens``.
    total : bool
        Add rows for ``all`` cells.

    Returns
    -------
    DataFrame
        One row per cell and operator: ``cell``, ``intervention``, ``attempts``, ``fired`` (share of
        attempts in which it acted, even where no token changed by it), ``median_position`` (of
        those). Empty for a study without attempts.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> firing = rnb.tables.firing(rnb.load_study(), total=True).query("cell == 'all'")
    >>> firing[["intervention", "fired", "median_position"]].round(2).head(4)
               intervention  fired  median_position
    216         temperature   1.00              0.0
    217   local_temperature   0.79             12.0
    218        sparse_steer   0.79             12.0
    219  sparse_steer_wrong   0.79             12.0
    """
    columns = ["cell", "intervention", "attempts", "fired", "median_position"]
    if "fired_at" not in ds or "n_tokens" not in ds:
        return pd.DataFrame(columns=columns)
    rows = []
    for name in _operators(ds):
        fired_at, length = (per_rollout(ds, each, name) for each in ("fired_at", "n_tokens"))
        for cell, inside in cells_of(ds, total):
            run = length[inside] > 0
            where = fired_at[inside][run & (fired_at[inside] >= 0)]
            row = {"cell": cell, "intervention": name, "attempts": run.sum()}
            row["fired"] = float(_ratio(len(where), run.sum()))
            row["median_position"] = float(np.median(where)) if len(where) else np.nan
            rows.append(row)
    return _by_cell(pd.DataFrame(rows, columns=columns), ds)


@takes_study()
def costs(ds: xr.Dataset, *, total: bool = False) -> pd.DataFrame:
    """Mean cost of an attempt, of the observed rollouts too.

    Parameters
    ----------
    ds : Dataset
        With ``correct`` and, where counted, ``n_tokens``, ``forward_specialist`` and
        ``forward_ancestor``.
    total : bool
        Add rows for ``all`` cells.

    Returns
    -------
    DataFrame
        One row per cell and intervention: ``cell``, ``intervention``, ``attempts``, ``tokens``
        (generated), ``forward_specialist``, ``forward_ancestor`` (positions each model evaluated),
        all three a mean over attempts, and ``forward_per_rescue``: forward passes of both models
        spent for each correct attempt. Empty for a study without attempts; NaN for what it does not
        count.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> costs = rnb.tables.costs(rnb.load_study(), total=True).query("cell == 'all'")
    >>> costs[["intervention", "attempts", "tokens", "forward_per_rescue"]].round(0).head(4)
              intervention  attempts  tokens  forward_per_rescue
    252               none    135000    26.0                68.0
    253              retry     23800    29.0                59.0
    254        temperature     23800    29.0                67.0
    255  local_temperature     23800    29.0                96.0
    """
    columns = ["cell", "intervention", "attempts", *COST_COLUMNS.values(), "forward_per_rescue"]
    if "correct" not in ds or not any(name in ds for name in COST_COLUMNS):
        return pd.DataFrame(columns=columns)
    rows = []
    for name in [str(each) for each in ds["intervention"].values]:
        correct = per_rollout(ds, "correct", name)
        cost = {
            column: per_rollout(ds, each, name)
            for each, column in COST_COLUMNS.items()
            if each in ds
        }
        for cell, inside in cells_of(ds, total):
            run = correct[inside] >= 0
            row = {"cell": cell, "intervention": name, "attempts": run.sum()}
            row |= {
                column: float(_ratio(values[inside][run].sum(), run.sum()))
                for column, values in cost.items()
            }
            passes = row.get("forward_specialist", np.nan) + row.get("forward_ancestor", np.nan)
            won = (correct[inside] == 1).sum()
            row["forward_per_rescue"] = float(_ratio(passes * run.sum(), won))
            rows.append(row)
    return _by_cell(pd.DataFrame(rows, columns=columns), ds)


@takes_study()
def feature_points(ds: xr.Dataset) -> pd.DataFrame:
    """One row for each failed problem: its features, regime, route and rescue rates.

    Returns
    -------
    DataFrame
        ``cell``, ``problem`` (its place in the study), ``problem_id``, the three features,
        ``regime``, ``route``, ``retry`` (its rescue rate) and ``best`` (the largest rate of the
        interventions that regimes are over).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> points = rnb.tables.feature_points(rnb.load_study())
    >>> points.groupby("regime")["spread"].agg(["size", "median"]).round(2)
                    size  median
    regime
    beyond_reach     265    0.45
    resample         719    0.41
    steerable_hard   206    0.42
    """
    kept = np.flatnonzero(_failed(ds))
    rates, _ = _rates(ds)
    names = [str(name) for name in ds["intervention"].values]
    routed = [names.index(each) for each in ROUTED_INTERVENTIONS if each in names]
    blank = np.full(ds.sizes["problem"], "", dtype=object)
    text = {
        name: (ds[name].values if name in ds.variables else blank).astype(str)[kept]
        for name in ("problem_id", "route")
    }
    best = rates[kept][:, routed].max(axis=1) if routed else np.full(len(kept), np.nan)
    return pd.DataFrame(
        {
            "cell": cell_names(ds)[kept],
            "problem": kept,
            "problem_id": text["problem_id"],
            **feature_columns(ds, kept),
            "regime": _regime(ds)[kept],
            "route": text["route"],
            "retry": rates[kept, names.index(RETRY)],
            "best": best,
        }
    )


def cells_of(ds: xr.Dataset, total: bool, by_cell: bool = True) -> Iterator[tuple[str, np.ndarray]]:
    """Each cell in the order of the study, and its problems; then all of them."""
    names = cell_names(ds)
    if by_cell:
        for cell in dict.fromkeys(names.tolist()):
            yield cell, np.flatnonzero(names == cell)
    if total:
        yield ALL, np.arange(len(names))


def _by_cell(frame: pd.DataFrame, ds: xr.Dataset) -> pd.DataFrame:
    """Order rows by cell, operators keeping their order within it."""
    order = {cell: i for i, cell in enumerate([*dict.fromkeys(cell_names(ds).tolist()), ALL])}
    return frame.sort_values(
        "cell", key=lambda column: column.map(order), kind="stable", ignore_index=True
    )


def _operators(ds: xr.Dataset) -> list[str]:
    return [str(name) for name in ds["intervention"].values if name not in (NONE, RETRY)]


def _rates(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Rescue rates and attempts, both (problem, intervention)."""
    ds = with_rates(ds)
    if RETRY not in ds["intervention"].values:
        raise InputError("the study has no intervention retry; every comparison is with it")
    axes = ("problem", "intervention")
    return tuple(ds[name].transpose(*axes).to_numpy() for name in ("rescue_rate", "attempts"))


def _failed(ds: xr.Dataset) -> np.ndarray:
    """Which problems are failed units that retry was run on.

    A run of our own tries those again, and only those; a log may try all problems again.
    """
    rates, _ = _rates(ds)
    retried = ~np.isnan(rates[:, list(ds["intervention"].values).index(RETRY)])
    known = {"correct", "n_failed_rollouts"} & set(ds.variables)
    return retried & failed_units(ds) if known else retried


def _regime(ds: xr.Dataset) -> np.ndarray:
    if "regime" in ds:
        return ds["regime"].values.astype(str)
    rates, _ = _rates(ds)
    labelled = xr.DataArray(
        rates, dims=("problem", "intervention"), coords={"intervention": ds["intervention"]}
    )
    return classify_regimes(labelled).values.astype(str)


def _observed(ds: xr.Dataset, name: str) -> np.ndarray | None:
    """Codes of the observed rollouts, (problem, rollout); None where they are not stored."""
    if name not in ds or "rollout" not in ds[name].dims or NONE not in ds["intervention"].values:
        return None
    return per_rollout(ds, name, NONE)


def _ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    """Divide, giving NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
