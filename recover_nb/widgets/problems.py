"""The problems a view can show: those of a study, read one at a time, and new ones."""

from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import SPECIALISTS, Family, Source, Task
from recover_nb.core.schema import text
from recover_nb.io.store import load_study
from recover_nb.tables.examples import dev_problems, places_of, problem_at
from recover_nb.tables.inspection import first_failed, read_trace, stored_alternatives
from recover_nb.tables.rollouts import Walk, recorded_walk
from recover_nb.tasks import Problem
from recover_nb.widgets.parts.busy import Busy

CELL = ("family", "method", "task")


class StudyReader:
    """A study, opened when it is needed and read one problem at a time.

    Parameters
    ----------
    ds : Dataset or None
        None: the bundled one.
    busy : Busy
        Says that it is being opened.
    """

    def __init__(self, ds: xr.Dataset | None, busy: Busy) -> None:
        self._given, self._busy = ds, busy
        self._held: tuple[int, xr.Dataset] | None = None

    @property
    def ds(self) -> xr.Dataset:
        """The study."""
        if self._given is None:
            with self._busy.doing("opening the bundled study"):
                self._given = load_study()
        return self._given

    @property
    def is_open(self) -> bool:
        """Whether the study was given, or was needed so far."""
        return self._given is not None

    def one(self, place: int) -> xr.Dataset:
        """Return a problem of the study in memory; a study on disk is read a block at a time.

        Raises
        ------
        InputError
            If there is no such place.
        """
        if self._held is None or self._held[0] != place:
            if not 0 <= place < self.ds.sizes["problem"]:
                raise InputError(
                    f"problem {place} is not there; allowed: 0 to {self.ds.sizes['problem'] - 1}"
                )
            self._held = place, self.ds.isel(problem=[place]).load()
        return self._held[1]

    def walk(self, place: int, rollout: int) -> Walk:
        """Return an observed rollout, with what the study knows of alternatives."""
        one = self.one(place)
        return recorded_walk(read_trace(one, 0, rollout), stored_alternatives(one, 0, rollout))

    def why_no_alternatives(self, place: int) -> str:
        """Say why no alternatives of this problem's rollout are stored, and what to do instead."""
        if "alternative_token_id" not in self.ds:
            return (
                "this study does not store what the models would rather have said; choose a live"
                " source and step"
            )
        first = first_failed(self.one(place), 0)
        if first < 0:
            return (
                "no rollout of this problem failed, so no alternatives are stored; choose a live"
                " source and step"
            )
        return (
            f"alternatives are stored for rollout {first} only, the first that failed; choose it,"
            " or a live source"
        )


class Problems(StudyReader):
    """The problems of a study and those of the dev split, by family, method, task and level."""

    def __init__(self, ds: xr.Dataset | None, busy: Busy) -> None:
        super().__init__(ds, busy)
        self._dev: dict[tuple[str, int], list[Problem]] = {}
        shipped = {"family": Family, "method": SPECIALISTS, "task": Task}
        found = {} if ds is None else {name: np.unique(text(ds[name])).tolist() for name in CELL}
        self.names = {
            name: list(dict.fromkeys([*found.get(name, []), *(each.value for each in known)]))
            for name, known in shipped.items()
        }

    def find(self, state: dict[str, Any]) -> tuple[int, Problem]:
        """Return the place along `problem` that a state names (-1 for a new one), and the problem.

        Raises
        ------
        InputError
            If the state names no problem.
        """
        if state["source"] == Source.LIVE_DEV:
            new = self._new(state)
            return -1, new[_among(state["problem"], len(new))]
        places, place = self._places(state), state["problem"]
        problem = problem_at(self.one(place), 0)
        if place not in places:
            wanted = "|".join(state[name] for name in CELL)
            raise InputError(
                f"problem {place} is not one of {wanted}; the first of them is {places[0]}"
            )
        return place, problem

    def begin(self, state: dict[str, Any]) -> int:
        """Return the number to go to where a state names other problems than before.

        The same one if it is among them, else the same question, else the first.

        Raises
        ------
        InputError
            If there are none.
        """
        if state["source"] == Source.LIVE_DEV:
            return state["problem"] if state["problem"] < len(self._new(state)) else 0
        places, place = self._places(state), state["problem"]
        if place in places:
            return place
        same = np.zeros(0, int)
        if place < self.ds.sizes["problem"]:
            question = text(self.ds["problem_id"])
            same = places[question[places] == question[place]]
        return int(same[0] if len(same) else places[0])

    def _places(self, state: dict[str, Any]) -> np.ndarray:
        return places_of(self.ds, *(state[name] for name in CELL), state["level"])

    def _new(self, state: dict[str, Any]) -> list[Problem]:
        key = (state["task"], state["level"])
        if key not in self._dev:
            self._dev[key] = dev_problems(*key)
        return self._dev[key]

    def shows(self, state: dict[str, Any], place: int) -> bool:
        """Whether a state names this place."""
        try:
            return self.find(state)[0] == place
        except InputError:
            return False

    def state_of(self, place: int) -> dict[str, Any]:
        """Return the state that names a place."""
        one = self.one(place)
        cell = {name: str(one[name].values[0]) for name in CELL}
        return cell | {"level": 0, "problem": place}


def _among(place: int, n: int) -> int:
    if place >= n:
        raise InputError(f"problem {place} is not there; allowed for this choice: 0 to {n - 1}")
    return place
