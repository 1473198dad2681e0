"""What a study does not store of a trace, computed from the two models once they are asked for."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from recover_nb.core.labels import Intervention
from recover_nb.tables.inspection import stored_alternatives
from recover_nb.widgets.models import Models
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.problems import StudyReader

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair

NONE = Intervention.NONE.value


class Computing:
    """Signals and alternatives of a trace, each computed once for every setting.

    Parameters
    ----------
    reader : StudyReader
    busy : Busy
    pair : Pair, optional
        The models that made the study; the shipped ones where they did.

    Attributes
    ----------
    on : bool
        Whether the reader asked for it.
    """

    def __init__(self, reader: StudyReader, busy: Busy, pair: "Pair | None" = None) -> None:
        self._reader, self._busy = reader, busy
        self._models = Models(busy, pair, reader.ds)
        self._known: dict[tuple, Any] = {}
        self.on = False

    def start(self, chosen: dict) -> None:
        """Load both models of the chosen problem."""
        self._pair(self._reader.one(chosen["problem"]))
        self.on = True

    def signals(self, chosen: dict, settings: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """Return the signals of the chosen trace; None before `start`."""
        return self._computed("signals", chosen, settings) if self.on else None

    def alternatives(
        self, chosen: dict, settings: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return both models' likeliest tokens along the chosen trace; None where not known."""
        if chosen["intervention"] == NONE:
            one = self._reader.one(chosen["problem"])
            stored = stored_alternatives(one, 0, chosen["rollout"])
            if stored is not None:
                return stored
        return self._computed("likeliest", chosen, settings) if self.on else None

    def _pair(self, one: xr.Dataset) -> Any:
        return self._models.pair(*(str(one[name].values[0]) for name in ("family", "method")))

    def _computed(self, what: str, chosen: dict, settings: dict[str, Any]) -> Any:
        place = {name: chosen[name] for name in ("problem", "rollout", "intervention")}
        key = (what, *place.values(), *settings.values())
        if key not in self._known:
            whole = self._reader.one(place["problem"])
            one = whole.isel(problem=0, rollout=place["rollout"])
            one = one.sel(intervention=place["intervention"])
            pair, module = self._pair(whole), self._models.module("generation.single_trace")
            with self._busy.doing(f"computing {what}"):
                self._known[key] = getattr(module, what)(pair, one, settings)
        return self._known[key]
