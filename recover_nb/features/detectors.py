"""Do the signals point at the token where the answer was lost? Judged by the value of prefixes.

docs/method.md#16-prefix-value.
"""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Origin, Signal
from recover_nb.core.schema import failed_rollouts
from recover_nb.features.value import RETRY, fatal_token, problems_with_value

#: A detector that is this many tokens off is still near.
NEAR = 1
#: Value below this is as good as lost: a detector that comes later comes too late to act.
LOST = 0.05

JUNCTION, FIRST_FIRING, FIRST_WRONG = "junction", "first_firing", "first_wrong"
DISAGREEMENT = "first_disagreement"
#: Signals whose largest value is a detector.
PEAKS = (
    Signal.PATH_DEFORMATION,
    Signal.KL_DIVERGENCE,
    Signal.ENTROPY,
    Signal.LOGIT_VARIANCE,
)
DETECTORS = (JUNCTION, FIRST_FIRING, *(each.value for each in PEAKS), DISAGREEMENT, FIRST_WRONG)


def value_traces(ds: xr.Dataset) -> pd.DataFrame:
    """Return one row per recorded value map: where the answer was lost, and where signals point.

    Parameters
    ----------
    ds : Dataset
        With value maps, signals, `first_wrong` and `wrong_step_start`.

    Returns
    -------
    DataFrame
        ``problem``, ``task``, ``origin``, ``n_tokens``, ``start_value`` (of the empty prefix),
        ``fatal`` (-1 where nothing is lost at any token), ``step_start`` and ``step_end`` (the
        first wrong step, -1 where there is none), one column for each of `DETECTORS` (the token it
        points at, -1 nowhere), and ``lost_from``: the shortest prefix from which on the value stays
        below `LOST`.

    Raises
    ------
    InputError
        The study stores no value map.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> frame = value_traces(rnb.load_study())
    >>> bool((frame["fatal"] < frame["n_tokens"]).all())
    True
    """
    places = problems_with_value(ds)
    if not places:
        raise InputError(
            "the study stores no value map; run it with value_problems above 0, or compute one with"
            " rnb.value_map"
        )
    names = [each.value for each in PEAKS]
    needed = ["value_right", "value_n", "n_tokens", "origin", "first_wrong", "wrong_step_start"]
    needed += ["junction", "first_firing", "alternative_token_id", "correct", "ended", *names]
    missing = [name for name in needed if name not in ds]
    if missing:
        raise InputError(f"no variable {', '.join(missing)} in the study; detectors are judged by")
    ds = ds[needed].isel(problem=places).load()
    first = failed_rollouts(ds).argmax(1)
    observed = ds.sel(intervention=Intervention.NONE.value)
    rows = []
    for i, place in enumerate(places):
        one = observed.isel(problem=i, rollout=int(first[i]))
        right = ds["value_right"].isel(problem=i).sel(intervention=RETRY).values
        length, n = int(one["n_tokens"]), int(one["value_n"])
        right = right[: length + 1]
        alive = np.flatnonzero(right >= LOST * n)
        row = {
            "problem": place,
            "task": str(one["task"].values),
            "origin": str(one["origin"].values),
            "n_tokens": length,
            "start_value": right[0] / n,
            "fatal": fatal_token(right, n),
            "lost_from": int(alive[-1]) + 1 if len(alive) else 0,
            "step_start": int(one["wrong_step_start"]),
            "step_end": int(one["first_wrong"]),
            JUNCTION: int(one["junction"]),
            FIRST_FIRING: int(one["first_firing"]),
            FIRST_WRONG: int(one["first_wrong"]),
            DISAGREEMENT: _first_disagreement(one, length),
        }
        row |= {name: int(one[name].values[:length].argmax()) for name in names}
        rows.append(row)
    return pd.DataFrame(rows)


def _first_disagreement(one: xr.Dataset, length: int) -> int:
    """Return the first token at which the two models' likeliest tokens differ, -1 nowhere."""
    likeliest = one["alternative_token_id"].isel(alternative=0).transpose("token", "role").values
    differ = likeliest[:length, 0] != likeliest[:length, 1]
    return int(differ.argmax()) if differ.any() else -1


@takes_study()
def judge_detectors(ds: xr.Dataset) -> pd.DataFrame:
    """Judge how well detectors find the fatal token and first wrong step, compared with chance.

    docs/method.md#16-prefix-value.

    Parameters
    ----------
    ds : Dataset
        See `value_traces`. Traces in which nothing is lost at any token are left out.

    Returns
    -------
    DataFrame
        One row a detector: ``detector``, ``traces``, ``points`` (share in which it points
        anywhere), ``near`` (share within one token of the fatal token), ``near_chance`` (what a
        token drawn at random from the same trace would reach), ``distance`` (median, in tokens;
        negative: before the fatal token), ``too_late`` (share that point where the value is lost
        already), ``in_step`` and ``in_step_chance`` (share inside the first wrong step, of slips).
        A detector that points nowhere is neither near nor in the step.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rnb.judge_detectors(rnb.load_study())["detector"].tolist()[:2]
    ['junction', 'first_firing']
    """
    return detector_rows(value_traces(ds))


def detector_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `judge_detectors` of the rows of `value_traces`."""
    frame = frame[frame["fatal"] >= 0]
    slips = frame[frame["origin"] == Origin.SLIP]
    return pd.DataFrame([_judge(frame, slips, name) for name in DETECTORS])


def _judge(frame: pd.DataFrame, slips: pd.DataFrame, name: str) -> dict:
    at, fatal, length = (frame[each].to_numpy() for each in (name, "fatal", "n_tokens"))
    points = at >= 0
    low = np.maximum(fatal - NEAR, 0)
    high = np.minimum(fatal + NEAR, length - 1)
    place, start, end = (slips[each].to_numpy() for each in (name, "step_start", "step_end"))
    return {
        "detector": name,
        "traces": len(frame),
        "points": _mean(points),
        "near": _mean(points & (np.abs(at - fatal) <= NEAR)),
        "near_chance": _mean((high - low + 1) / length),
        "distance": float(np.median((at - fatal)[points])) if points.any() else np.nan,
        "too_late": _mean((at >= frame["lost_from"].to_numpy())[points]),
        "slips": len(slips),
        "in_step": _mean((place >= start) & (place <= end)),
        "in_step_chance": _mean((end - start + 1) / slips["n_tokens"].to_numpy()),
    }


def _mean(values: np.ndarray) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def fatal_in_step(ds: xr.Dataset) -> dict[str, float]:
    """Return in how many slips the fatal token lies in the first wrong step.

    Returns
    -------
    dict
        ``slips`` (with a fatal token), ``inside``, ``share``, and ``without``: slips in which no
        token loses anything, because the problem had no value to begin with or kept it.
    """
    return slips_in_step(value_traces(ds))


def slips_in_step(frame: pd.DataFrame) -> dict:
    """Return `fatal_in_step` of the rows of `value_traces`."""
    slips = frame[frame["origin"] == Origin.SLIP]
    lost = slips[slips["fatal"] >= 0]
    inside = (lost["fatal"] >= lost["step_start"]) & (lost["fatal"] <= lost["step_end"])
    return {
        "slips": len(lost),
        "inside": int(inside.sum()),
        "share": float(inside.mean()) if len(lost) else float("nan"),
        "without": len(slips) - len(lost),
    }
