"""What is being looked at: one small object that every view of a notebook can share."""

from typing import Any

import traitlets
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.tables.examples import opening
from recover_nb.tables.inspection import first_failed
from recover_nb.widgets.parts.traits import Plain


class Selection(Plain, traitlets.HasTraits):
    """The problem, rollout, intervention and token that are looked at, and the brushed problems.

    Give the same object to several views and they follow one another.

    Attributes
    ----------
    problem, rollout : int
        Places along the dimensions of the study; -1 = nothing chosen.
    intervention : str
        Whose rollout; ``none`` is an observed one.
    token : int
        Place in the trace; -1 = none.
    problems : tuple of int
        Brushed places along `problem`; empty = all.

    Examples
    --------
    >>> selection = Selection(problem=3)
    >>> selection.value["problem"]
    3
    """

    problem = traitlets.Int(-1, min=-1)
    rollout = traitlets.Int(-1, min=-1)
    intervention = traitlets.Unicode(Intervention.NONE.value)
    token = traitlets.Int(-1, min=-1)
    problems = traitlets.Tuple()

    _STATE = ("problem", "rollout", "intervention", "token", "problems")

    def __init__(self, **state: Any) -> None:
        super().__init__()
        self.value = state

    @property
    def value(self) -> dict[str, Any]:
        """The whole selection; set some or all of it at once."""
        return {name: getattr(self, name) for name in self._STATE}

    @value.setter
    def value(self, state: dict[str, Any]) -> None:
        set_state(self, self._STATE, state)


#: The selection that a view asks for.
SELECTION = checks.instance(
    Selection, "a Selection", "write it as rnb.widgets.Selection(problem=3)"
)


def looking_at(ds: xr.Dataset, problem: int) -> dict[str, Any]:
    """Return the state of a selection of a problem, and its first failed rollout if stored."""
    place = {"problem": problem, "rollout": first_failed(ds, problem), "token": -1}
    return {**place, "intervention": Intervention.NONE.value}


def chosen_problem(
    selection: Selection | None, ds: xr.Dataset, problem: int | None
) -> Selection | None:
    """Return a selection that has a problem: the named one, or its own; None where there is none.

    Raises
    ------
    InputError
        If there is no such problem.
    """
    if problem is not None:
        place = checks.check("problem", problem, checks.place(ds.sizes["problem"]))
        selection = selection or Selection()
        selection.value = looking_at(ds, int(place))
    return None if selection is None or selection.problem < 0 else selection


def opened(selection: Selection | None, ds: xr.Dataset) -> Selection:
    """Return the selection, or a new one, looking at an instructive example."""
    selection = selection or Selection()
    selection.value = opening(ds)
    return selection


def set_state(target: traitlets.HasTraits, names: tuple[str, ...], state: dict[str, Any]) -> None:
    """Set some of the traits `names` of `target` at once.

    Raises
    ------
    InputError
        For a name that is not among them, or a value of the wrong type.
    """
    checks.check("value", state, checks.MAPPING)
    for name in state:
        checks.check_name(f"the state of {type(target).__name__}", name, names)
    try:
        with target.hold_trait_notifications():
            for name, value in state.items():
                setattr(target, name, value)
    except traitlets.TraitError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from error
