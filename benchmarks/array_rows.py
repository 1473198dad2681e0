"""Rows about arrays: signals of wide vocabularies, resampling, and stability of clusterings.

Resampling is that of an evaluation.
"""

import tracemalloc

import numpy as np
import pandas as pd
import xarray as xr
from loop_peers import PandasLoop, signals_of_token, stability_by_loop
from measure import Row, Run, compare, growth, shares

from recover_nb.clustering import stability_grid
from recover_nb.clustering.algorithms import Clusterer, least_share
from recover_nb.clustering.cluster_stability import MAX_CONSENSUS
from recover_nb.clustering.nulls import points_shown
from recover_nb.clustering.stability import measure
from recover_nb.core.labels import ROUTED_INTERVENTIONS, Algorithm, Family, Feature, Method, Task
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.features.signal_reductions import default_k_cov
from recover_nb.features.signals import DEFAULT_MAX_BYTES, signals_from_logits, signals_in_chunks
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.simulate import make_study

CELLS = tuple(
    (family.value, method.value, task.value)
    for family in Family
    for method in (Method.SFT, Method.GRPO)
    for task in (Task.ARITHMETIC, Task.PROGRAM)
)

#: Functions that an evaluation spends its time in.
RESAMPLING = {
    "binomial draws of the nulls": ["_binomial"],
    "permutations": ["permuted_sums"],
    "bootstrap": ["bootstrap_weights", "bootstrap"],
}


def logits(n: int, vocab_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random logits of two models that agree in part, and tokens."""
    rng = np.random.default_rng(0)
    first = 3 * rng.standard_normal((n, vocab_size), dtype=np.float32)
    second = first + rng.standard_normal((n, vocab_size), dtype=np.float32)
    return first, second, rng.integers(vocab_size, size=n)


def signals(n: int, vocab_size: int, loop: int, repeats: int) -> tuple[list[Row], dict]:
    """Signals in chunks, beside a loop over dicts and beside reading the logits once."""
    first, second, token = logits(n, vocab_size)
    how = {"temperature": 0.6, "top_k": min(100, vocab_size), "k_cov": default_k_cov(vocab_size)}
    dicts = [
        tuple(dict(enumerate(row.tolist())) for row in (first[i], second[i])) for i in range(loop)
    ]
    mine = signals_from_logits(first[:loop], second[:loop], token[:loop], **how)
    gap = 0.0
    for i, pair in enumerate(dicts):
        other = signals_of_token(*pair, int(token[i]), **how)
        gap = max(gap, *(abs(other[name] - float(mine[name][i])) for name in other))

    def ours() -> float:
        signals_in_chunks(first, second, token, **how)
        return float(n)

    def often() -> None:
        for _ in range(repeats):
            ours()

    def looped() -> float:
        for pair, one in zip(dicts, token, strict=False):
            signals_of_token(*pair, int(one), **how)
        return float(loop)

    def read() -> float:
        first.max(), second.max()
        return float(n)

    buffer = np.empty_like(first[:64])

    def exponential() -> float:
        for start in range(0, n, len(buffer)):
            for values in (first, second):
                part = values[start : start + len(buffer)]
                np.exp(part, out=buffer[: len(part)])
        return float(n)

    parts = {
        f"selecting the top {how['top_k']} and the top {how['k_cov']}": (
            "candidates",
            "most_likely_of",
        ),
        "the exponential of every logit, and the sums": ("_sum_exponentials",),
        "reading few places and reducing them": ("pick", "reduce_log_probabilities"),
    }
    name = f"signals of {n:,} tokens x {vocab_size:,} logits, in chunks"
    note = (
        "seconds per token; the cost is proportional to tokens (below); largest difference to the"
        f" loop {gap:.1e}"
    )
    found = [
        compare(
            "signals",
            name,
            ours,
            ("a Python loop over dicts", looped),
            repeats,
            aim=100.0,
            note=note,
        ),
        compare(
            "signals",
            f"{name}: share of the memory limit",
            ours,
            ("reading the logits once (`max`)", read),
            repeats,
            aim=0.4,
            note="seconds per token",
            profile=shares(often, parts),
        ),
        compare(
            "signals",
            f"{name}: share of one exponential",
            ours,
            ("one `np.exp` of the logits", exponential),
            repeats,
            note="seconds per token",
        ),
        chunk_memory(first, second, token),
    ]
    parts = {size: _first(first, second, token, size) for size in (n // 8, n // 4, n // 2, n)}
    return found, growth(
        "signals", "signals in chunks", f"tokens of {vocab_size:,} logits", parts, repeats
    )


def vocabulary(n: int, vocab_size: int, repeats: int) -> dict:
    """Measure how the signals of `n` tokens grow with the vocabulary."""
    first, second, token = logits(n, vocab_size)
    parts = {
        size: _first(
            np.ascontiguousarray(first[:, :size]),
            np.ascontiguousarray(second[:, :size]),
            token % size,
            n,
        )
        for size in (vocab_size // 8, vocab_size // 4, vocab_size // 2, vocab_size)
    }
    return growth(
        "signals", "signals in chunks, by vocabulary", f"logits of {n:,} tokens", parts, repeats
    )


def features(n: int, rollouts: int, tokens: int, repeats: int) -> list[dict]:
    """Measure how features of `n` problems grow with their rollouts, and with tokens of each."""
    rng = np.random.default_rng(0)
    pressure, variance = rng.random((2, n, rollouts, tokens), dtype=np.float32)

    def part(some: int, length: int) -> Run:
        block = np.s_[:, :some, :length]
        one, two = (np.ascontiguousarray(each[block]) for each in (pressure, variance))
        lengths = np.full((n, some), length)
        return lambda: (
            problem_features(rollout_features(one, two, lengths), lengths > 0) is None or None
        )

    by = {
        "rollouts": (f"rollouts of {tokens} tokens, {n:,} problems", rollouts),
        "tokens": (f"tokens of {rollouts} rollouts, {n:,} problems", tokens),
    }
    return [
        growth(
            "features",
            f"features of problems, by {name}",
            over,
            {
                size: part(*((size, tokens) if name == "rollouts" else (rollouts, size)))
                for size in (most // 8, most // 4, most // 2, most)
            },
            repeats,
        )
        for name, (over, most) in by.items()
    ]


def _first(first: np.ndarray, second: np.ndarray, token: np.ndarray, size: int) -> Run:
    return lambda: signals_in_chunks(first[:size], second[:size], token[:size]) and None


def chunk_memory(first: np.ndarray, second: np.ndarray, token: np.ndarray) -> Row:
    """Peak of what is allocated, as a multiple of the budget of a chunk."""
    budget = min(DEFAULT_MAX_BYTES, first.nbytes // 2)
    tracemalloc.start()
    signals_in_chunks(first, second, token, max_bytes=budget)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Row(
        "signals",
        "peak memory of signals in chunks",
        "one chunk (`max_bytes`)",
        "ours / peer, MiB",
        [most / budget],
        aim=1.5,
        higher=False,
        seconds={"ours": most / 2**20, "peer": budget / 2**20},
        note="temporaries and results",
    )


def failed_study(n: int):
    """Return a simulated study of `n` failed problems in eight cells."""
    study = make_study(effect="tied", n_problems=n // len(CELLS) + 30, cells=CELLS, seed=0)
    failed = np.flatnonzero(~np.isnan(study["features"].values).any(axis=1))
    if len(failed) < n:
        raise RuntimeError(f"the simulated study has {len(failed)} failed problems; {n} are needed")
    # Of every cell alike: the first of each would all be of the first cells.
    return study.isel(problem=failed[np.linspace(0, len(failed) - 1, n).astype(int)])


def as_frame(study) -> pd.DataFrame:
    """Return what the pandas loop works on."""
    frame = study["rescue_rate"].to_pandas().reset_index(drop=True)
    features = study["features"].to_pandas().reset_index(drop=True)
    cell = study["family"].values + "|" + study["method"].values + "|" + study["task"].values
    return pd.concat([frame, features], axis=1).assign(cell=cell, task=study["task"].values)


def resampling(n: int, counts: dict[str, int], share: int, repeats: int) -> tuple[list[Row], dict]:
    """Time bootstrap, permutations and nulls of a whole evaluation, beside a loop in pandas.

    The loop runs 1 of `share` repeats.
    """
    study = failed_study(n)
    arms = [str(name) for name in ROUTED_INTERVENTIONS]
    attempts = {
        name: int(study["attempts"].sel(intervention=name).max()) for name in ("retry", *arms)
    }
    loop = PandasLoop(as_frame(study), arms, [str(name) for name in Feature], attempts)

    def run(data) -> None:
        evaluate_routing(data, only=("published", "null"), populations=["failed"], **counts)

    def looped() -> None:
        loop.bootstrap(counts["n_bootstrap"] // share)
        loop.jackknife(n // share)
        loop.permutations(counts["n_permutations"] // share)
        loop.nulls(counts["n_null"] // share)

    names = {"n_bootstrap": "bootstraps", "n_permutations": "permutations", "n_null": "nulls"}
    told = " + ".join(f"{counts[key]:,} {name}" for key, name in names.items())
    row = compare(
        "evaluation",
        f"{told}, {n:,} problems x 5 interventions",
        lambda: run(study),
        ("a pandas loop", looped),
        repeats,
        scale=share,
        aim=100.0,
        note=(
            f"the loop ran 1 of {share} repeats and its seconds are multiplied; it computes lifts"
            " only"
        ),
        profile=shares(lambda: run(study), RESAMPLING, rest="selecting, routing and scoring"),
    )
    waited = Row(
        "evaluation",
        "that evaluation",
        "the clock",
        "seconds",
        [row.seconds["ours"]],
        aim=2.0,
        higher=False,
        load=row.load,
        note="the median of the row above",
    )
    parts = {
        size: _bound(run, study.isel(problem=np.linspace(0, n - 1, size).astype(int)))
        for size in (n // 8, n // 4, n // 2, n)
    }
    return [row, waited], growth(
        "evaluation", "bootstrap, permutations and nulls", "problems", parts, repeats
    )


def _bound(run, data) -> Run:
    return lambda: run(data)


def blobs(n: int) -> np.ndarray:
    """Return standardised points in three dimensions: two clusters and a tail."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((n, 3)) + 2.5 * (np.arange(n) % 3 == 0)[:, None] * [1.0, 0.5, 0.0]
    points[:, 2] += 0.5 * points[:, 0] ** 2
    return (points - points.mean(axis=0)) / points.std(axis=0)


def all_clusterers(n: int, ks: range) -> list[Clusterer]:
    """Every algorithm with every k; HDBSCAN once."""
    share = least_share(None, n)
    chosen = [
        Clusterer(name, k, share) for name in Algorithm if name != Algorithm.HDBSCAN for k in ks
    ]
    return [*chosen, Clusterer(Algorithm.HDBSCAN, 2, share)]


def stability(n: int, n_resamples: int, ks: range, repeats: int) -> tuple[list[Row], dict]:
    """Measure the figures of every clustering, beside scikit-learn in a loop."""
    points, clusterers = blobs(n), all_clusterers(n, ks)
    shown = points_shown(n, MAX_CONSENSUS, 0)
    kept: dict = {}

    def ours() -> None:
        found = measure(
            points, clusterers, n_resamples, shown, np.random.default_rng(1), agreement=False
        )
        kept["ours"] = [each.figures for each in found]

    def looped() -> None:
        kept["peer"] = stability_by_loop(
            points, clusterers, n_resamples, shown, np.random.default_rng(1)
        )

    row = compare(
        "clustering",
        f"{len(clusterers)} clusterings x {n_resamples} resamples of {n:,} points",
        ours,
        ("scikit-learn in a loop", looped),
        repeats,
        warm=False,
        aim=2.0,
    )
    names = ("mean_jaccard", "best_jaccard", "ari", "pac")
    gaps = [
        abs(a[name] - b[name])
        for a, b in zip(kept["ours"], kept["peer"], strict=True)
        for name in names
    ]
    row.note = f"largest difference of a figure {max(gaps):.1e}"

    data = xr.Dataset(
        {"features": (("problem", "feature"), points[: n // 3])},
        coords={"feature": [str(name) for name in Feature]},
    )

    def grid(n_jobs: int) -> Run:
        def run() -> None:
            stability_grid(data, ks=ks, n_resamples=4, n_null=19, n_jobs=n_jobs)

        return run

    shared = compare(
        "clustering",
        f"`stability_grid` in two processes: {n // 3} points, 39 data sets",
        grid(2),
        ("the same in one process", grid(1)),
        1 if n < 1000 else 2,
        note="the same figures",
    )

    def part(size: int) -> Run:
        return lambda: (
            measure(
                points[:size],
                clusterers,
                max(2, n_resamples // 10),
                points_shown(size, MAX_CONSENSUS, 0),
                np.random.default_rng(1),
                agreement=False,
            )
            and None
        )

    grown = growth(
        "clustering",
        "stability of all clusterings",
        "points",
        {s: part(s) for s in (n // 4, n // 2, n)},
        2,
    )
    return [row, shared], grown


def rows(quick: bool, repeats: int) -> tuple[list[Row], list[dict]]:
    """Return the rows of signals and of an evaluation, and how they and features grow."""
    few = {"n_bootstrap": 20, "n_permutations": 20, "n_null": 10}
    many = {"n_bootstrap": 2000, "n_permutations": 2000, "n_null": 200}
    found, grown = signals(*((64, 2000, 2) if quick else (2000, 32_000, 4)), repeats)
    wider = vocabulary(*((64, 2000) if quick else (250, 64_000)), repeats)
    summed = features(*((4, 16, 16) if quick else (100, 80, 512)), repeats)
    evaluated, grown_evaluation = resampling(
        *((160, few, 10) if quick else (1423, many, 50)), repeats
    )
    return [*found, *evaluated], [grown, wider, *summed, grown_evaluation]


def cluster_rows(quick: bool, repeats: int) -> tuple[list[Row], list[dict]]:
    """Return the rows of clusterings, each measured once for its length, and how they grow."""
    del repeats
    found, grown = stability(*((120, 4, range(2, 4)) if quick else (1500, 100, range(2, 9))), 1)
    return found, [grown]
