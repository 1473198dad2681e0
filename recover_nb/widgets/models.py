"""The two models behind a live view, loaded when a button first asks for them."""

import json
import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import xarray as xr

from recover_nb.core.extras import need
from recover_nb.core.token_text import token_pieces
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
    """

    def __init__(self, busy: Busy, pair: "Pair | None" = None) -> None:
        self._busy, self._given = busy, pair
        self._held: tuple[tuple[str, str], Pair] | None = None
        self._pieces: dict[str, dict[int, str]] = {}

    def pair(self, family: str, method: str) -> "Pair":
        """Return the pair, loading torch and the checkpoints where that was not done before.

        Raises
        ------
        InputError
            No such checkpoint, or torch is not installed.
        """
        if self._given is not None:
            return self._given
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

    def pieces(self, family: str) -> dict[int, str]:
        """Return each token's text: as shipped with the family, or by the pair's own tokenizer."""
        if family not in self._pieces:
            own = {} if self._given is None else _vocabulary(self._given)
            self._pieces[family] = own or token_pieces(family)
        return self._pieces[family]


def stored_settings(ds: xr.Dataset | None) -> dict[str, Any]:
    """Return the settings that a study was made with; empty where it does not say."""
    return {} if ds is None else json.loads(ds.attrs.get("config_json", "{}")).get("settings", {})


def _vocabulary(pair: "Pair") -> dict[int, str]:
    return {i: pair.tokenizer.decode([i]) for i in range(pair.vocab_size)}
