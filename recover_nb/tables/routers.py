"""Table of a comparison of routers: what each rule gains over one operator for all."""

import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.routing.routers import RouterComparison
from recover_nb.routing.routers.judge import COUNT, LEARNT, PUBLISHED_RULE

#: Rules of the table, and retry beside them; the best single operator is what they are held to.
SHOWN = (COUNT, LEARNT, PUBLISHED_RULE, "retry")
_POINTS = {
    "lift_points": "gain",
    "low_points": "gain_low",
    "high_points": "gain_high",
    "low_checkpoints_points": "gain_low_checkpoints",
    "high_checkpoints_points": "gain_high_checkpoints",
    "null_points": "null_mean",
    "null_sd_points": "null_sd",
    "ceiling_points": "ceiling",
    "ceiling_low_points": "ceiling_low",
    "ceiling_high_points": "ceiling_high",
}


def router_lifts(
    comparison: RouterComparison,
    *,
    hold_out: str | None = None,
    population: str | None = None,
    budget: str | None = None,
    policies: tuple[str, ...] | list[str] = SHOWN,
) -> pd.DataFrame:
    """Every rule less the best single operator.

    Parameters
    ----------
    comparison : RouterComparison
    hold_out, population, budget : str, optional
        Of what; all unless given.
    policies : sequence of str
        Which, in this order.

    Returns
    -------
    DataFrame
        ``hold_out``, ``population``, ``budget``, ``router``, ``rate``, ``lift_points`` with
        ``low_points``, ``high_points`` (over questions) and ``low_checkpoints_points``,
        ``high_checkpoints_points`` (over checkpoints); ``null_points``, ``null_sd_points``: the
        lift when no operator differs from retry, and one-sided ``p`` of as large a one there;
        ``ceiling_points`` between ``ceiling_low_points`` and ``ceiling_high_points``: what knowing
        every rate would gain.

    Raises
    ------
    InputError
        If a name is none that was compared.
    """
    frame = comparison.to_dataframe()
    wanted = {"hold_out": hold_out, "population": population, "budget": budget}
    for column, name in wanted.items():
        known = list(dict.fromkeys(frame[column]))
        if name is not None and name not in known:
            raise InputError(f"{column} is {name!r}; allowed: {', '.join(known)}")
        if name is not None:
            frame = frame[frame[column] == name]
    known = list(dict.fromkeys(frame["policy"]))
    unknown = [name for name in policies if name not in known]
    if unknown:
        raise InputError(f"policy is {unknown[0]!r}; allowed: {', '.join(known)}")
    # Every comparison has every policy, in one order.
    blocks = frame["policy"].eq(known[0]).cumsum()
    frame = frame.assign(
        block=blocks, order=frame["policy"].map({x: i for i, x in enumerate(policies)})
    )
    frame = frame.dropna(subset="order").sort_values(["block", "order"]).reset_index(drop=True)
    columns = {"router": frame["policy"], "rate": frame["rate"]}
    columns |= {name: 100 * frame[of] for name, of in _POINTS.items()}
    return frame[[*wanted]].assign(**columns, p=frame["p"])
