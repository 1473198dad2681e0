"""Compare rules that choose an operator with one operator for all, at equal cost.

See docs/method.md#routers.
"""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import HoldOut
from recover_nb.core.result import labelled
from recover_nb.core.schema import text
from recover_nb.core.titles import named
from recover_nb.routing.policy import POLICY, PUBLISHED, RoutingPolicy
from recover_nb.routing.populations import SOME_POPULATIONS, choose_populations
from recover_nb.routing.routers.folds import Fold, make_folds
from recover_nb.routing.routers.inputs import COUNTED, choosable, read_problems
from recover_nb.routing.routers.judge import BEST_FIXED, COUNT, LEARNT, PUBLISHED_RULE, Sides
from recover_nb.routing.routers.measure import measure
from recover_nb.routing.routers.result import BUDGET, BUDGETS, RouterComparison


@takes_study("ds", "fresh")
@checks.takes(
    hold_out=checks.names(HoldOut),
    populations=SOME_POPULATIONS,
    interventions=checks.NAMES,
    operators=checks.names(empty=True),
    policy=POLICY,
    budget=checks.COUNT,
    seed=checks.SEED,
    n_bootstrap=checks.COUNT,
    n_null=checks.DRAWS,
    n_halvings=checks.COUNT,
    progress=checks.TELL,
)
def compare_routers(
    ds: xr.Dataset,
    *,
    fresh: xr.Dataset | None = None,
    hold_out: str | Sequence[str] = tuple(HoldOut),
    populations: Sequence[str] | None = None,
    interventions: Sequence[str] | None = None,
    operators: Sequence[str] = COUNTED,
    policy: RoutingPolicy = PUBLISHED,
    budget: int = BUDGET,
    seed: int = 0,
    n_bootstrap: int = 2000,
    n_null: int = 200,
    n_halvings: int = 20,
    progress: Callable[[str], None] | None = None,
) -> RouterComparison:
    """Compare rules that choose an operator with one operator for all, on unseen problems.

    Parameters
    ----------
    ds : Dataset
        A study with observed rollouts, attempts and their forward passes.
    fresh : Dataset, optional
        Another study of the same models. Everything is learned from `ds` and judged on it.
    hold_out : str or sequence of str
        What is not learned from: the ``question`` (five folds; the cell is known), the ``cell``,
        the ``family``. One that the study does not allow is left out.
    populations : sequence of str, optional
        As for `evaluate_routing`.
    interventions : sequence of str, optional
        What may be chosen beside retry: the published four and `operators` unless given.
    operators : sequence of str
        What the count rule takes as failures grow more; those that the studies have.
    policy : RoutingPolicy
        The published rule.
    budget : int
        What ``equal_passes`` gives a problem, in its retries.
    seed : int
        The result is a function of it and of the data alone.
    n_bootstrap, n_null, n_halvings : int
        Resamples of questions, simulated studies in which no operator differs from retry (may be
        0), and halvings of attempts for ``ceiling_low``.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    RouterComparison

    Raises
    ------
    InputError
        If a name or number is not allowed, or the study does not store what is needed.

    Notes
    -----
    docs/method.md#routers and docs/method.md#ceiling. An operator without attempts left is followed
    by retries. What is learned, is learned in the population and at the budget that are judged.
    Nothing is selected by the attempts that score, so no gain has a winner's curse but
    ``in_sample``.

    See Also
    --------
    cost_dial : What a budget buys.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> few = rnb.make_study(n_problems=40)
    >>> found = rnb.compare_routers(few, hold_out="question", n_bootstrap=50, n_null=19)
    >>> found.dataset.sizes["policy"]
    9
    """
    schemes = list(hold_out)
    tell = progress or (lambda stage: None)
    tell("reading problems")
    studies = [ds] if fresh is None else [ds, fresh]
    chosen = interventions or [
        name for name in choosable(ds, operators) if name in text(studies[-1]["intervention"])
    ]
    read = [read_problems(each, interventions=chosen, policy=policy) for each in studies]
    arms = read[0].arms
    counted = tuple(name for name in operators if name in arms)
    inside = [choose_populations(each, populations) for each in studies]
    of = int(read[0].known.observed.max())
    parts, labels = [], list(inside[0])
    left_out: dict[str, str] = {}
    for place, population in enumerate(labels):
        tell(named(population))
        sides = [
            problems.take(np.flatnonzero(masks[population][problems.places]))
            for problems, masks in zip(read, inside, strict=True)
        ]
        pair = Sides(sides[0], sides[-1], tuple(arms.index(name) for name in counted), of)
        folds, why = _all_folds(pair, schemes, seed)
        left_out |= why
        counts = (n_bootstrap, n_null, n_halvings)
        parts.append(measure(pair, folds, budget, counts, [seed, place]))
    schemes = [name for name in schemes if name not in left_out]
    policies = [*arms, BEST_FIXED, PUBLISHED_RULE, COUNT, LEARNT]
    settings = {
        "seed": seed,
        "budget": budget,
        "n_bootstrap": n_bootstrap,
        "n_null": n_null,
        "n_halvings": n_halvings,
        "observed": of,
        "fresh": fresh is not None,
        "policy": policy.to_dict(),
        "descriptors": list(read[0].known.names),
        "left_out": {**read[0].left_out, **left_out},
    }
    coords = {
        "hold_out": schemes,
        "population": labels,
        "budget": BUDGETS,
        "policy": policies,
        "operator": counted,
    }
    order = ("hold_out", "population", "budget", ...)
    data = xr.concat(parts, "population").transpose(*order, missing_dims="ignore").variables
    return RouterComparison(
        labelled({name: (x.dims, x.values) for name, x in data.items()}, coords, settings)
    )


def _all_folds(
    sides: Sides, schemes: list[str], seed: int
) -> tuple[dict[str, list[Fold]], dict[str, str]]:
    """Folds of every way of holding out that the study allows, and why others are not."""
    folds, left_out = {}, {}
    for scheme in schemes:
        try:
            folds[scheme] = make_folds(
                sides.learned.known, scheme, judged=sides.judged.known, seed=seed
            )
        except InputError as error:
            left_out[scheme] = str(error)
    if not folds:
        raise InputError("; ".join(left_out.values()))
    return folds, left_out
