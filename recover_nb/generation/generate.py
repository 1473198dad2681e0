"""Make real failures and try every intervention on them: problems in, one Dataset out.

Needs torch.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import numcodecs
import numpy as np
import torch
import xarray as xr

from recover_nb import tasks
from recover_nb.core import checks
from recover_nb.core.labels import Anchoring, Feature, Intervention, Origin, Signal
from recover_nb.core.schema import (
    DERIVED,
    N_ALTERNATIVES,
    SIGNAL_BITS,
    VALUE,
    VARIABLES,
    assemble,
    empty,
    is_failure,
)
from recover_nb.core.token_text import TOKEN_TEXT
from recover_nb.core.validation import validate
from recover_nb.features.features import junction, problem_features, rollout_features
from recover_nb.generation.config import all_interventions, attempts_of
from recover_nb.generation.decoding import (
    Decoded,
    Pair,
    Settings,
    calibrate,
    decode,
    firing_score,
    problem_key,
    top_alternatives,
)
from recover_nb.generation.decoding.loop import deltas
from recover_nb.generation.decoding.settings import SETTINGS
from recover_nb.generation.decoding.threads import threads_for
from recover_nb.generation.provenance import describe_pair, study_attrs
from recover_nb.generation.surgery import value_map
from recover_nb.generation.traces import check_traces, token_texts, trace_text
from recover_nb.routing.derive import derive
from recover_nb.routing.populations import vote
from recover_nb.tasks import Problem, has_step, make_checker
from recover_nb.tasks.base import PROBLEMS
from recover_nb.tasks.checkers import RULE, Checker

#: Every intervention a study may hold, `none` and `retry` first.
ALL_INTERVENTIONS = tuple(name.value for name in Intervention)


#: By which interventions, beside the specialist alone, a stored value map goes on from each prefix.
MAPPED = (
    Intervention.SPARSE_STEER.value,
    Intervention.DENSE_SAMPLE.value,
    Intervention.ANCESTOR.value,
)


@dataclass(frozen=True)
class Plan:
    """What is done with each problem of a block.

    Attributes
    ----------
    interventions : tuple of str
        `none` and `retry` first.
    n_rollouts, n_attempts, signal_rollouts : int
    settings : Settings
    checker : callable (text, answer) -> bool, or None
        None: the task's own.
    worked : callable (text) -> bool
        Whether a text holds a reasoning step, where the task cannot tell.
    value_problems, value_n : int
        Failed problems, the first ones, whose value map is measured, and its continuations of each
        prefix.
    """

    interventions: tuple[str, ...]
    n_rollouts: int
    n_attempts: int
    settings: Settings
    signal_rollouts: int = 10
    checker: Checker | None = None
    worked: Callable[[str], bool] = has_step
    value_problems: int = 0
    value_n: int = 24

    @property
    def rows(self) -> int:
        """Rollouts that a failed problem costs."""
        return sum(
            attempts_of(name, self.n_rollouts, self.n_attempts) for name in self.interventions
        )


@checks.takes(
    pair=checks.PAIR,
    problems=PROBLEMS,
    interventions=checks.names(empty=True),
    n_rollouts=checks.ROLLOUTS,
    n_attempts=checks.ROLLOUTS,
    settings=SETTINGS,
    unit=checks.UNIT,
    signal_rollouts=checks.DRAWS,
    value_problems=checks.DRAWS,
    checker=RULE,
    worked=checks.calls(1, "a function of one argument, a text"),
    progress=checks.COUNTED,
)
def generate(
    pair: Pair,
    problems: Sequence[Problem],
    *,
    interventions: Sequence[str] = ALL_INTERVENTIONS,
    n_rollouts: int = 50,
    n_attempts: int = 20,
    settings: Settings | None = None,
    unit: tuple[str, str] = ("", ""),
    signal_rollouts: int = 10,
    value_problems: int = 0,
    checker: str | Checker | None = None,
    worked: Callable[[str], bool] = has_step,
    progress: Callable[[int], object] | None = None,
) -> xr.Dataset:
    """Run a study of some problems in memory.

    Parameters
    ----------
    pair : Pair
        Specialist and ancestor.
    problems : sequence of Problem
        From `recover_nb.tasks.problems`, or built by hand for a task of your own.
    interventions : sequence of str
        Registered names; ``none`` and ``retry`` run in any case. Operators run on failed problems
        only.
    n_rollouts, n_attempts : int
        Observed rollouts, and attempts an intervention (2 for the deterministic ``dense_steer``).
    settings : Settings, optional
    unit : (str, str)
        Family and method that the problem units are named by; they also choose the random numbers.
    signal_rollouts : int
        Failed rollouts per problem whose signals are kept, rounded to `schema.SIGNAL_BITS` mantissa
        bits.
    value_problems : int
        Failed problems, the first ones, whose first failure's value map is measured and kept; a
        `story` needs one. Each costs 24 continuations from every one of its tokens.
    checker : str or callable (text, answer) -> bool, optional
        See `tasks.make_checker`; the tasks' own unless given.
    worked : callable (text) -> bool
        Whether a text holds a reasoning step before its answer, for problems of your own; the
        shipped tasks tell by themselves.
    progress : callable, optional
        Called with the number of rollouts done since the last call.

    Returns
    -------
    Dataset
        As `recover_nb.core.schema` defines it; features, regimes and routes included. Routes are
        standardised within each task.

    Raises
    ------
    InputError
        No problem, no rollout, an unknown intervention, or what `decode` refuses.

    See Also
    --------
    run_study : The same of a whole study on disk, which can be killed and resumed.
    load_lineage : The shipped models.
    load_pair : Any two models that share a tokenizer.
    add_signals : Signals of rollouts that another tool made.

    References
    ----------
    .. [1] arXiv 2606.05145, which publishes four of the interventions.

    Examples
    --------
    Four problems, two rollouts each: which of them failed at least once?

    >>> import recover_nb as rnb
    >>> pair = rnb.load_lineage("neox", "sft")
    >>> ds = rnb.generate(
    ...     pair,
    ...     rnb.tasks.problems("arithmetic", "dev", 4),
    ...     interventions=["sparse_steer"],
    ...     n_rollouts=2,
    ...     n_attempts=2,
    ...     unit=("neox", "sft"),
    ... )
    >>> ds["intervention"].values.tolist()
    ['none', 'retry', 'sparse_steer']
    >>> (ds["correct"].sel(intervention="none") == 0).any("rollout").values.tolist()
    [False, False, False, True]
    """
    settings = settings or Settings()
    plan = Plan(
        all_interventions(interventions),
        n_rollouts,
        n_attempts,
        settings,
        signal_rollouts,
        None if checker is None else make_checker(checker),
        worked,
        value_problems,
    )
    arrays = run_block(pair, problems, unit, plan, progress=progress)
    described = {"n_rollouts": n_rollouts, "n_attempts": n_attempts, "settings": settings}
    attrs = study_attrs(settings.seed, described, {"|".join(unit): describe_pair(pair)})
    attrs |= text_of_tokens(pair, arrays, unit)
    return validate(derive(assemble(arrays, plan.interventions, attrs)))


def text_of_tokens(
    pair: Pair, arrays: dict[str, np.ndarray], unit: tuple[str, str]
) -> dict[str, str]:
    """Return the attribute with the text of the tokens in a study; nothing without a tokenizer."""
    names = ("token_id", "alternative_token_id")
    held = [np.unique(arrays[name]).tolist() for name in names if name in arrays]
    texts = token_texts(pair, chain(*held))
    if not texts:
        return {}
    return {TOKEN_TEXT: json.dumps({"|".join(unit): texts}, ensure_ascii=False)}


def run_block(
    pair: Pair,
    problems: Sequence[Problem],
    unit: tuple[str, str],
    plan: Plan,
    *,
    progress: Callable[[int], object] | None = None,
) -> dict[str, np.ndarray]:
    """Run a block of problems of one (family, method).

    Returns
    -------
    dict of str to array
        Every variable of the schema that concerns one problem at a time, and the coordinates on
        `problem`. The values depend on nothing but problem, unit and plan: not on the other
        problems of the block, but for which of them have a value map.
    """
    progress = progress or (lambda n: None)
    arrays = blank_arrays(problems, unit, plan)
    prompts = [problem.prompt for problem in problems]
    keys = np.array(
        [problem_key(*unit, each.task, each.problem_id) for each in problems], dtype=np.uint64
    )

    def run(
        name: str, chosen: np.ndarray, calibration=None, twins: Decoded | None = None
    ) -> Decoded:
        count = attempts_of(name, plan.n_rollouts, plan.n_attempts)
        decoded = decode(
            pair,
            [prompts[i] for i in chosen],
            keys[chosen],
            np.arange(count),
            name,
            plan.settings,
            calibration=calibration,
            record=name == Intervention.NONE,
            twins=twins,
            progress=deltas(progress),
        )
        keep_traces(arrays, decoded, chosen, plan.interventions.index(name))
        keep_checks(arrays, pair, [problems[i] for i in chosen], decoded, chosen, name, plan)
        return decoded

    with threads_for(pair):
        _run_all(arrays, run, pair, problems, keys, plan, progress)
        failed = np.flatnonzero((arrays["junction"] >= 0).any(1))
        for i in failed[: plan.value_problems].tolist():
            _keep_value(arrays, pair, problems[i], int(keys[i]), i, plan)
    return arrays


def _run_all(
    arrays: dict,
    run: Callable[..., Decoded],
    pair: Pair,
    problems: Sequence[Problem],
    keys: np.ndarray,
    plan: Plan,
    progress: Callable[[int], object],
) -> None:
    """Observe, learn features and calibration from failures, then try each intervention on them."""
    prompts = [problem.prompt for problem in problems]
    observed = run(Intervention.NONE.value, np.arange(len(prompts)))
    correct, ended = (arrays[name][:, : plan.n_rollouts, 0] for name in ("correct", "ended"))
    failed = is_failure(correct, ended)
    keep_features(arrays, observed, failed, plan)
    if plan.checker is None:
        answer = arrays["answer_id"][:, : plan.n_rollouts]
        arrays["solved_by_majority"][:] = vote(correct == 1, answer)
    units = np.flatnonzero(failed.any(1))
    if Intervention.ANCESTOR in plan.interventions:
        arrays["ancestor_pass_at_1"][:] = _ancestor_rate(pair, problems, keys, plan)
    progress((len(prompts) - len(units)) * (plan.rows - plan.n_rollouts))
    if not len(units):
        return
    calibration = calibrate(select_problems(observed, units), failed[units], plan.settings)
    _keep_calibration(arrays, calibration, units)
    _keep_firing(arrays, observed, failed, calibration, units)
    _keep_alternatives(arrays, pair, prompts, failed, units)
    retry = run(Intervention.RETRY.value, units, calibration)
    for name in plan.interventions[2:]:
        count = attempts_of(name, plan.n_rollouts, plan.n_attempts)
        run(name, units, calibration, _twins(retry, count, plan.settings))


def _ancestor_rate(
    pair: Pair, problems: Sequence[Problem], keys: np.ndarray, plan: Plan
) -> np.ndarray:
    """Return how often the ancestor alone is right on each problem, (problem,) float64."""
    name = Intervention.ANCESTOR.value
    prompts, attempts = [problem.prompt for problem in problems], np.arange(plan.n_attempts)
    # From the beginning, whatever the attempts of operators replay.
    settings = replace(plan.settings, anchoring=Anchoring.ONLINE)
    decoded = decode(pair, prompts, keys, attempts, name, settings)
    right = [
        check_traces(pair, tokens, lengths, problem.answer, plan.checker).mean()
        for tokens, lengths, problem in zip(
            decoded.token_id, decoded.n_tokens, problems, strict=True
        )
    ]
    return np.array(right)


def blank_arrays(
    problems: Sequence[Problem], unit: tuple[str, str], plan: Plan
) -> dict[str, np.ndarray]:
    """Every variable at its fill code, and what is known before anything runs."""
    sizes = {
        "problem": len(problems),
        "rollout": max(plan.n_rollouts, plan.n_attempts),
        "intervention": len(plan.interventions),
        "token": plan.settings.max_new_tokens,
        "feature": len(Feature),
    }
    left_out = DERIVED if plan.value_problems else (*DERIVED, *VALUE)
    arrays = {name: empty(name, sizes) for name in VARIABLES if name not in left_out}
    family, method = unit
    for i, problem in enumerate(problems):
        arrays["prompt"][i], arrays["answer"][i] = problem.prompt, problem.answer
        arrays["level"][i] = problem.level
    text = {
        "family": [family] * len(problems),
        "method": [method] * len(problems),
        "task": [each.task for each in problems],
        "problem_id": [each.problem_id for each in problems],
        "split": [each.split for each in problems],
    }
    return arrays | {name: np.array(values, dtype=object) for name, values in text.items()}


def select_problems(decoded: Decoded, problems: np.ndarray) -> Decoded:
    """Return some problems of a decode."""
    arrays = {each.name: getattr(decoded, each.name) for each in fields(Decoded)}
    signals = arrays.pop("signals")
    kept = {name: values[problems] for name, values in arrays.items()}
    return Decoded(
        **kept, signals={name: values[problems] for name, values in (signals or {}).items()}
    )


def _twins(retry: Decoded, count: int, settings: Settings) -> Decoded | None:
    """Return the attempts an operator follows until it acts: the first `count` of retry's.

    Following them repeats retry's tokens to the letter. A replayed prefix is another trace: nothing
    to follow.
    """
    if settings.anchoring == "replay":
        return None
    return replace(retry, token_id=retry.token_id[:, :count])


def keep_traces(arrays: dict, decoded: Decoded, chosen: np.ndarray, place: int) -> None:
    """Keep the traces of one intervention at its place."""
    n = decoded.n_tokens.shape[1]
    for name in ("token_id", "n_tokens", "fired_at", "forward_specialist", "forward_ancestor"):
        arrays[name][chosen, :n, place] = getattr(decoded, name)


def keep_checks(
    arrays: dict,
    pair: Pair,
    problems: Sequence[Problem],
    decoded: Decoded,
    chosen: np.ndarray,
    name: str,
    plan: Plan,
) -> None:
    """Check the traces of one intervention, each different one once, and keep what is found."""
    place = plan.interventions.index(name)
    for i, problem in zip(range(len(problems)), problems, strict=True):
        known: dict[tuple, dict[str, object]] = {}
        answers: dict[object, int] = {None: -1}
        for r, n in enumerate(decoded.n_tokens[i]):
            if not n:  # Not asked.
                continue
            trace = (*decoded.token_id[i, r, :n].tolist(), bool(decoded.stopped[i, r]))
            # Twins and easy problems give the same trace again and again: check it once.
            if trace not in known:
                known[trace] = _check(pair, problem, trace[:-1], trace[-1], plan)
                answer = known[trace].pop("answer")
                known[trace]["answer_id"] = answers.setdefault(answer, len(answers) - 1)
            for fact, value in known[trace].items():
                if arrays[fact].ndim == 3:
                    arrays[fact][chosen[i], r, place] = value
                elif name == Intervention.NONE:
                    arrays[fact][chosen[i], r] = value


def _check(
    pair: Pair, problem: Problem, tokens: tuple[int, ...], stopped: bool, plan: Plan
) -> dict[str, object]:
    """Return what is known of a trace, by variable of the schema, and the `answer` it gives."""
    text = trace_text(pair, tokens)
    answer = tasks.parse_answer(text) if plan.checker is None else None
    if plan.checker is None:
        correct, readable = answer == problem.answer, answer is not None
    else:
        correct, readable = bool(plan.checker(text, problem.answer)), bool(text.strip())
    can_tell = plan.checker is None and problem.task in tasks.TASKS
    facts: dict[str, object] = {
        "correct": correct,
        "parseable": stopped and readable,
        "ended": stopped,
        "worked": tasks.is_worked(text) if can_tell else bool(plan.worked(text)),
        "answer": answer,
    }
    if correct:
        return facts
    if not stopped:
        return facts | {"origin": Origin.CUT_OFF.value}
    # A problem that was read from a file or a study has no program to hold its steps to.
    wrong = tasks.find_origin(problem, text) if can_tell and problem.program else None
    if wrong is None:
        return facts | {"origin": "" if facts["worked"] else Origin.GUESS.value}
    return facts | {
        "origin": wrong.origin.value,
        "slip": "" if wrong.slip is None else wrong.slip.value,
        "first_wrong": _token_at(pair, tokens, wrong.end),
        "wrong_step_start": _token_at(pair, tokens, wrong.start + 1 if wrong.start >= 0 else -1),
    }


def _token_at(pair: Pair, tokens: Sequence[int], end: int) -> int:
    """Return the token with which the first `end` characters of a trace are complete, -1 if none.

    The end-of-sequence token has no text.
    """
    if end < 0:
        return -1
    return bisect_left(
        range(len(tokens)), end, key=lambda i: len(trace_text(pair, tokens[: i + 1]))
    )


def keep_features(arrays: dict, observed: Decoded, failed: np.ndarray, plan: Plan) -> None:
    """Store what the failed rollouts show: features from all of them, signals of the first few."""
    n = plan.n_rollouts
    pressure, variance = (
        observed.signals[name] for name in (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
    )
    values = rollout_features(pressure, variance, observed.n_tokens, window=plan.settings.window)
    arrays["features"][:] = problem_features(values, failed)
    arrays["n_failed_rollouts"][:] = failed.sum(1)
    arrays["junction"][:, :n] = np.where(failed, junction(pressure, observed.n_tokens), -1)
    kept = failed & (failed.cumsum(1) <= plan.signal_rollouts)
    arrays["has_signals"][:, :n] = kept
    for name in Signal:
        arrays[name.value][:, :n] = np.where(
            kept[..., None], round_mantissa(observed.signals[name]), np.float32(0)
        )


def _keep_calibration(arrays: dict, calibration, units: np.ndarray) -> None:
    arrays["fire_threshold"][units] = calibration.threshold
    for name in ("coverage_mean", "coverage_sd", "warmup"):
        arrays[name][units] = getattr(calibration, name)


def _keep_firing(
    arrays: dict, observed: Decoded, failed: np.ndarray, calibration, units: np.ndarray
) -> None:
    """Store where the firing rule would first fire in each failed rollout."""
    signals = observed.signals or {}
    path, coverage = (
        torch.from_numpy(signals[name][units])
        for name in ("path_score", Signal.COVERAGE_DEFORMATION)
    )
    mean, sd, threshold, warmup = (
        getattr(calibration, name)[:, None, None]
        for name in ("coverage_mean", "coverage_sd", "threshold", "warmup")
    )
    score, _ = firing_score(path, coverage, torch.from_numpy(mean), torch.from_numpy(sd))
    place = np.arange(score.shape[-1])
    fires = (score.numpy() > threshold) & (place >= warmup)
    fires &= place < observed.n_tokens[units][..., None]
    first = np.where(fires.any(-1) & failed[units], fires.argmax(-1), -1)
    arrays["first_firing"][units, : first.shape[1]] = first


def _keep_alternatives(
    arrays: dict, pair: Pair, prompts: list[str], failed: np.ndarray, units: np.ndarray
) -> None:
    """Store what both models would rather have said along the first failed rollout."""
    first = failed[units].argmax(1)
    token, log_probability = top_alternatives(
        pair,
        [prompts[i] for i in units],
        arrays["token_id"][units, first, 0],
        arrays["n_tokens"][units, first, 0],
        k=N_ALTERNATIVES,
    )
    arrays["alternative_token_id"][units] = token
    arrays["alternative_log_probability"][units] = round_mantissa(log_probability)


def _keep_value(
    arrays: dict, pair: Pair, problem: Problem, key: int, place: int, plan: Plan
) -> None:
    """Measure the value map of a problem's first failed rollout."""
    first = int((arrays["junction"][place] >= 0).argmax())
    values = value_map(
        pair,
        problem.prompt,
        arrays["token_id"][place, first, 0, : arrays["n_tokens"][place, first, 0]],
        answer=problem.answer,
        n=plan.value_n,
        interventions=[name for name in MAPPED if name in plan.interventions],
        key=key,
        settings=plan.settings,
        checker=plan.checker,
        coverage=(float(arrays["coverage_mean"][place]), float(arrays["coverage_sd"][place])),
    )
    for name, counts in zip(values["intervention"].values, values["right"].values, strict=True):
        at = plan.interventions.index(name)
        arrays["value_right"][place, at, : len(counts)] = counts
    arrays["value_n"][place] = plan.value_n


def round_mantissa(values: np.ndarray, bits: int = SIGNAL_BITS) -> np.ndarray:
    """Round float32 values to `bits` mantissa bits (half to even), so that they compress.

    The relative error is at most 2**-(bits + 1); 0 stays 0 and no other number becomes it.
    """
    codec = numcodecs.BitRound(keepbits=bits)
    return codec.encode(np.ascontiguousarray(values, dtype=np.float32)).view(np.float32)
