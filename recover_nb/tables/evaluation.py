"""Tables of an evaluation to be drawn: selections of its dataset (`Evaluation.dataset`)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recover_nb.core.labels import ALL, SPECIALISTS, Family, Task
from recover_nb.routing.result import NULLS, RETRY, Evaluation
from recover_nb.tables.study import stack_shares

#: Names of the three parts of a cell, in the order of tables and charts.
_SHIPPED = (list(Family), list(SPECIALISTS), list(Task))
_ENDS = ("low_points", "high_points")
_APART = ("low_checkpoints_points", "high_checkpoints_points")


def lift_over_retry(evaluation: Evaluation) -> pd.DataFrame:
    """Return routed minus retry by every estimator, and the excess over each null.

    It is what `plot_estimators` draws.

    Returns
    -------
    DataFrame
        ``population`` (the headline first), ``estimator``, ``kind`` (measured, null or excess),
        ``n``, ``lift_points``, ``low_points``, ``high_points``, ``low_checkpoints_points``,
        ``high_checkpoints_points``, ``p`` (of an excess; else NaN), and ``band_low_points``,
        ``band_high_points``: the interval of the headline's null, else NaN.

    Examples
    --------
    Every intervention gains 20 points here, unless a problem is nearly always solved already.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="planted", size=0.2)
    >>> evaluation = rnb.evaluate_routing(ds, only=["all"], n_bootstrap=50, n_permutations=20)
    >>> lifts = rnb.tables.lift_over_retry(evaluation)
    >>> lifts[["population", "estimator", "n", "lift_points"]].round(1)
           population estimator      n  lift_points
    0  failed_first_1       all  169.0         18.1
    1          failed       all  240.0         17.0
    2  failed_first_5       all   79.0         17.6
    """
    parts = [
        _lift_over_retry(evaluation.of(name)).assign(population=name)
        for name in evaluation.populations
    ]
    found = pd.concat(parts, ignore_index=True)
    beside = found["population"] != evaluation.populations[0]
    for end in _ENDS:
        found[f"band_{end}"] = found[f"band_{end}"].mask(beside)
    return found[["population", *found.columns.drop("population")]]


def _lift_over_retry(evaluation: Evaluation) -> pd.DataFrame:
    frame = evaluation.to_dataframe()
    frame = frame[(frame["comparator"] == RETRY)].assign(p=np.nan)
    frame["kind"] = np.where(frame["estimator"].isin(NULLS), "null", "measured")
    for end in _ENDS:
        frame[f"band_{end}"] = frame[end].where(frame["kind"] == "null")
    excess = null_excess(evaluation)
    excess = excess[excess["comparator"] == RETRY].assign(kind="excess")
    excess["estimator"] = "published less " + excess["null"]
    excess = excess.rename(columns={"excess_points": "lift_points"})
    columns = ["estimator", "kind", "n", "lift_points", *_ENDS, *_APART, "p"]
    both = pd.concat([frame, excess]) if len(excess) else frame
    return both[[*columns, *(f"band_{end}" for end in _ENDS)]].reset_index(drop=True)


def null_excess(evaluation: Evaluation) -> pd.DataFrame:
    """Set the published lift against its distribution when no intervention differs from retry.

    Returns
    -------
    DataFrame
        One row for each null and comparator: ``null``, ``comparator``, ``published_points``,
        ``mean_points``, ``sd_points`` of the null, ``excess_points`` with ``low_points``,
        ``high_points`` and ``low_checkpoints_points``, ``high_checkpoints_points``, and the
        one-sided ``p``. The headline's; `Evaluation.of` gives another population's.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="none")
    >>> evaluation = rnb.evaluate_routing(ds, only=["null"], n_bootstrap=50, n_null=50)
    >>> excess = rnb.tables.null_excess(evaluation).query("comparator == 'retry'")
    >>> excess[["null", "published_points", "mean_points", "p"]].round(2)
       null  published_points  mean_points     p
    0  null              4.05         4.62  0.61
    """
    found = evaluation.figures.sel(cell=ALL)
    nulls = [name for name in NULLS if name in evaluation.estimators]
    of_null = found.sel(estimator=nulls).rename(estimator="null")
    names = {
        "published": "published_points",
        "lift": "mean_points",
        "sd": "sd_points",
        "excess": "excess_points",
        "excess_low": "low_points",
        "excess_high": "high_points",
        "excess_low_checkpoints": "low_checkpoints_points",
        "excess_high_checkpoints": "high_checkpoints_points",
        "excess_p": "p",
    }
    published = found["lift"].sel(estimator="published", drop=True) if nulls else of_null["lift"]
    table = of_null.assign(published=published)[list(names)]
    order = ("null", "comparator")
    frame = (
        table.drop_vars("cell").to_dataframe(dim_order=order).reset_index().rename(columns=names)
    )
    of_points = [name for name in map(str, frame) if name.endswith("_points")]
    frame[of_points] *= 100
    return frame


def null_sentence(evaluation: Evaluation) -> str:
    """Say what the published estimator reports without any effect, beside what it reports here.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="none")
    >>> evaluation = rnb.evaluate_routing(ds, only=["null"], n_bootstrap=50, n_null=50)
    >>> print(rnb.tables.paragraphs(rnb.tables.null_sentence(evaluation), width=80))
    When every intervention is simulated to be only as good as retrying, the
    published estimator still reports +4.6 ± 2.0 points. On this study it reports
    +4.0.
    """
    null, here = evaluation.lift("null"), evaluation.lift("published")
    return (
        "When every intervention is simulated to be only as good as retrying, the published"
        f" estimator still reports {100 * float(null['lift']):+.1f} \u00b1"
        f" {100 * float(null['sd']):.1f}"
        f" points. On this study it reports {100 * float(here['lift']):+.1f}."
    )


def routes_by_cell(evaluation: Evaluation, *, total: bool = False) -> pd.DataFrame:
    """Where the rule sends the steerable_hard problems of each cell.

    Returns
    -------
    DataFrame
        One row for each cell and intervention: ``cell``, ``intervention``, ``count``, ``share``,
        ``routed`` (problems), and ``start``, ``middle``, ``end``: where its share lies when shares
        are laid end to end. Shipped families, methods and tasks come in the order of `labels`, as
        in the bundled study; others after them, as the evaluation has them.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(rnb.load_study(), only=["published"], n_bootstrap=100)
    >>> routes = rnb.tables.routes_by_cell(evaluation, total=True)
    >>> routes.loc[routes["cell"] == "all", ["intervention", "count", "share"]].round(2)
               intervention  count  share
    72         sparse_steer     54   0.33
    73  sparse_steer_random     13   0.08
    74    local_temperature     59   0.36
    75          dense_steer     40   0.24
    """
    found = evaluation.figures["routes"].to_pandas()
    cells = [*sorted(found.index.drop(ALL), key=_place), *([ALL] if total else [])]
    frames = [
        stack_shares(cell, "intervention", found.loc[cell].to_dict(), "routed") for cell in cells
    ]
    return pd.concat(frames, ignore_index=True)


def _place(cell: str) -> list[int]:
    """Return where each part of a cell's name stands among those that are shipped."""
    parts = zip(_SHIPPED, cell.split("|"), strict=False)
    return [known.index(part) if part in known else len(known) for known, part in parts]


def budgets(evaluation: Evaluation) -> pd.DataFrame:
    """Rescue of routing and of retry at equal attempts, generated tokens and forward passes.

    Parameters
    ----------
    evaluation : Evaluation
        Its headline's population; `Evaluation.of` gives another's.

    Returns
    -------
    DataFrame
        ``basis``, ``budget`` (attempts, tokens or forward passes spent on each problem),
        ``k_retry`` and ``k_routed`` (attempts it buys), ``n`` (problems), ``routed``, ``retry``
        (rescue), ``lift_points``, ``low_points``, ``high_points``, ``low_checkpoints_points``,
        ``high_checkpoints_points``, and ``upfront``: what the observed rollouts cost that the rule
        reads, in no budget. A basis that is not stored has no row.
    """
    columns = ["basis", "budget", "k_retry", "k_routed", "n", "routed", "retry", "lift_points"]
    columns += [*_ENDS, *_APART, "upfront"]
    if "budget" not in evaluation.dataset:
        return pd.DataFrame({name: pd.Series(dtype=float) for name in columns})
    names = {f"budget_{name.removesuffix('_points')}": name for name in (*_ENDS, *_APART)}
    names["budget_lift"] = "lift_points"
    of_budget = {str(name) for name in evaluation.dataset if str(name).startswith("budget")}
    table = evaluation.figures[sorted(of_budget - {"budget_cost"})].drop_vars("population")
    frame = table.to_dataframe(dim_order=("basis", "k")).reset_index()
    frame = frame[frame["budget"].notna()].rename(columns=names)
    frame = frame.rename(columns=lambda name: name.removeprefix("budget_"))
    frame[["lift_points", *_ENDS, *_APART]] *= 100
    return frame.assign(k_retry=frame["k"].astype(float))[columns].reset_index(drop=True)


def budget_lines(evaluation: Evaluation) -> pd.DataFrame:
    """Return `budgets` with one row for each strategy: what `plot_budget` draws.

    Returns
    -------
    DataFrame
        ``basis``, ``strategy`` (routed or retry), ``budget``, ``k`` (attempts it buys), ``rescue``,
        ``n``, ``lift_points``, ``low_points``, ``high_points`` (routed minus retry at that budget).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(rnb.make_study(), only=["budgets"], n_bootstrap=20)
    >>> lines = rnb.tables.budget_lines(evaluation).query("basis == 'attempts' and k == 1")
    >>> lines[["strategy", "budget", "k", "rescue"]].round(2)
       strategy  budget    k  rescue
    0    routed     1.0  1.0    0.21
    40    retry     1.0  1.0    0.22
    """
    wide = budgets(evaluation)
    long = [
        wide.assign(strategy=name, k=wide[f"k_{name}"], rescue=wide[name])
        for name in ("routed", "retry")
    ]
    columns: Sequence[str] = ("basis", "strategy", "budget", "k", "rescue", "n", "lift_points")
    return pd.concat(long, ignore_index=True)[[*columns, *_ENDS]]


def mapping_ranks(evaluation: Evaluation) -> pd.DataFrame:
    """Rank every way to give the operators to the features, by what it rescues over retry.

    The mapping is the hypothesis: if others do as well, the features do not choose.

    Returns
    -------
    DataFrame
        Best first: ``rank``, ``mapping`` (operators in the order of the policy's features),
        ``published`` (whether it is the policy's own), ``lift_points`` over every problem with
        ``low_points``, ``high_points``, ``low_checkpoints_points``, ``high_checkpoints_points``.
        Empty if mappings were not asked for.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="tied")
    >>> evaluation = rnb.evaluate_routing(ds, only=["mappings"], n_bootstrap=20)
    >>> ranks = rnb.tables.mapping_ranks(evaluation)
    >>> ranks[["rank", "published", "lift_points"]].round(1).head(2)
       rank  published  lift_points
    0     1       True         27.7
    1     2      False         13.7
    """
    columns = ["rank", "mapping", "published", "lift_points", *_ENDS, *_APART]
    if "mapping" not in evaluation.dataset.dims:
        return pd.DataFrame(columns=columns)
    found = evaluation.figures
    names = [f"mapping_lift{end}" for end in ("", "_low", "_high")]
    names += [f"mapping_lift_{end}_checkpoints" for end in ("low", "high")]
    values = {name: 100 * found[each].values for name, each in zip(columns[3:], names, strict=True)}
    frame = pd.DataFrame({"mapping": found["mapping"].values, **values})
    frame["published"] = np.arange(len(frame)) == 0
    frame = frame.sort_values("lift_points", ascending=False, kind="stable", ignore_index=True)
    return frame.assign(rank=np.arange(1, len(frame) + 1))[columns]
