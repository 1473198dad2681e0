"""What a study lacks for each figure of an evaluation, and what would give it."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES, ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.schema import IMPORTED, INTERVENTION, cut_off_hint, failed_units, text
from recover_nb.routing.rescue import with_rates

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value
ROUTED = tuple(name.value for name in ROUTED_INTERVENTIONS)
#: The smallest lift over retry that a study should be able to tell from none.
TOLD = 0.03
#: What gives a study what it lacks.
HOW = {
    "failures": "more problems, harder ones, or more rollouts of each",
    "retry": (
        "sample the same problems once more and read both logs, {'none': first, 'retry': second};"
        " or n_observed=1 where each problem has several rollouts"
    ),
    "arms": (
        "read one log for each other way to answer, {'none': ..., 'retry': ..., NAME: ...}; or"
        " rnb.generate(pair, rnb.read_problems(study), interventions=...)"
    ),
    "routed": "rnb.generate(pair, rnb.read_problems(study)) runs them",
    "features": (
        "traces and both models: read with tokenizer=, then rnb.add_signals(study, pair); or"
        " log-probabilities of both (rnb.from_vllm_logprobs, rnb.from_openai_logprobs)"
    ),
    "ended": "a log that says why each rollout ended (finish_reason)",
    "worked": "a log with the texts of the rollouts",
}


def arms_run(ds: xr.Dataset) -> list[str]:
    """Return the interventions that have an attempt, the observed rollouts left out."""
    tried = with_rates(ds)["attempts"].transpose("problem", INTERVENTION).values.sum(axis=0)
    names = text(ds[INTERVENTION]).tolist()
    return [name for name, n in zip(names, tried, strict=True) if n and name != NONE]


def needs_of(
    ds: xr.Dataset,
    *,
    interventions: Sequence[str] = ROUTED,
    features: Sequence[str] = FEATURES,
) -> list[dict[str, str]]:
    """Return the figures of an evaluation that a study does not give.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    interventions, features : sequence of str
        What the rule chooses from, and by.

    Returns
    -------
    list of dict
        ``figure``, what it ``needs``, and ``how`` to get that; empty for a complete study.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> log = rnb.example_folder() / "lm_eval" / "samples_none.jsonl"
    >>> found = rnb.evaluate_routing(rnb.from_lm_eval(log, is_correct="regex:#(.+)$"))
    >>> [each["figure"] for each in found.needs][:2]
    ['rescue by trying again', 'rescue by other interventions']
    """
    if "correct" not in ds:
        split = "each attempt's outcome, which a table of rates does not have"
        return [_need("split halves, twinned null and budgets", split, "the study it was made of")]
    run, failed = arms_run(ds), failed_units(ds)
    found = []
    if not failed.any():
        found.append(_need("rescue", f"failed problems{cut_off_hint(ds)}", HOW["failures"]))
    if RETRY not in run:
        found.append(_need("rescue by trying again", "attempts of retry", HOW["retry"]))
    if not set(run) - {RETRY}:
        found.append(
            _need("rescue by other interventions", "attempts of other interventions", HOW["arms"])
        )
    found += _routing_needs(ds, run, failed, interventions, features)
    for name, figure in (
        ("ended", "rollouts cut off"),
        ("worked", "right answers that are guesses"),
    ):
        # What a study of our own does not store, it does not speak of.
        if IMPORTED in ds.attrs and not _known(ds, name):
            found.append(_need(figure, f"the variable {name}", HOW[name]))
    return found


def _routing_needs(
    ds: xr.Dataset,
    run: Sequence[str],
    failed: np.ndarray,
    interventions: Sequence[str],
    features: Sequence[str],
) -> list[dict[str, str]]:
    """Return what routing as such lacks."""
    figure, found = "routes and their lift over retry", []
    missing = [str(name) for name in (RETRY, *interventions) if name not in run]
    if missing:
        found.append(_need(figure, f"attempts of {', '.join(missing)}", HOW["routed"]))
    known = [str(name) for name in features if name in text(ds["feature"])]
    values = ds["features"].sel(feature=known).transpose("problem", "feature").values
    if failed.any() and not (failed & ~np.isnan(values).any(axis=1)).any():
        found.append(_need(figure, "features of the failed rollouts", HOW["features"]))
    return found


def _need(figure: str, needs: str, how: str) -> dict[str, str]:
    return {"figure": figure, "needs": needs, "how": how}


def _known(ds: xr.Dataset, name: str) -> bool:
    """Whether a variable says something of any observed rollout."""
    if name not in ds:
        return False
    values = ds[name].sel({INTERVENTION: NONE}) if INTERVENTION in ds[name].dims else ds[name]
    return bool((values.values >= 0).any())


def more_problems(n: int, low: float, high: float) -> list[dict[str, str]]:
    """Return how many problems the lift over retry needs; nothing where these are enough.

    Parameters
    ----------
    n : int
        Problems that the lift is of.
    low, high : float
        Its 95 % interval, as fractions.

    Notes
    -----
    An interval shrinks as 1 / sqrt(n). Problems of the same kind are enough once half of it is no
    wider than `TOLD`, or once it leaves 0 out. An interval without a width says nothing: all
    problems were alike.

    Examples
    --------
    An interval of 24 points either way is to shrink to 3: by 8, which takes 64 times the problems.

    >>> more_problems(12, -0.24, 0.24)[0]["needs"].partition(":")[0]
    'about 770 such problems (12 now) to tell 3 points from none'
    """
    half = (high - low) / 2
    if not (n and half > TOLD) or low > 0 or high < 0:
        return []
    wanted = n * (half / TOLD) ** 2
    digits = 10 ** max(0, math.floor(math.log10(wanted)) - 1)
    return [
        _need(
            "whether routing beats retry",
            f"about {math.ceil(wanted / digits) * digits:,} such problems ({n:,} now) to tell"
            f" {100 * TOLD:.0f} points from none: the interval is {100 * half:.0f} points either"
            " way",
            HOW["failures"],
        )
    ]


def say_needs(needs: Sequence[dict[str, str]], *, how: bool = True) -> str:
    """Return needs as sentences: what is not computed, what it needs, how to get it."""
    said = []
    for each in needs:
        way = f" ({each['how']})" if how else ""
        said.append(f"{each['figure']}: needs {each['needs']}{way}")
    return "; ".join(said)


def check_routable(
    ds: xr.Dataset,
    *,
    interventions: Sequence[str] = ROUTED,
    features: Sequence[str] = FEATURES,
) -> None:
    """Raise an `InputError` that says what routing lacks in a study, and how to get it.

    Raises
    ------
    InputError
        No failed problem, no attempts of retry or of what the rule chooses from, no features.
    """
    if "correct" not in ds or "features" not in ds:
        return
    failed = failed_units(ds)
    lacks = _routing_needs(ds, arms_run(ds), failed, interventions, features)
    if not failed.any():
        lacks = [_need("routing", f"failed problems{cut_off_hint(ds)}", HOW["failures"]), *lacks]
    if lacks:
        parts = "; ".join(f"{each['needs']} ({each['how']})" for each in lacks)
        raise InputError(
            f"routing cannot be judged on this study: it lacks {parts}."
            " rnb.evaluate_routing(study) says what can be"
        )
