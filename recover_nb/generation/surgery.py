"""Branch a failed trace at a token, or at every token, and see what comes of it.

Twins share the prefix; an operator acts at the token.

Needs torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import DETERMINISTIC, Anchoring, Continuation, Intervention, Signal
from recover_nb.features.value import value_dataset
from recover_nb.generation.config import attempts_of
from recover_nb.generation.decoding import (
    Calibration,
    Decoded,
    Pair,
    Settings,
    decode,
    firing_score,
    score_traces,
)
from recover_nb.generation.decoding.loop import deltas
from recover_nb.generation.decoding.operators import OPERATOR
from recover_nb.generation.decoding.settings import SETTINGS
from recover_nb.generation.decoding.threads import threads_for
from recover_nb.generation.traces import check_traces, trace_text
from recover_nb.routing.rescue import proportion_interval
from recover_nb.tasks.checkers import RULE, Checker

#: Interventions that are registered, or none.
NAMED = checks.either(
    checks.several(OPERATOR, "names of interventions"),
    checks.names((), empty=True),
    "a list of names of interventions",
)
#: Mean and standard deviation of the coverage deformation.
COVERAGE = checks.Kind("two numbers, (mean, sd)", checks.several(checks.NUMBER, "", n=2).read)

#: Operators whose one act is an argmax: continued greedily, every twin is the same.
_ARGMAX = (Intervention.SPARSE_STEER.value, Intervention.SPARSE_STEER_WRONG.value)


@dataclass(frozen=True)
class Surgery:
    """Twins of a failed trace. Made by `branch`.

    Attributes
    ----------
    position : int
        First place where a twin may differ from the failed trace.
    intervention : str
    alpha : float
    continuation : str
    token_id : (n, token) int32
        -1 past the end; the kept prefix is part of every twin.
    n_tokens, fired_at : (n,) int32
        Length, and where the operator first acted (-1 = never).
    correct : (n,) bool
    deterministic : bool
        Nothing was drawn: equal twins are no evidence, and the rate has no interval.
    """

    position: int
    intervention: str
    alpha: float
    continuation: str
    token_id: np.ndarray
    n_tokens: np.ndarray
    fired_at: np.ndarray
    correct: np.ndarray
    deterministic: bool

    @property
    def traces(self) -> list[list[int]]:
        """Tokens of each twin."""
        return [tokens[:n].tolist() for tokens, n in zip(self.token_id, self.n_tokens, strict=True)]

    @property
    def n(self) -> int:
        """How many twins."""
        return len(self.correct)

    @property
    def rescued(self) -> int:
        """How many of them are correct."""
        return int(self.correct.sum())

    @property
    def rate(self) -> float:
        """Share of them that is correct."""
        return self.rescued / self.n

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the rate; (NaN, NaN) where nothing was drawn."""
        if self.deterministic:
            return float("nan"), float("nan")
        return proportion_interval(self.rescued, self.n)


@checks.takes(
    pair=checks.PAIR,
    prompt=checks.TEXT,
    token_id=checks.TOKENS,
    position=checks.DRAWS,
    intervention=OPERATOR,
    answer=checks.TEXT,
    n=checks.ROLLOUTS,
    key=checks.KEY,
    settings=SETTINGS,
    checker=RULE,
    seed=checks.SEED,
    coverage=COVERAGE,
    progress=checks.COUNTED,
)
def branch(
    pair: Pair,
    prompt: str,
    token_id: np.ndarray,
    position: int,
    intervention: str,
    *,
    answer: str,
    n: int = 20,
    key: int = 0,
    settings: Settings | None = None,
    checker: str | Checker | None = None,
    seed: int | None = None,
    coverage: tuple[float, float] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Surgery:
    """Keep a failed trace to a token, let an operator act there, and decode `n` twins to their end.

    Twin r of every operator shares its random numbers: ``retry`` from the same token is the
    control.

    Parameters
    ----------
    pair : Pair
    prompt : str
    token_id : (T,) int
        The failed trace.
    position : int
        From 0 to T - 1: tokens before it are kept.
    intervention : str
        A registered name but ``none``. One that fires once fires at `position`, with the mixture
        whose score is the larger there; the others act from `position` on.
    answer : str
        What the checker expects.
    n : int
        Twins.
    key : int
        `decoding.problem_key` of the problem: it chooses the random numbers.
    settings : Settings, optional
        `alpha`, `continuation`, `temperature` and the rest; `anchoring` is replay whatever they
        say.
    checker : str or callable (text, answer) -> bool, optional
        See `tasks.make_checker`; that of the shipped tasks unless given.
    seed : int, optional
        In place of ``settings.seed``.
    coverage : (float, float), optional
        Mean and standard deviation of the coverage deformation of the problem's failed rollouts,
        which a study stores; those of this trace alone unless given.
    progress : callable, optional
        Called with the number of twins finished so far.

    Returns
    -------
    Surgery

    Raises
    ------
    InputError
        A position outside the trace, ``none``, no twin, a trace longer than
        ``settings.max_new_tokens``, and what `decode` refuses.

    Examples
    --------
    A failed trace is kept to its junction, and the ancestor has a say in the token there.

    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> example = rnb.tables.choose_example(ds)
    >>> here = ds.isel(problem=example["problem"], rollout=example["rollout"])
    >>> pair = rnb.load_lineage(here["family"].item(), here["method"].item())
    >>> trace = here["token_id"].sel(intervention="none").values
    >>> trace = trace[trace >= 0]
    >>> prompt, answer, place = (here[name].item() for name in ("prompt", "answer", "junction"))
    >>> surgery = rnb.branch(pair, prompt, trace, place, "sparse_steer", answer=answer, n=8)
    >>> control = rnb.branch(pair, prompt, trace, place, "retry", answer=answer, n=8)
    >>> int(surgery.correct.sum()), int(control.correct.sum())
    (8, 3)
    """
    settings = replace(settings or Settings(), anchoring=Anchoring.REPLAY)
    settings = settings if seed is None else replace(settings, seed=seed)
    token_id = np.asarray(token_id, dtype=np.int32)
    _check(token_id, position, intervention, n, settings)
    with threads_for(pair):
        calibration = _anchored(pair, prompt, token_id, np.array([position]), settings, coverage)
        decoded = decode(
            pair,
            [prompt],
            np.array([key], np.uint64),
            np.arange(n),
            intervention,
            settings,
            calibration=calibration,
            progress=progress,
        )
    tokens, lengths = decoded.token_id[0], decoded.n_tokens[0]
    greedy = settings.continuation == Continuation.GREEDY
    return Surgery(
        position=position,
        intervention=intervention,
        alpha=settings.alpha,
        continuation=str(settings.continuation),
        token_id=tokens,
        n_tokens=lengths,
        fired_at=decoded.fired_at[0],
        correct=check_traces(pair, tokens, lengths, answer, checker),
        deterministic=intervention in DETERMINISTIC or (greedy and intervention in _ARGMAX),
    )


@checks.takes(
    pair=checks.PAIR,
    prompt=checks.TEXT,
    token_id=checks.TOKENS,
    answer=checks.TEXT,
    n=checks.ROLLOUTS,
    interventions=NAMED,
    key=checks.KEY,
    settings=SETTINGS,
    checker=RULE,
    coverage=COVERAGE,
    progress=checks.COUNTED,
)
def value_map(
    pair: Pair,
    prompt: str,
    token_id: np.ndarray,
    *,
    answer: str,
    n: int = 24,
    interventions: Sequence[str] = (),
    key: int = 0,
    settings: Settings | None = None,
    checker: str | Checker | None = None,
    coverage: tuple[float, float] | None = None,
    progress: Callable[[int], object] | None = None,
) -> xr.Dataset:
    r"""Measure the value of every prefix of a failed trace: how often it still ends right.

    docs/method.md#16-prefix-value. The value after t tokens is the share of `n`
    continuations by the specialist at T that are right. Continuation r draws the same random
    numbers after every prefix, and the same as attempt r of ``retry``.

    Parameters
    ----------
    pair : Pair
    prompt : str
    token_id : (T,) int
        The failed trace.
    answer : str
        What the checker expects.
    n : int
        Continuations of each prefix.
    interventions : sequence of str
        Also continue by these, each acting from the end of the prefix on: those that fire once
        fire there.
    key, settings, checker, coverage
        See `branch`.
    progress : callable, optional
        Called with the number of continuations finished since the last call.

    Returns
    -------
    Dataset
        `right` (intervention, prefix) int32: right continuations after 0 to T tokens, ``retry``
        (the specialist itself) first. After all T tokens none is right. Attribute `n`.

    Raises
    ------
    InputError
        As `branch`.

    See Also
    --------
    plot_value : Draws it.
    recorded_value : The same from a study that stores it, without models.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> pair = rnb.load_lineage("neox", "sft")
    >>> tokens = pair.tokenizer.encode("47+85=22 22*4=88 #88") + list(pair.eos_ids)[:1]
    >>> values = rnb.value_map(pair, "((47+85)*4)%100\n", tokens, answer="28", n=4)
    >>> values.sizes["prefix"] == len(tokens) + 1, values["right"].values[0, -1].item()
    (True, 0)
    """
    settings = replace(settings or Settings(), anchoring=Anchoring.REPLAY)
    token_id = np.asarray(token_id, dtype=np.int32)
    names = list(dict.fromkeys([Intervention.RETRY.value, *interventions]))
    for name in names:
        _check(token_id, 0, name, n, settings)
    length = len(token_id)
    right = np.zeros((len(names), length + 1), np.int32)
    with threads_for(pair):
        calibration = _anchored(pair, prompt, token_id, np.arange(length), settings, coverage)
        for i, name in enumerate(names):
            attempts = attempts_of(name, n, n)
            decoded = decode(
                pair,
                [prompt] * length,
                np.full(length, key, np.uint64),
                np.arange(attempts),
                name,
                settings,
                calibration=calibration,
                progress=None if progress is None else deltas(progress),
            )
            right[i, :length] = _right(pair, decoded, answer, checker)
    pieces = [trace_text(pair, [token]) for token in token_id.tolist()]
    return value_dataset(right, names, n, pieces)


def _right(pair: Pair, decoded: Decoded, answer: str, checker: str | Checker | None) -> np.ndarray:
    """Return how many continuations of each prefix are right, (prefix,) int64."""
    shape = decoded.n_tokens.shape
    tokens = decoded.token_id.reshape(-1, decoded.token_id.shape[-1])
    # Twins give the same trace again and again: check it once.
    different, which = np.unique(tokens, axis=0, return_inverse=True)
    lengths = (different >= 0).sum(1)
    correct = check_traces(pair, different, lengths, answer, checker)
    return correct[which].reshape(shape).sum(1)


def _check(
    token_id: np.ndarray, position: int, intervention: str, n: int, settings: Settings
) -> None:
    if intervention == Intervention.NONE:
        raise InputError(
            "'none' is the failed trace itself; branch with 'retry' to sample on from a token"
        )
    if n < 1:
        raise InputError(f"{n} twins say nothing; allowed: a whole number of at least 1")
    if not 0 <= position < len(token_id):
        raise InputError(
            f"position {position} is not in the trace; allowed: 0 to {len(token_id) - 1}"
        )
    if len(token_id) > settings.max_new_tokens:
        raise InputError(
            f"the trace has {len(token_id)} tokens and max_new_tokens is {settings.max_new_tokens};"
            f" raise it to at least {len(token_id)}"
        )


def _anchored(
    pair: Pair,
    prompt: str,
    token_id: np.ndarray,
    positions: np.ndarray,
    settings: Settings,
    coverage: tuple[float, float] | None,
) -> Calibration:
    """Return a calibration of one failed trace for each of `positions`: its junction is there."""
    found = score_traces(
        pair, [prompt], token_id[None, None], np.array([[len(token_id)]]), settings
    )
    path, spread = (found[name][0, 0] for name in ("path_score", Signal.COVERAGE_DEFORMATION.value))
    mean, sd = (float(spread.mean()), float(spread.std())) if coverage is None else coverage
    here, there = (torch.from_numpy(each[positions]) for each in (path, spread))
    _, is_coverage = firing_score(here, there, mean, sd)
    n = len(positions)
    padded = np.full((n, 1, settings.max_new_tokens), -1, np.int32)
    padded[:, 0, : len(token_id)] = token_id
    return Calibration(
        threshold=np.full(n, np.inf),
        coverage_mean=np.full(n, mean),
        coverage_sd=np.full(n, sd),
        # These two leave `sparse_steer_random` one position to choose: this one. Its mixture stays
        # random.
        warmup=positions,
        median_length=positions + 1.0,
        n_failed=np.ones(n, np.int64),
        failed_token_id=padded,
        junction=positions[:, None],
        junction_is_coverage=is_coverage.numpy()[:, None],
    )
