"""Tables of a comparison of routers: rates, lifts and curves at equal cost."""

import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.routing.routers.compare import RouterComparison
from recover_nb.tables.kit import in_points, points

#: Policies of a curve, where none are asked for: few enough to tell apart.
SHOWN = (
    "retry",
    "best_fixed",
    "published",
    "lookalike",
    "learnt",
    "retry_gate",
    "lookalike_gate",
)
BEST_FIXED = "best_fixed"


def router_lifts(
    comparison: RouterComparison, *, against: str = BEST_FIXED, hold_out: str | None = None
) -> pd.DataFrame:
    """Every router less one comparator at the headline budget.

    Parameters
    ----------
    comparison : RouterComparison
    against : str
        The comparator.
    hold_out : str, optional
        Way of holding out; all by default.

    Returns
    -------
    DataFrame
        ``hold_out``, ``router``, ``kind`` (router, or comparator: the published rule and oracles
        beside them), ``comparator``, ``lift_points`` with ``low_points``, ``high_points`` (paired
        bootstrap over questions), one-sided ``p`` and ``p_holm`` over routers; ``null_points`` and
        ``null_sd_points``: the lift when no operator differs from retry; ``excess_points`` with
        ``excess_low_points``, ``excess_high_points``; at equal *paid* cost ``paid_points``,
        ``paid_low_points``, ``paid_high_points``; and ``beats``: above the comparator by interval
        and by Holm. NaN where a figure was not computed.

    Raises
    ------
    InputError
        If no router was compared with `against`.
    """
    rows = []
    for name, item in _schemes(comparison, hold_out):
        known = sorted({other for found in item["lifts"].values() for other in found})
        if against not in known:
            raise InputError(f"against is {against!r}; allowed: {', '.join(known)}")
        for router, found in item["lifts"].items():
            if against in found:
                head = {
                    "hold_out": name,
                    "router": router,
                    "kind": item["policies"][router]["kind"],
                }
                rows.append(head | {"comparator": against, **_lift(found[against])})
    return pd.DataFrame(rows)


def _lift(one: dict) -> dict:
    ends, excess, paid = (
        one.get(key, (None, None)) for key in ("ci95", "excess_ci95", "paid_ci95")
    )
    return {
        **in_points(one["lift"], ends, name="lift_points"),
        "p": one["p"],
        "p_holm": float("nan") if one["p_holm"] is None else one["p_holm"],
        "null_points": points(one.get("null_mean")),
        "null_sd_points": points(one.get("null_sd")),
        **in_points(one.get("excess"), excess, "excess_"),
        **in_points(one["paid_lift"], paid, "paid_"),
        "beats": bool(ends[0] > 0 and one["p_holm"] is not None and one["p_holm"] <= 0.05),
    }


def router_curves(
    comparison: RouterComparison,
    hold_out: str | None = None,
    policies: tuple[str, ...] | list[str] = SHOWN,
) -> pd.DataFrame:
    """Rescue of chosen policies against cost.

    Parameters
    ----------
    comparison : RouterComparison
    hold_out : str, optional
        Way of holding out; by cell by default, or the first that was used.
    policies : sequence of str
        Which, in this order; those that were not compared are left out.

    Returns
    -------
    DataFrame
        ``hold_out``, ``policy``, ``kind``, ``basis``, ``retries`` (the budget), ``cost`` (the same
        by the basis, mean over problems), ``rescue`` with ``low``, ``high``.
    """
    data = comparison.to_dict()
    first = "cell" if "cell" in comparison.hold_outs else next(iter(comparison.hold_outs))
    ((name, item),) = _schemes(comparison, hold_out or first)
    rows = []
    for policy in policies:
        one = item["policies"].get(policy)
        for k, cost, rate, (low, high) in zip(
            data["budgets"],
            data["costs"],
            one["curve"] if one else (),
            one["curve_ci95"] if one else (),
            strict=False,
        ):
            row = {
                "hold_out": name,
                "policy": policy,
                "kind": one["kind"],
                "basis": data["basis"],
                "retries": k,
            }
            rows.append(row | {"cost": cost, "rescue": rate, "low": low, "high": high})
    columns = ["hold_out", "policy", "kind", "basis", "retries", "cost", "rescue", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def router_cells(comparison: RouterComparison, hold_out: str = "cell") -> pd.DataFrame:
    """Return every policy's rescue in each cell at the headline budget.

    Columns are ``cell``, ``n``, and one a policy.
    """
    ((_, item),) = _schemes(comparison, hold_out)
    return pd.DataFrame(
        [{"cell": cell, "n": one["n"], **one["rates"]} for cell, one in item["cells"].items()]
    )


def _schemes(comparison: RouterComparison, hold_out: str | None) -> list[tuple[str, dict]]:
    found = comparison.to_dict()["hold_outs"]
    if hold_out is not None and hold_out not in found:
        raise InputError(f"hold_out is {hold_out!r}; allowed: {', '.join(found)}")
    return [(name, item) for name, item in found.items() if hold_out in (None, name)]
