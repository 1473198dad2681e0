"""Peers of the numerical rows as one would first write them: dicts, pandas, scikit-learn.

They do one thing at a time.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from recover_nb.clustering.algorithms import N_INIT, REG_COVAR, Clusterer, by_size
from recover_nb.clustering.stability import ABSENT, AMBIGUOUS, draw
from recover_nb.core.labels import Algorithm


def signals_of_token(
    log_s: dict, log_a: dict, token: int, *, temperature: float, top_k: int, k_cov: int
) -> dict:
    """Signals of one token from log-probabilities by token (docs/method.md#2-signals)."""

    def tempered(log: dict) -> dict:
        scaled = {i: value / temperature for i, value in log.items()}
        top = max(scaled.values())
        norm = top + math.log(sum(math.exp(value - top) for value in scaled.values()))
        return {i: value - norm for i, value in scaled.items()}

    s, a = tempered(log_s), tempered(log_a)
    kept = sorted(s, key=s.get, reverse=True)[:top_k]
    cover = sorted(a, key=a.get, reverse=True)[:k_cov]
    mass = sum(math.exp(s[i]) for i in kept)
    weight = {i: math.exp(s[i]) / mass for i in kept}
    mean = sum(weight[i] * s[i] for i in kept)
    path = s[token] - a[token]
    coverage = math.log(
        (sum(math.exp(a[i]) for i in cover) + 1e-8) / (sum(math.exp(s[i]) for i in cover) + 1e-8)
    )
    return {
        "path_deformation": path,
        "coverage_deformation": coverage,
        "demotion_pressure": max(0.0, path) + max(0.0, coverage),
        "logit_variance": temperature**2 * sum(weight[i] * (s[i] - mean) ** 2 for i in kept),
        "kl_divergence": max(0.0, sum(weight[i] * (math.log(weight[i]) - a[i]) for i in kept)),
        "entropy": -sum(weight[i] * math.log(weight[i]) for i in kept),
    }


class PandasLoop:
    """Resampling of a routing evaluation, one data frame a resample.

    Parameters
    ----------
    frame : DataFrame
        A row a failed problem: ``cell``, ``task``, one column an intervention (its rescue rate) and
        the features.
    arms, features : list of str
        Interventions that are routed to, and features, in the order of the policy.
    attempts : dict of str to int
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        arms: list[str],
        features: list[str],
        attempts: dict,
        seed: int = 0,
    ):
        self.arms, self.features, self.attempts = arms, features, attempts
        self.rng = np.random.default_rng(seed)
        self.frame = self.routed(frame)
        self.hard = self.frame[self.frame["hard"]]

    def routed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Select and route as published; the features name the arms in order."""
        hard = (frame[self.arms].max(axis=1) - frame["retry"] >= 0.05 - 1e-9) & (
            frame["retry"] <= 0.5 + 1e-9
        )
        chosen = frame[hard]
        z = chosen.groupby("cell")[self.features].transform(
            lambda x: (x - x.mean()) / (x.std(ddof=0) or 1.0)
        )
        order = ["dense_steer", "sparse_steer", "local_temperature"]
        route = pd.Series(
            [order[i] for i in z.to_numpy().argmax(axis=1)], index=chosen.index, dtype=object
        )
        route[z.max(axis=1) <= 0] = "sparse_steer_random"
        return frame.assign(hard=hard, route=route)

    def lifts(self, hard: pd.DataFrame) -> pd.DataFrame:
        """Mean lift over each comparator, in each cell and over all."""
        rates = hard[self.arms].to_numpy()
        made = rates[np.arange(len(hard)), [self.arms.index(name) for name in hard["route"]]]
        lift = pd.DataFrame({name: made - hard[name] for name in ("retry", *self.arms)}).assign(
            cell=hard["cell"]
        )
        return pd.concat(
            [lift.groupby("cell").mean(), lift.drop(columns="cell").mean().to_frame("all").T]
        )

    def bootstrap(self, n: int) -> None:
        """Draw problems within tasks."""
        for _ in range(n):
            drawn = self.frame.groupby("task").sample(frac=1.0, replace=True, random_state=self.rng)
            self.lifts(drawn[drawn["hard"]])

    def jackknife(self, n: int) -> None:
        """Leave out one problem at a time: what BCa needs."""
        for i in range(n):
            left = self.frame.drop(self.frame.index[i])
            self.lifts(left[left["hard"]])

    def permutations(self, n: int) -> None:
        """Permute routes within cells."""
        for _ in range(n):
            routes = self.hard.groupby("cell")["route"].transform(lambda x: self.rng.permutation(x))
            self.lifts(self.hard.assign(route=routes))

    def nulls(self, n: int) -> None:
        """Simulate studies without effect, and select and route again."""
        names = ["retry", *self.arms]
        counts = np.array([self.attempts[name] for name in names])
        pooled = (self.frame[names].to_numpy() * counts).sum(axis=1) / counts.sum()
        for _ in range(n):
            rates = {
                name: self.rng.binomial(self.attempts[name], pooled) / self.attempts[name]
                for name in names
            }
            drawn = self.routed(self.frame.assign(**rates))
            self.lifts(drawn[drawn["hard"]])


def stability_by_loop(
    points: np.ndarray,
    clusterers: Sequence[Clusterer],
    n_resamples: int,
    shown: np.ndarray,
    rng: np.random.Generator,
) -> list[dict[str, float]]:
    """Figures of `clustering.stability.measure`, one fit and one pair of resamples at a time.

    Draws the same resamples and seeds, so the figures must be the same.
    """
    seed = int(rng.integers(2**31))
    every = [by_size(_fit(points, each, seed)) for each in clusterers]
    drawn = draw(len(points), n_resamples, rng, least=max(each.k for each in clusterers))
    again = np.full((len(clusterers), *drawn.shape), ABSENT)
    for b, inside in enumerate(drawn):
        seed = int(rng.integers(2**31))
        for row, each in enumerate(clusterers):
            again[row, b, inside] = _fit(points[inside], each, seed)
    return [_figures(labels, rows, shown) for labels, rows in zip(every, again, strict=True)]


def _fit(points: np.ndarray, each: Clusterer, seed: int) -> np.ndarray:
    if each.algorithm == Algorithm.KMEANS:
        return KMeans(each.k, n_init=N_INIT, random_state=seed).fit_predict(points)
    if each.algorithm == Algorithm.GAUSSIAN_MIXTURE:
        return GaussianMixture(each.k, reg_covar=REG_COVAR, random_state=seed).fit_predict(points)
    if each.algorithm == Algorithm.WARD:
        return AgglomerativeClustering(each.k).fit_predict(points)
    size = each.size(len(points))
    return HDBSCAN(min_cluster_size=size, min_samples=size, copy=True).fit_predict(points)


def _figures(labels: np.ndarray, again: np.ndarray, shown: np.ndarray) -> dict[str, float]:
    """Jaccard of each cluster, ARI of each pair of resamples, and PAC over the points shown."""
    jaccard = []
    for cluster in range(labels.max() + 1):
        found = []
        for row in again:
            mine = (labels == cluster) & (row != ABSENT)
            if mine.any():
                others = [row == other for other in np.unique(row[row >= 0])]
                found.append(
                    max(
                        ((mine & other).sum() / (mine | other).sum() for other in others),
                        default=0.0,
                    )
                )
        jaccard.append(np.mean(found))
    few = [len(np.unique(row[row >= 0])) < 2 for row in again]
    aris = []
    for i, j in combinations(range(len(again)), 2):
        both = (again[i] != ABSENT) & (again[j] != ABSENT)
        aris.append(
            0.0 if few[i] and few[j] else adjusted_rand_score(again[i][both], again[j][both])
        )
    together, present = (np.zeros((len(shown), len(shown))) for _ in range(2))
    for row, blank in zip(again[:, shown], few, strict=True):
        here = (row != ABSENT)[:, None] & (row != ABSENT)
        present += here
        together += 0.5 * here if blank else (row[:, None] == row) & (row >= 0)[:, None]
    with np.errstate(invalid="ignore"):
        share = (together / present)[np.triu_indices(len(shown), 1)]
    share = share[~np.isnan(share)]
    return {
        "mean_jaccard": float(np.mean(jaccard)) if jaccard else 0.0,
        "best_jaccard": float(np.max(jaccard, initial=0.0)),
        "ari": float(np.mean(aris)),
        "pac": float(((share > AMBIGUOUS[0]) & (share < AMBIGUOUS[1])).mean()),
    }
