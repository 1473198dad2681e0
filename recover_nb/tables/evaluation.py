"""Tables of an evaluation: routing by four estimators, its nulls, budgets and routes.

Every function takes an `Evaluation` or the plain dict it prints (``recover-nb evaluate --json``).
"""

from typing import Any

import numpy as np
import pandas as pd

from recover_nb.labels import Intervention
from recover_nb.tables.study import ALL, stack_shares

RETRY = Intervention.RETRY.value
#: Estimators with intervals from the bootstrap, and those that are a distribution without effect.
MEASURED, NULLS = ("published", "split", "all"), ("null", "null_twins")
ESTIMATORS = ("published", *NULLS, "split", "all")
#: Two-sided 95 % of a normal distribution: the band drawn for a null of given mean and sd.
NORMAL_95 = 1.959963984540054
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
        One row an estimator and comparator: ``estimator``, ``comparator``, ``n`` (problems; a mean over halvings for
        ``split``, over simulated studies for a null), ``routed`` and ``rate`` (rescue rates), ``lift_points`` (routed
        minus comparator) with its 95 % interval ``low_points``, ``high_points`` (percentile bootstrap) and
        ``low_bca_points``, ``high_bca_points``, the ``relative`` change with ``relative_low``, ``relative_high``.
        A null's lift is its mean and its interval mean +- 1.96 sd, its rates NaN. An estimator that cannot be
        computed has no row.
    """
    rows = []
    for name, item in _stored(plain(evaluation), ESTIMATORS):
        for comparator, found in item["comparators"].items():
            figures = _null_figures(found) if name in NULLS else _measured_figures(item, found)
            rows.append({"estimator": name, "comparator": comparator, "n": item["n"], **figures})
    columns = ["estimator", "comparator", "n", "routed", "rate", "lift_points", "low_points", "high_points"]
    columns += ["low_bca_points", "high_bca_points", "relative", "relative_low", "relative_high"]
    return _numbers(pd.DataFrame(rows, columns=columns), ("estimator", "comparator"))


def _stored(data: dict, names: tuple[str, ...]) -> list[tuple[str, dict]]:
    """Return the named estimators that were computed."""
    return [(name, data["estimators"][name]) for name in names if data["estimators"].get(name)]


def _measured_figures(item: dict, found: dict) -> dict:
    low, high = _pair(found["ci95"])
    low_bca, high_bca = _pair(found["ci95_bca"])
    relative = [float("nan") if end is None else end for end in found["relative_ci95"]]
    return {
        "routed": item["rate"],
        "rate": found["rate"],
        "lift_points": _points(found["lift"]),
        "low_points": low,
        "high_points": high,
        "low_bca_points": low_bca,
        "high_bca_points": high_bca,
        "relative": found["relative"],
        "relative_low": relative[0],
        "relative_high": relative[1],
    }


def _null_figures(found: dict) -> dict:
    mean, sd = _points(found["mean"]), _points(found["sd"])
    return {"lift_points": mean, "low_points": mean - NORMAL_95 * sd, "high_points": mean + NORMAL_95 * sd}


def lift_over_retry(evaluation: Any) -> pd.DataFrame:
    """Routed minus retry by every estimator, and the excess over each null: what `plot_estimators` draws.

    Returns
    -------
    DataFrame
        ``estimator``, ``kind`` (measured, null or excess), ``n``, ``lift_points``, ``low_points``, ``high_points``,
        ``p`` (of an excess; else NaN), and ``band_low_points``, ``band_high_points``: the interval of a null, else NaN.
    """
    frame = routing_by_estimator(evaluation)
    frame = frame[frame["comparator"] == RETRY]
    kind = np.where(frame["estimator"].isin(NULLS), "null", "measured")
    frame = frame.assign(kind=kind, p=np.nan)
    excess = null_excess(evaluation)
    excess = excess[excess["comparator"] == RETRY]
    below = pd.DataFrame(
        {
            "estimator": ["published less " + name for name in excess["null"]],
            "kind": "excess",
            "n": np.nan,
            "lift_points": excess["excess_points"].to_numpy(),
            "low_points": excess["low_points"].to_numpy(),
            "high_points": excess["high_points"].to_numpy(),
            "p": excess["p"].to_numpy(),
        }
    )
    columns = list(below.columns)
    records = frame[columns].to_dict("records") + below.to_dict("records")
    found = pd.DataFrame(records, columns=columns)
    null = found["kind"] == "null"
    return found.assign(**{f"band_{end}": found[end].where(null) for end in ("low_points", "high_points")})


def null_excess(evaluation: Any) -> pd.DataFrame:
    """Set the published lift against its distribution when no intervention differs from retry.

    Returns
    -------
    DataFrame
        One row a null and comparator: ``null``, ``comparator``, ``published_points``, ``mean_points``, ``sd_points``
        of the null, ``excess_points`` with ``low_points``, ``high_points``, and the one-sided ``p``.
    """
    data = plain(evaluation)
    rows = []
    for name, item in _stored(data, NULLS):
        published = data["estimators"]["published"]["comparators"]
        for comparator, found in item["comparators"].items():
            low, high = _pair(found["ci95"])
            row = {"null": name, "comparator": comparator, "published_points": _points(published[comparator]["lift"])}
            row |= {"mean_points": _points(found["mean"]), "sd_points": _points(found["sd"])}
            row |= {"excess_points": _points(found["excess"]), "low_points": low, "high_points": high}
            rows.append(row | {"p": found["p"]})
    columns = ["null", "comparator", "published_points", "mean_points", "sd_points"]
    columns += ["excess_points", "low_points", "high_points", "p"]
    return _numbers(pd.DataFrame(rows, columns=columns), ("null", "comparator"))


def null_sentence(evaluation: Any) -> str:
    """Say what the published estimator reports without any effect, beside what it reports here."""
    frame = null_excess(evaluation)
    one = frame[(frame["null"] == "null") & (frame["comparator"] == RETRY)].iloc[0]
    return (
        f"With every intervention simulated to be exactly as good as retrying, the published estimator reports "
        f"{one.mean_points:+.1f} \u00b1 {one.sd_points:.1f} points. "
        f"On this study it reports {one.published_points:+.1f}."
    )


def routing_by_cell(evaluation: Any) -> pd.DataFrame:
    """Routing against retry in each cell, by every estimator that has intervals.

    Returns
    -------
    DataFrame
        ``cell``, ``estimator``, ``n``, ``routed``, ``retry``, ``lift_points``, ``low_points``, ``high_points``, and
        the permutation test of the routes: ``p``, and ``p_holm`` corrected over cells.
    """
    rows = []
    for name, item in _stored(plain(evaluation), MEASURED):
        for cell, part in item["cells"].items():
            figures = _measured_figures(part, part["comparators"][RETRY])
            row = {"cell": cell, "estimator": name, "n": part["n"], "routed": part["rate"], "retry": figures["rate"]}
            row |= {key: figures[key] for key in ("lift_points", "low_points", "high_points")}
            rows.append(row | {"p": part["p"], "p_holm": part["p_holm"]})
    columns = ["cell", "estimator", "n", "routed", "retry", "lift_points", "low_points", "high_points", "p", "p_holm"]
    return _numbers(pd.DataFrame(rows, columns=columns), ("cell", "estimator"))


def routes_by_cell(evaluation: Any, *, total: bool = False) -> pd.DataFrame:
    """Where the rule sends the steerable_hard problems of each cell.

    Returns
    -------
    DataFrame
        One row a cell and intervention: ``cell``, ``intervention``, ``count``, ``share``, ``routed`` (problems), and
        ``start``, ``middle``, ``end``: where its share lies when shares are laid end to end.
    """
    cells = {cell: item["routed_counts"] for cell, item in plain(evaluation)["cells"].items()}
    if total:
        summed = pd.DataFrame(cells).sum(axis=1)
        cells[ALL] = {name: int(count) for name, count in summed.items()}
    frames = [stack_shares(cell, "intervention", counts, "routed") for cell, counts in cells.items()]
    return pd.concat(frames, ignore_index=True)


def budgets(evaluation: Any, population: str = "all") -> pd.DataFrame:
    """Rescue of routing and of retry at equal attempts, generated tokens and forward passes.

    Parameters
    ----------
    evaluation : Evaluation or dict
    population : str
        ``all`` failed problems, or the ``steerable_hard`` ones (selected on the attempts that score them: inflated).

    Returns
    -------
    DataFrame
        ``basis``, ``budget`` (attempts, tokens or forward passes spent on each problem), ``k_retry`` and
        ``k_routed`` (attempts it buys), ``n`` (problems), ``routed``, ``retry`` (rescue), ``lift_points``,
        ``low_points``, ``high_points``. A basis that is not stored has no row.
    """
    data = (plain(evaluation)["budgets"] or {}).get(population)
    columns = ["basis", "budget", "k_retry", "k_routed", "n", "routed", "retry", "lift_points"]
    columns += ["low_points", "high_points"]
    frames = []
    for basis in BASES if data else ():
        item = data["attempts"] if basis == "attempts" else data["equal_cost"].get(basis)
        if not item or not item["k"]:
            continue
        ends = np.array(item["ci95"], dtype=float) * 100
        found = {"basis": basis, "budget": item.get("cost", item["k"]), "k_retry": item["k"]}
        found |= {name: item[name] for name in ("k_routed", "n", "routed", "retry")}
        found |= {"lift_points": np.array(item["lift"], dtype=float) * 100}
        frames.append(pd.DataFrame(found | {"low_points": ends[:, 0], "high_points": ends[:, 1]}))
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def budget_lines(evaluation: Any, population: str = "all") -> pd.DataFrame:
    """Return `budgets` with one row a strategy: what `plot_budget` draws.

    Returns
    -------
    DataFrame
        ``basis``, ``strategy`` (routed or retry), ``budget``, ``k`` (attempts it buys), ``rescue``, ``n``,
        ``lift_points``, ``low_points``, ``high_points`` (routed minus retry at that budget).
    """
    wide = budgets(evaluation, population)
    shared = ["basis", "budget", "n", "lift_points", "low_points", "high_points"]
    parts = [
        wide[shared].assign(strategy=name, k=wide[f"k_{name}"], rescue=wide[name]) for name in ("routed", "retry")
    ]
    columns = ["basis", "strategy", "budget", "k", "rescue", *shared[2:]]
    return pd.concat(parts, ignore_index=True)[columns]


def _points(value: float | None) -> float:
    return float("nan") if value is None else 100 * value


def _pair(ends: list[float | None]) -> tuple[float, float]:
    return _points(ends[0]), _points(ends[1])


def _numbers(frame: pd.DataFrame, text: tuple[str, ...]) -> pd.DataFrame:
    """Give every column but `text` a number's dtype: None, which JSON has for NaN, would leave objects."""
    return frame.astype({name: float for name in frame.columns if name not in text})
