"""The file of `recover-nb ablate`: which settings it varies, and how outcomes are written down.

Needs no torch.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Factor, Intervention
from recover_nb.core.schema import UNIT_COORDS, failed_units, text
from recover_nb.core.shipped import data_folder
from recover_nb.core.stored_json import json_file

#: Name of the shipped file, in the folder of data, and the version of its layout.
ABLATIONS, LAYOUT = "ablations.json", 1
#: Name of the attempts at the study's own settings, beside those of the variations.
OWN = "study"


@dataclass(frozen=True)
class Variation:
    """One setting put to another value.

    Attributes
    ----------
    factor : str
        The setting, of `decoding.Settings`.
    value : float, int or str
        A number, or ``"half"`` or ``"double"`` of what the study was made with.
    interventions : tuple of str
        Operators whose attempts depend on it; empty for a setting that only signals depend on.
    """

    factor: str
    value: float | str
    interventions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``factor=value``."""
        return f"{self.factor}={self.value}"


_STEERED = (
    Intervention.SPARSE_STEER.value,
    Intervention.SPARSE_STEER_RANDOM.value,
    Intervention.DENSE_STEER.value,
)
_FIRING = (
    Intervention.SPARSE_STEER.value,
    Intervention.SPARSE_STEER_RANDOM.value,
    Intervention.LOCAL_TEMPERATURE.value,
)

#: Signals are computed again from stored tokens; attempts are made again. What the study has is the
#: value between.
SIGNAL_VARIATIONS = (
    Variation(Factor.TEMPERATURE.value, 0.3),
    Variation(Factor.TEMPERATURE.value, 1.0),
    Variation(Factor.K_COV.value, "half"),
    Variation(Factor.K_COV.value, "double"),
)
ATTEMPT_VARIATIONS = (
    Variation(Factor.ALPHA.value, 0.3, _STEERED),
    Variation(Factor.ALPHA.value, 0.5, _STEERED),
    Variation(Factor.ALPHA.value, 0.9, _STEERED),
    Variation(Factor.WARMUP.value, 0, _FIRING),
    Variation(Factor.WARMUP.value, "double", _FIRING),
    # The rule gives a fifth of a trace, some five tokens here: 2 is less.
    Variation(Factor.WARMUP.value, 2, _FIRING),
)


def fingerprint(ds: xr.Dataset) -> str:
    """Return a hash that tells studies apart, of the units and of every rollout's outcome."""
    digest = hashlib.blake2b(digest_size=16)
    for name in UNIT_COORDS:
        digest.update("\n".join(text(ds[name]).tolist()).encode())
    correct = ds["correct"].transpose("problem", "rollout", "intervention").values
    digest.update(np.ascontiguousarray(correct, dtype=np.int8).tobytes())
    return digest.hexdigest()


def cell_units(ds: xr.Dataset, cell: tuple[str, str, str]) -> np.ndarray:
    """Return the places of a cell's failed problem units in the study, (n,) int64."""
    inside = failed_units(ds)
    for name, value in zip(UNIT_COORDS[:3], cell, strict=True):
        inside = inside & (text(ds[name]) == value)
    return np.flatnonzero(inside)


def spread_out(n: int, wanted: int) -> np.ndarray:
    """Return at most `wanted` of the numbers 0 to n - 1, evenly spaced, (min(n, wanted),) int64."""
    kept = min(n, wanted)
    return np.arange(kept, dtype=np.int64) * n // max(kept, 1)


def attempted_again(names: np.ndarray, cells: dict[str, Any]) -> np.ndarray:
    """Return the places of the problems attempted again, cell after cell as they are stored.

    Parameters
    ----------
    names : array of str, shape (problem,)
        Cell of each failed unit of the study, those of every population: places are counted among
        all failed units of a cell.
    cells : dict
        Of `load_ablations`.

    Returns
    -------
    (n,) int64
    """
    places = [np.flatnonzero(names == cell)[each["attempted"]] for cell, each in cells.items()]
    return np.concatenate(places)


def pack(outcomes: np.ndarray) -> str:
    """Write outcomes (problem, attempt) bool as hexadecimal digits, a bit each, in C order."""
    return np.packbits(np.asarray(outcomes, dtype=bool).ravel()).tobytes().hex()


def unpack(digits: str, shape: tuple[int, int]) -> np.ndarray:
    """Return what `pack` was given, bool array of `shape`.

    Raises
    ------
    InputError
        If there are too few digits for the shape, or other characters.
    """
    size = int(np.prod(shape))
    try:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), dtype=np.uint8))
    except ValueError:
        raise InputError(f"outcomes {digits[:12]!r}... are not hexadecimal digits") from None
    if len(bits) < size:
        raise InputError(
            f"{len(bits)} outcomes are stored where {shape[0]} x {shape[1]} are needed"
        )
    return bits[:size].astype(bool).reshape(shape)


@checks.takes(path=checks.PATH)
def load_ablations(path: str | Path | None = None) -> dict[str, Any]:
    """Read what `recover-nb ablate` wrote.

    Parameters
    ----------
    path : path, optional
        The shipped ``data/ablations.json`` by default.

    Returns
    -------
    dict
        ``about`` (seed, versions, checkpoints, command, study), ``variations`` and ``cells``: for
        each cell the features of its failed units under other signal settings, and counts of
        attempts under other decode settings.

    Raises
    ------
    InputError
        Nothing there, or not such a file.
    """
    path = data_folder() / ABLATIONS if path is None else Path(path)
    what = f"a file that is made with: recover-nb ablate --out {path.name}"
    found = json_file(path, what, "with recover-nb ablate")
    about = found.get("about")
    layout = about.get("layout") if isinstance(about, dict) else None
    if layout != LAYOUT:
        raise InputError(
            f"{path} has layout {layout!r}; allowed: {LAYOUT}, as recover-nb ablate writes it"
        )
    return found


def _stored(value: Any) -> Any:
    if not isinstance(value, Mapping) or (value and not {"about", "cells"} <= set(value)):
        raise checks.Wrong
    return value


#: What `load_ablations` returns, as a function asks for it; an empty dict for none.
STORED = checks.Kind("what rnb.load_ablations returns", _stored)
