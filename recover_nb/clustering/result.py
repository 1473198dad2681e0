"""What `cluster_stability` returns: figures, what the nulls make of them, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.clustering.nulls import LEVEL, null_limit
from recover_nb.clustering.stability import DECIDING, FIGURES
from recover_nb.core.labels import Algorithm, Null, Structure
from recover_nb.core.result import Result, labelled
from recover_nb.stats.resampling import exceedance

#: A cluster whose mean Jaccard reaches the first is stable; one below the second is no cluster
#: (Hennig 2007).
STABLE, DISSOLVED = 0.75, 0.60
#: Label of a problem without features, or of a cell that was not asked for.
LEFT_OUT = -2
FIGURE_WORDS = {
    "mean_jaccard": "mean Jaccard",
    "best_jaccard": "best Jaccard",
    "ari": "ARI between resamples",
    "pac": "PAC",
    "seed_ari": "ARI between seeds",
    "algorithm_ari": "ARI with other algorithms",
}


@dataclass(frozen=True)
class Judged:
    """Figures of one clustering and the same figures of data without clusters.

    Attributes
    ----------
    jaccard : float64 array, shape (cluster,)
        Hennig's cluster-wise Jaccard, mean over resamples; higher is more stable.
    figures : mapping of str to float
        ``mean_jaccard``, ``best_jaccard`` (over clusters), ``ari`` (mean over pairs of resamples),
        ``pac`` (lower is more stable), ``seed_ari`` (pairs of seeds; NaN for Ward and HDBSCAN,
        which use none) and ``algorithm_ari`` (mean with the other three). NaN where not asked for.
    nulls : mapping of str to mapping of str to float64 array, shape (n_null,)
        The same figures of each draw of ``gaussian`` and ``box``.
    """

    jaccard: np.ndarray
    figures: Mapping[str, float]
    nulls: Mapping[str, Mapping[str, np.ndarray]]

    def limit(self, figure: str, null: str) -> float:
        """95 % limit of `figure` under `null`: what data without clusters stay within."""
        return null_limit(self.nulls[null][figure], higher=FIGURES[figure])

    def p(self, figure: str, null: str) -> float:
        """Return the one-sided p-value of `figure` under `null`.

        A small one means more stable than data without clusters.
        """
        sign = 1 if FIGURES[figure] else -1
        return exceedance(sign * self.figures[figure], sign * self.nulls[null][figure])

    def beyond(self, figure: str) -> bool:
        """Whether `figure` lies beyond the limit of both nulls; False where it is NaN."""
        sign = 1 if FIGURES[figure] else -1
        gains = [sign * (self.figures[figure] - self.limit(figure, null)) for null in self.nulls]
        return all(gain > 1e-12 for gain in gains)

    @property
    def claimed(self) -> np.ndarray:
        """Clusters that are claimed, (cluster,) bool.

        One is claimed if every figure of `stability.DECIDING` lies beyond both nulls, and its own
        Jaccard is at least 0.75 and beyond what the most stable cluster of each null reaches (95 %
        limit).
        """
        limits = [self.limit("best_jaccard", null) for null in self.nulls]
        enough = (self.jaccard >= STABLE) & (self.jaccard > max(limits) + 1e-12)
        return enough & all(self.beyond(figure) for figure in DECIDING)

    @property
    def verdict(self) -> Structure:
        """What the figures allow to be said."""
        if len(self.jaccard) < 2:
            return Structure.NOT_FOUND
        if not all(self.beyond(figure) for figure in DECIDING):
            return Structure.NOT_ABOVE_NULL
        return Structure.CLUSTERS if self.claimed.any() else Structure.UNSTABLE


@dataclass(frozen=True)
class ClusterStability(Judged, Result):
    """A clustering of failed problems and how stable it is, beside data without clusters.

    Attributes
    ----------
    jaccard, figures, nulls
        As in `Judged`.
    algorithm : str
    k : int
        Clusters found: those asked for (a mixture may leave one empty), or HDBSCAN's own number (0
        = none).
    labels : DataArray of int16, dims (problem,)
        Cluster of each problem of the study, numbered by size from 0; -1 = noise, -2 = left out (no
        features, or another cell).
    sizes : int64 array, shape (cluster,)
        Problems in each.
    consensus : float64 array, shape (m, m)
        Share of resamples that put two problems in one cluster; NaN where none drew both.
    consensus_problem : int64 array, shape (m,)
        Place of each in the study's `problem` dimension: by cluster, and within one the most
        settled first (largest mean consensus with its own).
    agreement : mapping of str to float
        ARI with each other algorithm, asked for as many clusters.
    alignment : mapping of str to float
        ARI of the clusters with names the problems carry already: clusters that are cells over
        again are no news.
    settings : mapping
        Seed, counts, cells and thresholds.

    Examples
    --------
    Claimed is what lies beyond the limits of both nulls, and here nothing does.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> result = rnb.cluster_stability(ds, k=2, n_resamples=5, agreement=False)
    >>> result.beyond("ari"), result.p("ari", "gaussian") > 0.05
    (False, True)
    >>> result.claimed.tolist()
    [False, False]
    """

    title = "Do the failures fall into clusters?"
    chart = "plot_stability"
    following = (
        "rnb.plot_clusters(found, ds)",
        "rnb.plot_consensus(found)",
        "found.to_dataframe()  # every figure beside both nulls",
    )

    algorithm: str
    k: int
    labels: xr.DataArray
    sizes: np.ndarray
    consensus: np.ndarray
    consensus_problem: np.ndarray
    agreement: Mapping[str, float]
    alignment: Mapping[str, float]
    settings: Mapping[str, object]

    @property
    def n(self) -> int:
        """Problems that were clustered."""
        return int((self.labels != LEFT_OUT).sum())

    @property
    def dataset(self) -> xr.Dataset:
        """Labels by problem, figures beside their nulls, Jaccard by cluster, consensus by pair."""
        names = list(self.figures)
        by, member = ("figure", "null"), ("member", "member_too")
        nulls = list(self.nulls)
        draws = [[self.nulls[null][name] for null in nulls] for name in names]
        data: dict[str, Any] = {
            "label": self.labels.variable,
            "jaccard": (("cluster",), self.jaccard),
            "size": (("cluster",), self.sizes),
            "claimed": (("cluster",), self.claimed),
            "value": (("figure",), [self.figures[name] for name in names]),
            "draws": ((*by, "draw"), np.array(draws)),
            "limit": (by, [[self.limit(name, null) for null in nulls] for name in names]),
            "p": (by, [[self.p(name, null) for null in nulls] for name in names]),
            "consensus": (member, self.consensus),
            "problem_of": (member[:1], self.consensus_problem),
            "agreement": (("algorithm",), list(self.agreement.values())),
            "alignment": (("name",), list(self.alignment.values())),
        }
        coords = {"figure": names, "null": nulls, "cluster": range(len(self.jaccard))}
        coords |= {"algorithm": self.agreement, "name": self.alignment}
        return labelled(data, coords, dict(self.settings))

    def to_dataframe(self) -> pd.DataFrame:
        """List every stability figure that applies beside both nulls.

        Returns
        -------
        DataFrame
            One row for each figure: ``figure`` (in words), ``name``, ``stable_when`` (``higher`` or
            ``lower``), ``value``, for each null its ``_median``, ``_limit`` (95 %) and ``_p``,
            ``beyond`` (bool: past both limits) and ``deciding`` (bool: the verdict rests on it).

        Examples
        --------
        >>> import recover_nb as rnb
        >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
        >>> result = rnb.cluster_stability(ds, k=2, n_resamples=5, n_null=19, agreement=False)
        >>> result.to_dataframe()[["name", "stable_when", "beyond", "deciding"]]
                   name stable_when  beyond  deciding
        0  mean_jaccard      higher   False      True
        1  best_jaccard      higher   False     False
        2           ari      higher   False      True
        3           pac       lower   False      True
        """
        rows = []
        for name in applying(self):
            row = {
                "figure": FIGURE_WORDS[name],
                "name": name,
                "stable_when": "higher" if FIGURES[name] else "lower",
                "value": self.figures[name],
            }
            for null, figures in self.nulls.items():
                row[f"{null}_median"] = float(np.median(figures[name]))
                row[f"{null}_limit"] = self.limit(name, null)
                row[f"{null}_p"] = self.p(name, null)
            rows.append(row | {"beyond": self.beyond(name), "deciding": name in DECIDING})
        return pd.DataFrame(rows)

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figures and thresholds it rests on."""
        head = f"{_asked(self)} on {self.n} problems"
        verdict = self.verdict
        if verdict == Structure.NOT_FOUND:
            return f"{head}: no cluster structure; everything is noise or one cluster."
        if verdict == Structure.NOT_ABOVE_NULL:
            short = "; ".join(_against(self, name) for name in DECIDING if not self.beyond(name))
            return (
                f"{head}: no cluster structure is claimed, because data without clusters are"
                f" as stable."
                f" {short}."
            )
        passed = "; ".join(_against(self, name) for name in DECIDING)
        needed = f"needed: {STABLE} and more than the limits of the nulls' best cluster"
        if verdict == Structure.UNSTABLE:
            return (
                f"{head}: more stable than data without clusters, but no cluster is claimed by its"
                f" Jaccard ({needed}). {_against(self, 'best_jaccard')}; {passed}."
            )
        which = ", ".join(
            f"{i} ({self.jaccard[i]:.3f}, {self.sizes[i]} problems)"
            for i in np.flatnonzero(self.claimed)
        )
        return (
            f"{head}: {self.claimed.sum()} of {self.k} clusters are claimed, by Jaccard: {which}"
            f" ({needed}). More stable than data without clusters: {passed}."
        )

    def to_dict(self) -> dict:
        """Return the figures as plain data, NaN as None; labels and consensus are left out."""
        return {
            "algorithm": self.algorithm,
            "k": self.k,
            "n": self.n,
            "sizes": self.sizes.tolist(),
            "jaccard": self.jaccard.tolist(),
            "claimed": self.claimed.tolist(),
            "figures": {
                name: {
                    "value": _plain(value),
                    "limits": {null: _plain(self.limit(name, null)) for null in self.nulls},
                    "p": {null: _plain(self.p(name, null)) for null in self.nulls},
                }
                for name, value in self.figures.items()
            },
            "agreement": {name: _plain(value) for name, value in self.agreement.items()},
            "alignment": {name: _plain(value) for name, value in self.alignment.items()},
            "verdict": self.verdict.value,
            "sentence": self.sentence,
            "settings": dict(self.settings),
        }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _asked(result: ClusterStability) -> str:
    hdbscan = result.algorithm == Algorithm.HDBSCAN
    asked = (
        f"{result.algorithm}"
        f" {f'(found {result.k} clusters)' if hdbscan else f'with k = {result.k}'}"
    )
    ways = {"within_cells": ", within cells", "ranks": ", by ranks"}
    return asked + "".join(word for name, word in ways.items() if result.settings[name])


def _against(result: ClusterStability, figure: str) -> str:
    """Say one figure beside the limit of each null."""
    limits = " and ".join(
        f"{result.limit(figure, null):.3f} ({_NULL_WORDS[null]})" for null in result.nulls
    )
    way = "above" if FIGURES[figure] else "below"
    return (
        f"{FIGURE_WORDS[figure]} {result.figures[figure]:.3f}, to be {way} the {LEVEL:.0%} limits"
        f" {limits}"
    )


_NULL_WORDS = {Null.GAUSSIAN.value: "one Gaussian", Null.BOX.value: "a uniform box"}


def applying(result: Any) -> list[str]:
    """Return the figures that a clustering, or a glance at one, has."""
    return [name for name, value in result.figures.items() if not np.isnan(value)]
