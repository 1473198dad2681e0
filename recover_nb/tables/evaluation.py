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


def lift_over_retry(evaluation: Evaluation) -> pd.DataFrame:
    """Return routed minus retry by every estimator, and the excess over each null.

    It is what `plot_estimators` draws.

    Returns
    -------
    DataFrame
        ``estimator``, ``kind`` (measured, null or excess), ``n``, ``lift_points``, ``low_points``,
        ``high_points``, ``p`` (of an excess; else NaN), and ``band_low_points``,
        ``band_high_points``: the interval of a null, else NaN.

    Examples
    --------
    Every intervention gains 20 points here, unless a problem is nearly always solved already.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="planted", size=0.2)
    >>> evaluation = rnb.evaluate_routing(ds, only=["all"], n_bootstrap=50, n_permutations=20)
    >>> rnb.tables.lift_over_retry(evaluation)[["estimator", "n", "lift_points"]].round(1)
      estimator      n  lift_points
    0       all  240.0         17.0
    """
    frame = evaluation.to_dataframe()
    frame = frame[frame["comparator"] == RETRY].assign(p=np.nan)
    frame["kind"] = np.where(frame["estimator"].isin(NULLS), "null", "measured")
    for end in _ENDS:
        frame[f"band_{end}"] = frame[end].where(frame["kind"] == "null")
    excess = null_excess(evaluation)
    excess = excess[excess["comparator"] == RETRY].assign(kind="excess")
    excess["estimator"] = "published less " + excess["null"]
    excess = excess.rename(columns={"excess_points": "lift_points"})
    columns = ["estimator", "kind", "n", "lift_points", *_ENDS, "p"]
    both = pd.concat([frame, excess]) if len(excess) else frame
    return both[[*columns, *(f"band_{end}" for end in _ENDS)]].reset_index(drop=True)


def null_excess(evaluation: Evaluation) -> pd.DataFrame:
    """Set the published lift against its distribution when no intervention differs from retry.

    Returns
    -------
    DataFrame
        One row for each null and comparator: ``null``, ``comparator``, ``published_points``,
        ``mean_points``, ``sd_points`` of the null, ``excess_points`` with ``low_points``,
        ``high_points``, and the one-sided ``p``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="none")
    >>> evaluation = rnb.evaluate_routing(ds, only=["null"], n_bootstrap=50, n_null=50)
    >>> excess = rnb.tables.null_excess(evaluation).query("comparator == 'retry'")
    >>> excess[["null", "published_points", "mean_points", "p"]].round(2)
       null  published_points  mean_points     p
    0  null              4.11         5.25  0.71
    """
    found = evaluation.dataset.sel(cell=ALL)
    nulls = [name for name in NULLS if name in evaluation.estimators]
    of_null = found.sel(estimator=nulls).rename(estimator="null")
    names = {
        "published": "published_points",
        "lift": "mean_points",
        "sd": "sd_points",
        "excess": "excess_points",
        "excess_low": "low_points",
        "excess_high": "high_points",
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
    With every intervention simulated to be exactly as good as retrying, the
    published estimator reports +5.2 ± 1.7 points. On this study it reports +4.1.
    """
    null, here = evaluation.lift("null"), evaluation.lift("published")
    return (
        "With every intervention simulated to be exactly as good as retrying, the published"
        f" estimator reports {100 * float(null['lift']):+.1f} \u00b1 {100 * float(null['sd']):.1f}"
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
    72         sparse_steer     73   0.35
    73  sparse_steer_random     14   0.07
    74    local_temperature     73   0.35
    75          dense_steer     46   0.22
    """
    found = evaluation.dataset["routes"].to_pandas()
    cells = [*sorted(found.index.drop(ALL), key=_place), *([ALL] if total else [])]
    frames = [
        stack_shares(cell, "intervention", found.loc[cell].to_dict(), "routed") for cell in cells
    ]
    return pd.concat(frames, ignore_index=True)


def _place(cell: str) -> list[int]:
    """Return where each part of a cell's name stands among those that are shipped."""
    parts = zip(_SHIPPED, cell.split("|"), strict=False)
    return [known.index(part) if part in known else len(known) for known, part in parts]


def budgets(evaluation: Evaluation, population: str = "all") -> pd.DataFrame:
    """Rescue of routing and of retry at equal attempts, generated tokens and forward passes.

    Parameters
    ----------
    evaluation : Evaluation
    population : str
        ``all`` failed problems, or the ``steerable_hard`` ones (selected on the attempts that score
        them: inflated).

    Returns
    -------
    DataFrame
        ``basis``, ``budget`` (attempts, tokens or forward passes spent on each problem),
        ``k_retry`` and ``k_routed`` (attempts it buys), ``n`` (problems), ``routed``, ``retry``
        (rescue), ``lift_points``, ``low_points``, ``high_points``. A basis that is not stored has
        no row.
    """
    columns = ["basis", "budget", "k_retry", "k_routed", "n", "routed", "retry", "lift_points"]
    columns += _ENDS
    if "budget" not in evaluation.dataset:
        return pd.DataFrame({name: pd.Series(dtype=float) for name in columns})
    names = {"budget_lift": "lift_points", "budget_low": "low_points", "budget_high": "high_points"}
    of_budget = {str(name) for name in evaluation.dataset if str(name).startswith("budget")}
    table = evaluation.dataset[sorted(of_budget - {"budget_cost"})].sel(population=population)
    frame = table.drop_vars("population").to_dataframe(dim_order=("basis", "k")).reset_index()
    frame = frame[frame["budget"].notna()].rename(columns=names)
    frame = frame.rename(columns=lambda name: name.removeprefix("budget_"))
    frame[["lift_points", *_ENDS]] *= 100
    return frame.assign(k_retry=frame["k"].astype(float))[columns].reset_index(drop=True)


def budget_lines(evaluation: Evaluation, population: str = "all") -> pd.DataFrame:
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
    0    routed     1.0  1.0    0.28
    40    retry     1.0  1.0    0.29
    """
    wide = budgets(evaluation, population)
    long = [
        wide.assign(strategy=name, k=wide[f"k_{name}"], rescue=wide[name])
        for name in ("routed", "retry")
    ]
    columns: Sequence[str] = ("basis", "strategy", "budget", "k", "rescue", "n", "lift_points")
    return pd.concat(long, ignore_index=True)[[*columns, *_ENDS]]
