"""The two models behind a live view, loaded when a button first asks for them."""

import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import xarray as xr

from recover_nb.core.checkpoints import is_shipped
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Method
from recover_nb.core.schema import text
from recover_nb.core.stored_json import json_part
from recover_nb.core.token_text import model_of, pieces_in, token_pieces
from recover_nb.generation.lineage import load_lineage
from recover_nb.widgets.parts.busy import Busy

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair, Settings


#: Pairs of the shipped lineage that are kept for all views of a process; the one longest unused
#: goes first.
KEPT = 4


@lru_cache(maxsize=KEPT)
def shipped_pair(family: str, method: str) -> "Pair":
    """Return `load_lineage` of a family and method, loaded once for every view."""
    return load_lineage(family, method)


class Models:
    """Pairs of the shipped lineage by family and method, or one pair for everything.

    Parameters
    ----------
    busy : Busy
        Says that a pair is being loaded.
    pair : Pair, optional
        Used whatever the family and method.
    ds : Dataset, optional
        The study that is looked at. A name is not enough for its units: the shipped pair is taken
        where its hashes are those that the study was made with.
    """

    def __init__(
        self, busy: Busy, pair: "Pair | None" = None, ds: xr.Dataset | None = None
    ) -> None:
        self._busy, self._given, self._ds = busy, pair, ds
        self._held: tuple[tuple[str, str], Pair] | None = None
        self._own: dict[int, str] | None = None
        self._checked: set[tuple[str, str]] = set()

    def pair(self, family: str, method: str) -> "Pair":
        """Return the pair, loading torch and the checkpoints where that was not done before.

        Raises
        ------
        InputError
            No such checkpoint, another pair than that of the study, or torch is not installed.
        """
        if self._given is not None:
            self._check_given(family, method)
            return self._given
        self._check_shipped(family, method)
        if self._held is None or self._held[0] != (family, method):
            with self._busy.doing(f"loading torch, {family} {method} and its ancestor"):
                self._held = (family, method), shipped_pair(family, method)
        return self._held[1]

    def module(self, name: str) -> ModuleType:
        """Return a module of `recover_nb` that needs torch."""
        full = f"recover_nb.{name}"
        if full in sys.modules:
            return sys.modules[full]
        with self._busy.doing("loading torch"):
            return need(full, "models", "live decoding")

    def settings(self, ds: xr.Dataset | None, **changes: Any) -> "Settings":
        """Return a study's own settings (the published ones without a study), with `changes`."""
        return self.module("generation.decoding").Settings(**{**stored_settings(ds), **changes})

    def key(self, family: str, method: str, task: str, problem_id: str) -> int:
        """Return what chooses the random numbers of a problem."""
        return self.module("generation.decoding").problem_key(family, method, task, problem_id)

    def pieces(self, family: str, method: str) -> dict[int, str]:
        """Return each token's text: by the given pair, as the study has it, or as shipped."""
        if self._given is not None:
            own = self._own
            if own is None:
                traces = self.module("generation.traces")
                own = self._own = traces.token_texts(self._given, range(self._given.vocab_size))
            return own
        study = self._study_of(family, method)
        return token_pieces(family) if study is None else pieces_in(study, family, method)

    def _study_of(self, family: str, method: str) -> xr.Dataset | None:
        """Return the study, if it has problems of a unit."""
        if self._ds is None:
            return None
        here = (text(self._ds["family"]) == family) & (text(self._ds["method"]) == method)
        return self._ds if here.any() else None

    def _check_shipped(self, family: str, method: str) -> None:
        """Refuse to take the shipped models for those of a study that has others."""
        study = self._study_of(family, method)
        if study is None:
            return
        model = model_of(study, family, method)
        if is_shipped(model, family, method) and is_shipped(model, family, Method.ANCESTOR.value):
            return
        made_by = model.get("specialist")
        which = f"with {made_by}" if made_by else "with models that it does not name"
        raise InputError(
            f"this study of {family} {method} was made {which}, which is not the shipped"
            " checkpoint of that name; pass pair=rnb.load_pair(specialist, ancestor) to the view"
        )

    def _check_given(self, family: str, method: str) -> None:
        """Refuse a pair whose weights are not those that the study was made with."""
        study = self._study_of(family, method)
        if study is None or (family, method) in self._checked:
            return
        stated = model_of(study, family, method)
        provenance = self.module("generation.provenance")
        for role in ("specialist", "ancestor"):
            if not provenance.is_same_model(stated, self._given, role):
                raise InputError(
                    f"the {role} of pair= is {getattr(self._given, f'{role}_name')}, and its"
                    f" weights are not those of {stated.get(role)}, which this study was made"
                    " with; pass the pair that made it"
                )
        self._checked.add((family, method))


def stored_settings(ds: xr.Dataset | None) -> dict[str, Any]:
    """Return the settings that a study was made with; empty where it does not say."""
    return {} if ds is None else json_part(ds.attrs, "config_json", "settings")
