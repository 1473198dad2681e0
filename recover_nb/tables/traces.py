"""One failed trace: its tokens, signals and junction, and what each intervention made of a twin."""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Regime, Signal
from recover_nb.core.schema import failed_rollouts
from recover_nb.core.token_text import pieces_at, pieces_of
from recover_nb.tables.kit import per_rollout

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value
#: What an example needs stored.
NEEDED = (
    "token_id",
    "n_tokens",
    "correct",
    "fired_at",
    "junction",
    "has_signals",
    Signal.DEMOTION_PRESSURE.value,
)


def trace_signals(
    ds: xr.Dataset, problem: int, rollout: int, *, pieces: dict[int, str] | None = None
) -> pd.DataFrame:
    """Return the per-token signals of one observed rollout.

    Parameters
    ----------
    ds : Dataset
        A study with signals.
    problem, rollout : int
        Places along the dimensions.
    pieces : dict of int to str, optional
        Text by token id; ids are shown without it.

    Returns
    -------
    DataFrame
        One row a signal and token: ``signal``, ``position`` (from 0), ``token_id``, ``token``
        (text), ``value``, ``is_junction``, and ``junction``: the position at the junction's own
        row, else NaN.

    Raises
    ------
    InputError
        If the study stores no signals for this rollout.
    """
    names = [name.value for name in Signal if name.value in ds]
    if not names or "token_id" not in ds:
        raise InputError(
            "the study stores no signals and tokens; compute them with compute_signals"
        )
    one = ds.isel(problem=problem, rollout=rollout)
    if "has_signals" in ds and not int(one["has_signals"]):
        kept = np.flatnonzero(ds["has_signals"].isel(problem=problem).to_numpy()).tolist()
        raise InputError(
            f"no signals are stored for rollout {rollout} of problem {problem}; stored:"
            f" {kept or 'none'}"
        )
    n = int(one["n_tokens"].sel(intervention=NONE))
    ids = one["token_id"].sel(intervention=NONE).to_numpy()[:n]
    pressure = one[Signal.DEMOTION_PRESSURE.value].to_numpy()[:n]
    place = int(one["junction"]) if "junction" in ds else int(np.argmax(pressure)) if n else -1
    signals = {name: one[name].to_numpy()[:n].astype(float) for name in names}
    return signal_rows(ids, pieces_of(ids, pieces or {}), signals, place)


def signal_rows(
    token_id: np.ndarray, tokens: list[str], signals: dict[str, np.ndarray], junction: int
) -> pd.DataFrame:
    """Return the signals of a trace as rows of `trace_signals`; none for a trace without any."""
    position = np.arange(len(tokens))
    at = position == junction
    base = {"position": position, "token_id": token_id, "token": tokens}
    base |= {"is_junction": at, "junction": np.where(at, position, np.nan)}
    frames = [
        pd.DataFrame({"signal": name, **base, "value": values}) for name, values in signals.items()
    ]
    columns = ["signal", "position", "token_id", "token", "value", "is_junction", "junction"]
    return (
        pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
    )


@takes_study()
def twins(
    ds: xr.Dataset, problem: int, rollout: int, *, pieces: dict[int, str] | None = None
) -> pd.DataFrame:
    """Return what each intervention made of one attempt.

    Twins share their random numbers until one acts.

    Parameters
    ----------
    ds : Dataset
        A study with tokens.
    problem, rollout : int
        Places along the dimensions.
    pieces : dict of int to str, optional
        Text by token id; that of the study by default.

    Returns
    -------
    DataFrame
        One row per intervention that was run (``none`` left out): ``intervention``, ``correct``
        (bool), ``fired_at`` (first changed position, -1 = never), ``n_tokens``, ``shared`` (tokens
        equal to retry's from the start), ``before`` and ``after``: the text up to there and from
        there on.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> example = rnb.tables.choose_example(ds)
    >>> twins = rnb.tables.twins(ds, example["problem"], example["twin"])
    >>> twins[["intervention", "correct", "fired_at", "shared"]].head(4)
            intervention  correct  fired_at  shared
    0              retry    False        -1      11
    1        temperature    False         0      11
    2  local_temperature    False         6      11
    3       sparse_steer     True         6       6
    """
    one = ds[["token_id", "n_tokens", "correct", "fired_at"]].isel(problem=problem, rollout=rollout)
    pieces = pieces_at(one) if pieces is None else pieces
    length = {
        str(name): int(n)
        for name, n in zip(one["intervention"].values, one["n_tokens"].values, strict=True)
    }
    retry = one["token_id"].sel(intervention=RETRY).to_numpy()[: length[RETRY]]
    rows = []
    for name, n in length.items():
        if name == NONE or not n:
            continue
        each = one.sel(intervention=name)
        ids = each["token_id"].to_numpy()[:n]
        both = min(n, len(retry))
        apart = np.flatnonzero(ids[:both] != retry[:both])
        shared = int(apart[0]) if len(apart) else both
        text = pieces_of(ids, pieces)
        row = {
            "intervention": name,
            "correct": int(each["correct"]) == 1,
            "fired_at": int(each["fired_at"]),
        }
        row |= {"n_tokens": n, "shared": shared}
        rows.append(
            row | {"before": _join(text[:shared], pieces), "after": _join(text[shared:], pieces)}
        )
    columns = ["intervention", "correct", "fired_at", "n_tokens", "shared", "before", "after"]
    return pd.DataFrame(rows, columns=columns)


def _join(text: list[str], pieces: dict[int, str]) -> str:
    return ("" if pieces else " ").join(text)


@takes_study()
def choose_example(ds: xr.Dataset) -> dict[str, int] | None:
    """Choose a failed trace that shows a rescue: instructive, and by no means typical.

    Prefers a steerable_hard problem with an attempt that fails under retry and succeeds under
    ``sparse_steer`` once that fired; of equals, the shortest retry.

    Returns
    -------
    dict or None
        ``problem``; ``rollout``, an observed failed one with stored signals; ``twin``, the attempt
        to compare. None where the study stores no signals.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> example = rnb.tables.choose_example(ds)
    >>> attempt = ds["correct"].isel(problem=example["problem"], rollout=example["twin"])
    >>> attempt.sel(intervention=["retry", "sparse_steer"]).values.tolist()
    [0, 1]
    """
    if any(name not in ds for name in NEEDED) or NONE not in ds["intervention"].values:
        return None
    seen = (ds["has_signals"] == 1) & (ds["junction"] >= 0)
    seen = seen.transpose("problem", "rollout").to_numpy() & failed_rollouts(ds)
    retry, length = (per_rollout(ds, name, RETRY) for name in ("correct", "n_tokens"))
    score = np.where(length > 0, 1.0, 0.0) + (retry == 0)
    steer = Intervention.SPARSE_STEER.value
    if steer in ds["intervention"].values:
        right, fired = (per_rollout(ds, name, steer) for name in ("correct", "fired_at"))
        score += 4.0 * ((retry == 0) & (right == 1) & (fired > 0))
    regime = ds["regime"].values.astype(str) if "regime" in ds else np.full(len(seen), "")
    score += 2.0 * (regime == Regime.STEERABLE_HARD)[:, None]
    # Shorter is easier to read, and never outweighs what the example shows.
    score -= length / (length.max(initial=0) + 1.0)
    score[(length == 0) | ~seen.any(axis=1)[:, None]] = -np.inf
    if not np.isfinite(score).any():
        return None
    problem, twin = np.unravel_index(int(np.argmax(score)), score.shape)
    return {"problem": int(problem), "rollout": int(np.argmax(seen[problem])), "twin": int(twin)}
