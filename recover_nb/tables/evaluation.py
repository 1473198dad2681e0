"""Tables of an evaluation: routing by four estimators, its nulls, budgets and routes.

Every function takes an `Evaluation` or the plain dict it prints (``recover-nb evaluate --json``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from recover_nb.core.labels import SPECIALISTS, Family, Intervention, Task
from recover_nb.tables.kit import in_points, points
from recover_nb.tables.study import ALL, stack_shares

RETRY = Intervention.RETRY.value
#: Estimators with intervals from the bootstrap, and those that are a distribution without effect.
MEASURED, NULLS = ("published", "split", "all"), ("null", "null_twins")
ESTIMATORS = ("published", *NULLS, "split", "all")
#: Two-sided 95 % of a normal distribution: the band drawn for a null of given mean and sd.
NORMAL_95 = 1.959963984540054
#: Names of the three parts of a cell, in the order of tables and charts.
_SHIPPED = (list(Family), list(SPECIALISTS), list(Task))
#: What budgets are made equal in.
BASES = ("attempts", "generated_tokens", "forward_passes")


def plain(evaluation: Any) -> dict:
    """Return the plain dict of an evaluation, given either form."""
    return evaluation if isinstance(evaluation, dict) else evaluation.to_dict()


def routing_by_estimator(evaluation: Any) -> pd.DataFrame:
    """Routing against every comparator, by every estimator.

    Parameters
    ----------
    evaluation : Evaluation or dict

    Returns
    -------
    DataFrame
        One row an estimator and comparator: ``estimator``, ``comparator``, ``n`` (problems; a mean
        over halvings for ``split``, over simulated studies for a null), ``routed`` and ``rate``
        (rescue rates), ``lift_points`` (routed minus comparator) with its 95 % interval
        ``low_points``, ``high_points`` (percentile bootstrap) and ``low_bca_points``,
        ``high_bca_points``, the ``relative`` change with ``relative_low``, ``relative_high``. A
        null's lift is its mean and its interval mean +- 1.96 sd, its rates NaN. An estimator that
        cannot be computed has no row.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(
    ...     rnb.make_study(effect="planted"), only=["all"], n_bootstrap=50, n_permutations=20
    ... )
    >>> table = rnb.tables.routing_by_estimator(evaluation)
    >>> table[["comparator", "routed", "rate", "lift_points"]].round(2).head(3)
                comparator  routed  rate  lift_points
    0                retry    0.56  0.29        27.00
    1         sparse_steer    0.56  0.59        -3.06
    2  sparse_steer_random    0.56  0.60        -3.65
    """
    columns = [
        "estimator",
        "comparator",
        "n",
        "routed",
        "rate",
        "lift_points",
        "low_points",
        "high_points",
    ]
    columns += ["low_bca_points", "high_bca_points", "relative", "relative_low", "relative_high"]
    return table_of(
        estimator_rows(evaluation, ESTIMATORS), columns, text=("estimator", "comparator")
    )


def estimator_rows(evaluation: Any, names: tuple[str, ...]) -> list[dict]:
    """Return some estimators' rows of `routing_by_estimator`, as dicts; a null has no rates."""
    return [
        {"estimator": name, "comparator": comparator, "n": item["n"]}
        | (_null_figures(found) if name in NULLS else _measured_figures(item, found))
        for name, item in _stored(plain(evaluation), names)
        for comparator, found in item["comparators"].items()
    ]


def _stored(data: dict, names: tuple[str, ...]) -> list[tuple[str, dict]]:
    """Return the named estimators that were computed."""
    return [(name, data["estimators"][name]) for name in names if data["estimators"].get(name)]


def _measured_figures(item: dict, found: dict) -> dict:
    low_bca, high_bca = map(points, found["ci95_bca"])
    relative = [float("nan") if end is None else end for end in found["relative_ci95"]]
    return {
        "routed": item["rate"],
        "rate": found["rate"],
        **in_points(found["lift"], found["ci95"], name="lift_points"),
        "low_bca_points": low_bca,
        "high_bca_points": high_bca,
        "relative": found["relative"],
        "relative_low": relative[0],
        "relative_high": relative[1],
    }


def _null_figures(found: dict) -> dict:
    mean, sd = points(found["mean"]), points(found["sd"])
    return {
        "lift_points": mean,
        "low_points": mean - NORMAL_95 * sd,
        "high_points": mean + NORMAL_95 * sd,
    }


def lift_over_retry(evaluation: Any) -> pd.DataFrame:
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
    rows = [
        row | {"kind": "null" if row["estimator"] in NULLS else "measured"}
        for row in estimator_rows(evaluation, ESTIMATORS)
        if row["comparator"] == RETRY
    ]
    rows += [
        {
            "estimator": f"published less {row['null']}",
            "kind": "excess",
            "lift_points": row["excess_points"],
        }
        | {name: row[name] for name in ("low_points", "high_points", "p")}
        for row in excess_rows(evaluation)
        if row["comparator"] == RETRY
    ]
    for row in rows:
        of_null = row["kind"] == "null"
        row |= {
            f"band_{end}": row[end] if of_null else None for end in ("low_points", "high_points")
        }
    columns = ["estimator", "kind", "n", "lift_points", "low_points", "high_points", "p"]
    return table_of(
        rows, [*columns, "band_low_points", "band_high_points"], text=("estimator", "kind")
    )


def null_excess(evaluation: Any) -> pd.DataFrame:
    """Set the published lift against its distribution when no intervention differs from retry.

    Returns
    -------
    DataFrame
        One row a null and comparator: ``null``, ``comparator``, ``published_points``,
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
    columns = ["null", "comparator", "published_points", "mean_points", "sd_points"]
    columns += ["excess_points", "low_points", "high_points", "p"]
    return table_of(excess_rows(evaluation), columns, text=("null", "comparator"))


def excess_rows(evaluation: Any) -> list[dict]:
    """Return the rows of `null_excess` as dicts."""
    data = plain(evaluation)
    rows = []
    for name, item in _stored(data, NULLS):
        published = data["estimators"]["published"]["comparators"]
        for comparator, found in item["comparators"].items():
            row = {
                "null": name,
                "comparator": comparator,
                "published_points": points(published[comparator]["lift"]),
            }
            row |= {"mean_points": points(found["mean"]), "sd_points": points(found["sd"])}
            row |= in_points(found["excess"], found["ci95"], name="excess_points")
            rows.append(row | {"p": found["p"]})
    return rows


def null_sentence(evaluation: Any) -> str:
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
    frame = null_excess(evaluation)
    one = frame[(frame["null"] == "null") & (frame["comparator"] == RETRY)].iloc[0]
    return (
        "With every intervention simulated to be exactly as good as retrying, the published"
        f" estimator reports {one.mean_points:+.1f} \u00b1 {one.sd_points:.1f} points. On this"
        f" study it reports {one.published_points:+.1f}."
    )


def routing_by_cell(evaluation: Any) -> pd.DataFrame:
    """Routing against retry in each cell, by every estimator that has intervals.

    Returns
    -------
    DataFrame
        ``cell``, ``estimator``, ``n``, ``routed``, ``retry``, ``lift_points``, ``low_points``,
        ``high_points``, and the permutation test of the routes: ``p``, and ``p_holm`` corrected
        over cells.
    """
    rows = []
    for name, item in _stored(plain(evaluation), MEASURED):
        for cell, part in item["cells"].items():
            figures = _measured_figures(part, part["comparators"][RETRY])
            row = {
                "cell": cell,
                "estimator": name,
                "n": part["n"],
                "routed": part["rate"],
                "retry": figures["rate"],
            }
            row |= {key: figures[key] for key in ("lift_points", "low_points", "high_points")}
            rows.append(row | {"p": part["p"], "p_holm": part["p_holm"]})
    columns = [
        "cell",
        "estimator",
        "n",
        "routed",
        "retry",
        "lift_points",
        "low_points",
        "high_points",
        "p",
        "p_holm",
    ]
    return table_of(rows, columns, text=("cell", "estimator"))


def routes_by_cell(evaluation: Any, *, total: bool = False) -> pd.DataFrame:
    """Where the rule sends the steerable_hard problems of each cell.

    Returns
    -------
    DataFrame
        One row a cell and intervention: ``cell``, ``intervention``, ``count``, ``share``,
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
    found = plain(evaluation)["cells"]
    cells = {cell: found[cell]["routed_counts"] for cell in sorted(found, key=_place)}
    if total:
        summed = pd.DataFrame(cells).sum(axis=1)
        cells[ALL] = {name: int(count) for name, count in summed.items()}
    frames = [
        stack_shares(cell, "intervention", counts, "routed") for cell, counts in cells.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _place(cell: str) -> list[int]:
    """Return where each part of a cell's name stands among those that are shipped."""
    parts = zip(_SHIPPED, cell.split("|"), strict=False)
    return [known.index(part) if part in known else len(known) for known, part in parts]


def budgets(evaluation: Any, population: str = "all") -> pd.DataFrame:
    """Rescue of routing and of retry at equal attempts, generated tokens and forward passes.

    Parameters
    ----------
    evaluation : Evaluation or dict
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
    data = (plain(evaluation)["budgets"] or {}).get(population)
    columns = ["basis", "budget", "k_retry", "k_routed", "n", "routed", "retry", "lift_points"]
    columns += ["low_points", "high_points"]
    rows = []
    for basis in BASES if data else ():
        item = data["attempts"] if basis == "attempts" else data["equal_cost"].get(basis)
        if not item or not item["k"]:
            continue
        for i, (lift, ends) in enumerate(zip(item["lift"], item["ci95"], strict=True)):
            found = {name: item[name][i] for name in ("k_routed", "n", "routed", "retry")}
            found |= in_points(lift, ends, name="lift_points")
            rows.append(
                {
                    "basis": basis,
                    "budget": item.get("cost", item["k"])[i],
                    "k_retry": item["k"][i],
                    **found,
                }
            )
    return table_of(rows, columns, text=("basis",))


def budget_lines(evaluation: Any, population: str = "all") -> pd.DataFrame:
    """Return `budgets` with one row a strategy: what `plot_budget` draws.

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
    wide = budgets(evaluation, population).to_dict("records")
    rows = [
        row | {"strategy": name, "k": row[f"k_{name}"], "rescue": row[name]}
        for name in ("routed", "retry")
        for row in wide
    ]
    columns = [
        "basis",
        "strategy",
        "budget",
        "k",
        "rescue",
        "n",
        "lift_points",
        "low_points",
        "high_points",
    ]
    return table_of(rows, columns, text=("basis", "strategy"))


def table_of(rows: list[dict], columns: Sequence[str], *, text: Sequence[str]) -> pd.DataFrame:
    """Return rows as a frame, every column but `text` of floats.

    What a row lacks, or has as JSON's None, is NaN.

    Column by column: a frame made of rows and then converted takes ten times as long.
    """
    taken = {name: [row.get(name) for row in rows] for name in columns}
    return pd.DataFrame(
        {name: found if name in text else np.array(found, float) for name, found in taken.items()}
    )
