"""Data of a `StabilityExplorer`: clusterings of the last settings, judged where asked for."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb import tables
from recover_nb.clustering import (
    ClusterStability,
    Glance,
    cluster_stability,
    feature_space,
    glance,
    stability_grid,
)
from recover_nb.clustering.grid import ALGORITHMS, KS
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Algorithm, Null
from recover_nb.core.schema import cell_names
from recover_nb.tables.clustering import NOISE_NAME

#: Resamples when a control moves, few enough to follow it.
ROUGH = 3
#: Clusterings that are kept.
KEPT = 16
#: Stages of a judged clustering and of the grid, beside the draws of the nulls: the data.
_DATA = 1


@dataclass(frozen=True)
class Settings:
    """What a clustering depends on.

    Attributes
    ----------
    cells : tuple of str
        Empty = all.
    algorithm : str
    k : int
    within_cells, ranks : bool
        As in `cluster_stability`.
    seed : int
    """

    cells: tuple[str, ...] = ()
    algorithm: str = Algorithm.KMEANS.value
    k: int = 3
    within_cells: bool = False
    ranks: bool = False
    seed: int = 0

    @property
    def keywords(self) -> dict:
        """The keywords of `cluster_stability` and `glance`."""
        return {**asdict(self), "cells": self.cells or None}

    @property
    def population(self) -> "Settings":
        """The same for every clustering of these problems."""
        return replace(self, algorithm=Algorithm.KMEANS.value, k=KS[0])


class StabilityData:
    """Clusterings of a study under changing settings.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    n_null : int
        Draws of each null.

    Raises
    ------
    InputError
        If the study has no features.
    """

    def __init__(self, ds: xr.Dataset, *, n_null: int = 20) -> None:
        # Only what clusters are made of: a study on disk is not read any further, and not once for
        # each control.
        kept = [name for name in ("features", "regime") if name in ds]
        feature_space(ds)
        self.ds, self.n_null = ds[kept].load(), n_null
        self._cell = cell_names(self.ds)
        self.cells = tuple(dict.fromkeys(self._cell.tolist()))
        self.n_stages = _DATA + len(Null) * n_null
        self._glances: dict[Settings, Glance] = {}
        self._judged: dict[Settings, ClusterStability] = {}
        self._grids: dict[Settings, pd.DataFrame] = {}

    def found(self, settings: Settings) -> ClusterStability | Glance:
        """Return the clustering beside its nulls if `judge` was called, else from few resamples."""
        if settings in self._judged:
            return self._judged[settings]
        if settings not in self._glances:
            self._keep(
                self._glances, settings, glance(self.ds, n_resamples=ROUGH, **settings.keywords)
            )
        return self._glances[settings]

    def judge(
        self, settings: Settings, n_resamples: int, *, progress: Callable[[str], None]
    ) -> None:
        """Judge the clustering beside its nulls; `progress` is called at each of `n_stages`."""
        counts = {"n_resamples": n_resamples, "n_null": self.n_null}
        # Agreement with other algorithms is the grid's; here it would cost as much as everything
        # else.
        found = cluster_stability(
            self.ds, **settings.keywords, **counts, agreement=False, progress=progress
        )
        self._keep(self._judged, settings, found)

    def compare(
        self, settings: Settings, n_resamples: int, *, progress: Callable[[str], None]
    ) -> None:
        """Compute the grid: every algorithm and number of clusters, corrected for one another."""
        population = settings.population
        counts = {"n_resamples": n_resamples, "n_null": self.n_null}
        # Fewer problems allow fewer clusters: two different ones each.
        distinct = len(np.unique(feature_space(self.ds, **_space(settings)).points, axis=0))
        ks = [k for k in KS if 2 * k <= distinct] or KS[:1]
        found = stability_grid(
            self.ds,
            algorithms=ALGORITHMS,
            ks=ks,
            seed=settings.seed,
            **_space(settings),
            **counts,
            progress=progress,
        )
        self._keep(self._grids, population, found)

    def grid(self, settings: Settings) -> pd.DataFrame:
        """Return the grid of these problems.

        Raises
        ------
        InputError
            If `compare` was not called for them.
        """
        if settings.population not in self._grids:
            raise InputError(
                f"the grid of {len(ALGORITHMS)} algorithms and k = {KS[0]} to {KS[-1]} is not"
                " computed for these problems; press resample: minutes for a thousand problems,"
                " seconds for a cell"
            )
        return self._grids[settings.population]

    def panel(
        self, name: str, found: ClusterStability | Glance, settings: Settings
    ) -> tuple[object, pd.DataFrame]:
        """Return what a panel is made from, and the frame that it draws."""
        if name == "grid":
            grid = self.grid(settings)
            return grid, tables.grid_lines(grid)
        frame = {"figures": tables.stability_points, "consensus": tables.consensus_cells}[name]
        return found, frame(found)

    @staticmethod
    def _keep(held: dict, key: object, found: object) -> None:
        held.pop(key, None)
        held[key] = found
        while len(held) > KEPT:
            del held[next(iter(held))]

    def points(self, found: ClusterStability | Glance) -> pd.DataFrame:
        """Return `tables.cluster_points`."""
        return tables.cluster_points(found, self.ds)

    def clusters(self, found: ClusterStability | Glance) -> pd.DataFrame:
        """Return `tables.cluster_rows`, noise added where there is some, and ``place`` as key."""
        frame = tables.cluster_rows(found)
        n_noise = int((found.labels == -1).sum())
        if n_noise:
            noise = {"cluster": NOISE_NAME, "problems": n_noise, "share": n_noise / found.n}
            row = pd.DataFrame([noise])
            frame = pd.concat([frame, row], ignore_index=True) if len(frame) else row
        return frame.assign(place=np.arange(len(frame)))

    @staticmethod
    def inside(
        points: pd.DataFrame, brush: dict[str, Sequence[float]], cluster: str
    ) -> tuple[int, ...]:
        """Return the problems in a rectangle and in a cluster (empty = any), in order.

        Raises
        ------
        InputError
            If there is no such cluster.
        """
        kept = np.ones(len(points), bool)
        for name, (low, high) in brush.items():
            kept &= points[name].between(low, high).to_numpy()
        if cluster:
            names = points["cluster"].unique().tolist()
            if cluster not in names:
                raise InputError(
                    f"no cluster {cluster!r}; there are: {', '.join(sorted(names))}, or empty"
                    " for any"
                )
            kept &= (points["cluster"] == cluster).to_numpy()
        return tuple(points["problem"][kept].tolist())


def _space(settings: Settings) -> dict:
    """Keywords of `feature_space`."""
    return {
        "cells": settings.cells or None,
        "within_cells": settings.within_cells,
        "ranks": settings.ranks,
    }
