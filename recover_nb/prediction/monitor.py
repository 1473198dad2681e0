"""What a monitor saves by stopping traces that will end wrong, and rescues by forcing a cue.

docs/method.md#20-cues.
"""

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Method
from recover_nb.core.schema import PROBLEM, text
from recover_nb.prediction.monitor_features import DOUBT, Monitor, Traces, fit_monitor
from recover_nb.prediction.monitor_result import (
    ALL,
    CUES,
    FORCED,
    LEVELS,
    RANDOM,
    REDRAW,
    RETRY,
    STOPPED,
    WITHOUT,
    WITHOUT_TRAINING,
    Curves,
    Deployed,
    MonitorResult,
    Rescues,
)
from recover_nb.routing.routers.replay import missed
from recover_nb.stats.resampling import Resamples, bootstrap_weights

#: Share of right traces that the chosen threshold loses on dev, and retries whose tokens are the
#: budget of every arm.
DEV_LOST, BUDGET = 0.03, 4
#: Most thresholds of a curve.
_GRID = 400
_NEEDED = ("correct", "n_tokens", "cue", "entropy", "kl_divergence", "attempt_correct")


def traces_of(ds: xr.Dataset, method: str, split: str) -> Traces:
    """Return the traces of one specialist and split, problem by problem."""
    mine = (text(ds["method"]) == method) & (text(ds["split"]) == split)
    part = ds.isel({PROBLEM: np.flatnonzero(mine)})
    if not part.sizes[PROBLEM]:
        raise InputError(
            f"ds has no problems of {method} in the {split} split; pass what rnb.load_cued()"
            " returns"
        )
    n = part.sizes["rollout"]
    flat = {name: part[name].values.reshape(-1, ds.sizes["token"]) for name in _NEEDED[2:5]}
    cell = [f"{f}|{t}" for f, t in zip(text(part["family"]), text(part["task"]), strict=True)]
    return Traces(
        part["correct"].values.ravel() == 1,
        part["n_tokens"].values.ravel().astype(int),
        flat["entropy"],
        flat["kl_divergence"],
        flat["cue"],
        np.repeat(cell, n),
        np.repeat(text(part["problem_id"]), n),
    )


def stops(scores: np.ndarray, n_tokens: np.ndarray, threshold: float) -> np.ndarray:
    """Return after how many tokens each trace ends when a score above `threshold` stops it."""
    doubts = (scores > threshold) & (np.arange(scores.shape[1]) < n_tokens[:, None] - 1)
    return np.where(doubts.any(axis=1), doubts.argmax(axis=1) + 1, n_tokens)


def peaks(scores: np.ndarray, n_tokens: np.ndarray) -> np.ndarray:
    """Return the highest score of each trace before its last token, (trace,)."""
    early = np.arange(scores.shape[1]) < n_tokens[:, None] - 1
    return np.where(early, scores, 0.0).max(axis=1)


def threshold_for(scores: np.ndarray, traces: Traces, lost: float) -> float:
    """Return the lowest threshold that stops at most a share `lost` of the right traces."""
    mine = np.sort(peaks(scores, traces.n_tokens)[traces.right])[::-1]
    if not len(mine):
        return 1.0
    return float(mine[min(int(np.floor(lost * len(mine) + 1e-9)), len(mine) - 1)])


def saved_at(
    scores: np.ndarray, traces: Traces, code: np.ndarray, resamples: Resamples
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of tokens saved where at most each of `LEVELS` of right traces is lost.

    Parameters
    ----------
    scores : (trace, token) float
    traces : Traces
    code : (trace,) int
        Column of `resamples.counts` of each trace's question.
    resamples : Resamples

    Returns
    -------
    value : (level,) float
    drawn : (resample, level) float
        The same in each resample; the threshold is set anew in each.
    """
    top = np.unique(peaks(scores, traces.n_tokens)[traces.right])[::-1]
    last = max(2, int(np.ceil(2 * LEVELS[-1] * traces.right.sum())))
    grid = top[:last][np.unique(np.linspace(0, min(last, len(top)) - 1, _GRID).astype(int))]
    n_questions = resamples.counts.shape[1]
    lost, saved = np.zeros((2, n_questions, len(grid)))
    for at, threshold in enumerate(grid):
        ends = stops(scores, traces.n_tokens, threshold)
        early = traces.n_tokens - ends
        saved[:, at] = np.bincount(code, early, n_questions)
        lost[:, at] = np.bincount(code, traces.right & (early > 0), n_questions)
    tokens = np.bincount(code, traces.n_tokens, n_questions)
    right = np.bincount(code, traces.right, n_questions)
    weights = np.vstack([np.ones(n_questions), resamples.counts])
    shares = (weights @ lost) / np.maximum(weights @ right, 1)[:, None]
    gained = (weights @ saved) / np.maximum(weights @ tokens, 1)[:, None]
    found = [
        gained[np.arange(len(weights)), (shares <= level + 1e-12).sum(axis=1) - 1]
        for level in LEVELS
    ]
    found = np.stack(found, axis=1)
    return found[0], found[1:]


def dealt(scores: np.ndarray, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the scores of other traces of the same cell: a monitor that knows nothing."""
    found = np.empty_like(scores)
    for name in np.unique(cell):
        rows = np.flatnonzero(cell == name)
        found[rows] = scores[rng.permutation(rows)]
    return found


def right_within(right: np.ndarray, tokens: np.ndarray, budget: np.ndarray) -> np.ndarray:
    """Return the chance that one attempt of those that a budget of tokens buys is right.

    Parameters
    ----------
    right : (problem, attempt) bool
    tokens : (problem, attempt) float
    budget : (problem,) float
        Attempts cost their mean. A part of an attempt counts as that part of what one more adds.

    Returns
    -------
    (problem,) float
    """
    n = right.shape[1]
    bought = np.clip(budget / np.maximum(tokens.mean(axis=1), 1e-9), 0, n)
    return 1 - missed(right.sum(axis=1), np.array(n), bought)


@checks.takes(n_shuffles=checks.COUNT, n_bootstrap=checks.COUNT, seed=checks.SEED)
def monitor(
    ds: xr.Dataset, *, n_shuffles: int = 10, n_bootstrap: int = 1000, seed: int = 0
) -> MonitorResult:
    """Say what a monitor saves by stopping traces, and rescues by forcing a cue.

    The monitor is a logistic regression, learned on dev and judged on test. After each token it
    says how likely the trace is to end wrong.

    Parameters
    ----------
    ds : Dataset
        From `load_cued`.
    n_shuffles : int
        How often the stops are dealt to other traces, for the null.
    n_bootstrap, seed : int
        Resamples of the questions within tasks, and their seed.

    Returns
    -------
    MonitorResult

    Raises
    ------
    InputError
        `ds` is not what `load_cued` returns.

    Notes
    -----
    docs/method.md#20-cues, after Behavior Cue Reasoning (arXiv 2605.07021).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_cued()
    >>> few = ds.isel(problem=ds["family"].values == "neox")
    >>> found = rnb.monitor(few, n_bootstrap=20, n_shuffles=1)
    >>> found.to_dataframe()["monitor"].tolist()[:4]
    ['cues', 'without_cues', 'untrained', 'random']
    """
    _check(ds)
    test = {name: traces_of(ds, name, "test") for name in (Method.CUED, Method.SFT)}
    dev = {name: traces_of(ds, name, "dev") for name in (Method.CUED, Method.SFT)}
    fits = {
        CUES: (Method.CUED, fit_monitor(dev[Method.CUED], cues=True)),
        WITHOUT: (Method.CUED, fit_monitor(dev[Method.CUED], cues=False)),
        WITHOUT_TRAINING: (Method.SFT, fit_monitor(dev[Method.SFT], cues=False)),
    }
    chosen = {
        name: threshold_for(fit.score(dev[m]), dev[m], DEV_LOST) for name, (m, fit) in fits.items()
    }
    scored = {name: (test[m], fit.score(test[m])) for name, (m, fit) in fits.items()}
    rng = np.random.default_rng(seed)
    curves = _curves(scored, n_shuffles, n_bootstrap, rng)
    settings = {
        "n_shuffles": n_shuffles,
        "n_bootstrap": n_bootstrap,
        "seed": seed,
        "dev_lost": DEV_LOST,
        "budget": BUDGET,
    }
    return MonitorResult(
        curves,
        _deployed(chosen, scored),
        _rescues(ds, fits[CUES][1], chosen[CUES], n_bootstrap, rng),
        _lengths(test) | {"right_sft_failed": _of_sft(ds)},
        settings,
    )


def _check(ds: xr.Dataset) -> None:
    if not isinstance(ds, xr.Dataset) or any(name not in ds for name in (*_NEEDED, "split")):
        raise InputError(
            "ds must be what rnb.load_cued() returns, with traces token by token, got"
            f" {checks.shown(ds)}"
        )


def _strata(traces: Traces) -> np.ndarray:
    return np.array([name.partition("|")[2] for name in traces.cell])


def _curves(scored: dict, n_shuffles: int, n_bootstrap: int, rng: np.random.Generator) -> Curves:
    """Return every curve, for all and for each family, in the same resamples of questions."""
    whole = scored[CUES][0]
    families = sorted({name.partition("|")[0] for name in whole.cell})
    groups = [ALL, *families] if len(families) > 1 else [ALL]
    names = (CUES, WITHOUT, WITHOUT_TRAINING, RANDOM)
    value = np.zeros((len(groups), len(names), len(LEVELS)))
    drawn = np.zeros((len(groups), len(names), n_bootstrap, len(LEVELS)))
    questions, first = np.unique(whole.question, return_index=True)
    resamples = bootstrap_weights(questions, _strata(whole)[first], n_bootstrap, rng)
    shuffled = [dealt(scored[CUES][1], whole.cell, rng) for _ in range(n_shuffles)]
    for g, group in enumerate(groups):
        for m, name in enumerate(names):
            traces, scores = scored[CUES if name == RANDOM else name]
            mine = np.array([group in (ALL, cell.partition("|")[0]) for cell in traces.cell])
            part = traces.take(mine)
            code = resamples.clusters[np.searchsorted(questions, part.question)]
            each = [
                saved_at(one[mine], part, code, resamples)
                for one in (shuffled if name == RANDOM else [scores])
            ]
            value[g, m] = np.mean([one for one, _ in each], axis=0)
            drawn[g, m] = np.mean([some for _, some in each], axis=0)
    return Curves(tuple(groups), names, value, drawn)


def _deployed(chosen: dict[str, float], scored: dict) -> Deployed:
    """Return what the threshold chosen on dev saves and loses on test, by monitor."""
    rows = []
    for name, threshold in chosen.items():
        traces, scores = scored[name]
        early = traces.n_tokens - stops(scores, traces.n_tokens, threshold)
        rows.append(
            (
                threshold,
                early.sum() / traces.n_tokens.sum(),
                (traces.right & (early > 0)).sum() / max(traces.right.sum(), 1),
            )
        )
    return Deployed(tuple(chosen), *np.array(rows).T)


def _lengths(test: dict[Method, Traces]) -> dict[str, float]:
    cued, plain = test[Method.CUED], test[Method.SFT]
    marked = (cued.cue == DOUBT).any(axis=1)
    return {
        "right": float(cued.right.mean()),
        "right_sft": float(plain.right.mean()),
        "tokens": float(cued.n_tokens.mean()),
        "tokens_sft": float(plain.n_tokens.mean()),
        "doubted": float(marked.mean()),
        "wrong_if_doubted": float((~cued.right[marked]).mean()) if marked.any() else float("nan"),
        "wrong_if_not": float((~cued.right[~marked]).mean()) if not marked.all() else float("nan"),
    }


def _of_sft(ds: xr.Dataset) -> float:
    """Return how often `sft` is right on the problems that `cued` failed."""
    family, question = text(ds["family"]), text(ds["problem_id"])
    failed = (ds["attempt_correct"].values >= 0).all(axis=(1, 2))
    units = set(zip(family[failed], question[failed], strict=True))
    plain = text(ds["method"]) == Method.SFT
    both = zip(family, question, strict=True)
    mine = np.array([unit in units for unit in both]) & plain
    return float((ds["correct"].values[mine] == 1).mean()) if mine.any() else float("nan")


def _rescues(
    ds: xr.Dataset, fit: Monitor, threshold: float, n_bootstrap: int, rng: np.random.Generator
) -> Rescues:
    """Return what each arm rescues of the failed test problems for the same tokens."""
    arms = text(ds["arm"]).tolist()
    asked = (ds["attempt_correct"].values >= 0).all(axis=(1, 2))
    mine = asked & (text(ds["method"]) == Method.CUED) & (text(ds["split"]) == "test")
    if not mine.any() or not {RETRY, REDRAW, FORCED} <= set(arms):
        raise InputError(
            "ds has no attempts at failed problems of the test split by retry, redraw and"
            " force_cue; pass what rnb.load_cued() returns"
        )
    part = ds.isel({PROBLEM: np.flatnonzero(mine)})
    right = {name: part["attempt_correct"].values[:, arms.index(name)] == 1 for name in arms}
    tokens = {name: part["attempt_tokens"].values[:, arms.index(name)] for name in arms}
    tokens = {name: each.astype(float) for name, each in tokens.items()}
    right[STOPPED], tokens[STOPPED] = _stopped(part, fit, threshold)
    budget = BUDGET * tokens[RETRY].mean(axis=1)
    names = (RETRY, STOPPED, REDRAW, FORCED)
    rescued = np.stack([right_within(right[name], tokens[name], budget) for name in names])
    resamples = bootstrap_weights(
        text(part["problem_id"]), text(part["task"]), n_bootstrap, rng
    ).weights
    drawn = (resamples @ rescued.T) / resamples.sum(axis=1)[:, None]
    return Rescues(
        names,
        np.array([right[name].mean() for name in names]),
        np.array([tokens[name].mean() for name in names]),
        rescued,
        drawn,
        np.array([str(each) for each in text(part["family"])]),
    )


def _stopped(part: xr.Dataset, fit: Monitor, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what comes of retries that the monitor may stop: those stopped are not right."""
    n = part.sizes["attempt"]
    later = part.isel(rollout=slice(part.sizes["rollout"] - n, None))
    traces = traces_of(later, Method.CUED, "test")
    ends = stops(fit.score(traces), traces.n_tokens, threshold)
    whole = ends == traces.n_tokens
    return (traces.right & whole).reshape(-1, n), ends.reshape(-1, n).astype(float)
