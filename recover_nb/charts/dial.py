"""What a budget buys, of any study: the cost dial."""

import xarray as xr

from recover_nb import tables
from recover_nb.core.door import takes_study
from recover_nb.pages.dial import CostDial
from recover_nb.pages.front_door import recorded


@takes_study()
def cost_dial(ds: xr.Dataset | None = None) -> CostDial:
    """Show what a budget buys: trying again, routing, and what else might help, at equal cost.

    Parameters
    ----------
    ds : Dataset, optional
        A study with attempts and their forward passes; what is recorded of the bundled one unless
        given.

    Returns
    -------
    CostDial

    Raises
    ------
    InputError
        The study does not store what is needed.

    See Also
    --------
    evaluate_routing : Budget curves with their intervals.
    compare_routers : Routers with theirs.

    Notes
    -----
    docs/method.md#cost-dial.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> [each["name"] for each in rnb.cost_dial().told["strategies"]][:2]
    ['Try again', 'The published rule']
    """
    return CostDial(recorded()["dial"] if ds is None else tables.cost_dial(ds))
