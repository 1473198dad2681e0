"""What failed rollouts say without their signals: text, length, number, how likely they were."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import (
    ALTERNATIVE,
    MODELS,
    PROBLEM,
    ROLE,
    ROLLOUT,
    TOKEN,
    failed_rollouts,
    text,
)
from recover_nb.core.token_text import pieces_in
from recover_nb.features.features import DEFAULT_WINDOW, floor_of, rollout_features, window_of

#: All failed rollouts of a problem, which its features are means over, or the first alone.
ROLLOUTS = ("all", "first")
#: Between rollouts, and between a prompt and what follows.
SEPARATOR = "\n\n"
#: Place of the specialist among the models whose likeliest tokens are stored.
SPECIALIST = MODELS.index("specialist")
#: Tokens that stand for no text.
_SILENT = ("<pad>", "<eos>")
#: Longest text kept of a problem: n-grams of more say little that is new, and take long.
MAX_CHARACTERS = 50_000


def rollouts_to_read(ds: xr.Dataset, rollouts: str = "all") -> np.ndarray:
    """Say which observed rollouts of each problem failed.

    Parameters
    ----------
    ds : Dataset
        With ``correct`` and ``n_tokens`` (problem, rollout, intervention).
    rollouts : {"all", "first"}
        All, or the first of each problem.

    Returns
    -------
    bool array, shape (problem, rollout)

    Raises
    ------
    InputError
        If `rollouts` is unknown or the study stores no traces.
    """
    if rollouts not in ROLLOUTS:
        raise InputError(f"rollouts is {rollouts!r}; allowed: {', '.join(ROLLOUTS)}")
    missing = [name for name in ("token_id", "correct", "n_tokens") if name not in ds]
    if missing:
        raise InputError(
            f"the study stores no {missing[0]} (a profile table holds no traces), so there is no"
            " text to read; pass texts=, one string per problem"
        )
    failed = failed_rollouts(ds) & (_observed(ds, "n_tokens") > 0)
    return failed & (failed.cumsum(axis=1) == 1) if rollouts == "first" else failed


@takes_study()
@checks.takes(rollouts=checks.one_of(ROLLOUTS), prompt=checks.FLAG, tokenizers=checks.MAPPING)
def failed_text(
    ds: xr.Dataset,
    *,
    rollouts: str = "all",
    prompt: bool = False,
    tokenizers: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Return the text of the failed rollouts of each problem.

    Parameters
    ----------
    ds : Dataset
        A study with traces.
    rollouts : {"all", "first"}
        All failed rollouts, one after the other, or the first.
    prompt : bool
        Put the prompt in front.
    tokenizers : mapping of str to object, optional
        For studies that do not store the text of their tokens: by family, an object with
        ``decode(list of int) -> str`` (a Hugging Face tokenizer), or such a function. The shipped
        families need none, and no torch.

    Returns
    -------
    object array of str, shape (problem,)
        Empty where no rollout failed; cut off after `MAX_CHARACTERS`. End and padding tokens are
        left out.

    Raises
    ------
    InputError
        If the study stores no traces or a family's tokens cannot be read.

    Examples
    --------
    The prompt and the first failed answer to it.

    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=[1])
    >>> rnb.failed_text(ds, rollouts="first", prompt=True)[0].split()
    ['((70+17)*3)%100', '70+17=87', '87*3=64', '#64']
    """
    failed = rollouts_to_read(ds, rollouts)
    token = _observed(ds, "token_id")
    length = _observed(ds, "n_tokens")
    units = list(zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True))
    has_failed = np.flatnonzero(failed.any(axis=1)).tolist()
    readers = {
        unit: _reader(ds, *unit, tokenizers or {})
        for unit in sorted({units[problem] for problem in has_failed})
    }
    prompts = text(ds["prompt"]) if prompt else None
    out = np.full(len(failed), "", dtype=object)
    for problem in has_failed:
        read = readers[units[problem]]
        parts = [] if prompts is None else [str(prompts[problem])]
        for rollout in np.flatnonzero(failed[problem]):
            parts.append(read(token[problem, rollout, : length[problem, rollout]]))
            if sum(map(len, parts)) > MAX_CHARACTERS:
                break
        out[problem] = SEPARATOR.join(parts)[:MAX_CHARACTERS]
    return out


def failed_numbers(ds: xr.Dataset, rollouts: str = "all") -> dict[str, np.ndarray]:
    """Return numbers a reader of the failed rollouts has without their signals' junctions.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    rollouts : {"all", "first"}
        What `length`, `entropy` and `features_first` are taken over.

    Returns
    -------
    dict of str to float64 array, shape (problem, column)
        What the study stores of: ``failures``, failed rollouts of the problem; ``length``, tokens
        (mean over rollouts); ``entropy``, the specialist's mean entropy in nat, which is what minus
        the log-probability of its tokens is expected to be; ``log_probability``, mean over the
        tokens of the first failed rollout at temperature 1, in nat, where of a token beyond those
        stored only the upper bound is known; ``features_first``, the three features of the first
        failed rollout alone (for ``rollouts="first"``). NaN where unknown.

    Notes
    -----
    A study does not store the log-probability of every token: hence entropy, and the bound.
    """
    out = {}
    if "n_failed_rollouts" in ds:
        out["failures"] = ds["n_failed_rollouts"].to_numpy().astype(float)[:, None]
    if any(name not in ds for name in ("token_id", "correct", "n_tokens")):
        return out
    failed = rollouts_to_read(ds, rollouts)
    length = _observed(ds, "n_tokens")
    out["length"] = _row_means(length.astype(float), failed)[:, None]
    signalled = failed & _with_signals(ds, failed)
    if Signal.ENTROPY.value in ds:
        entropy = _signal(ds, Signal.ENTROPY)
        inside = np.arange(entropy.shape[-1]) < length[..., None]
        out["entropy"] = _row_means(_row_means(entropy, inside), signalled)[:, None]
    if "alternative_token_id" in ds and "alternative_log_probability" in ds:
        out["log_probability"] = _log_probability(ds)[:, None]
    pair = (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
    if rollouts == "first" and all(name.value in ds for name in pair):
        window = window_of(ds) if "features" in ds else DEFAULT_WINDOW
        pressure, variance = (_signal(ds, name) for name in pair)
        features = rollout_features(
            pressure,
            variance,
            np.where(signalled, length, 0),
            window=window,
            floor=floor_of(ds),
        )
        out["features_first"] = _row_means(np.moveaxis(features, -1, 0), signalled).T
    return out


def _observed(ds: xr.Dataset, name: str) -> np.ndarray:
    """Return a variable of observed rollouts, (problem, rollout) or (problem, rollout, token)."""
    observed = ds[name].sel(intervention=Intervention.NONE.value)
    return observed.transpose(PROBLEM, ROLLOUT, ...).to_numpy()


def _signal(ds: xr.Dataset, name: Signal) -> np.ndarray:
    return ds[name.value].transpose(PROBLEM, ROLLOUT, TOKEN).to_numpy()


def _with_signals(ds: xr.Dataset, failed: np.ndarray) -> np.ndarray:
    if "has_signals" not in ds:
        return np.ones_like(failed)
    return ds["has_signals"].transpose(PROBLEM, ROLLOUT).to_numpy() == 1


def _row_means(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is used; NaN where nothing is."""
    count = np.broadcast_to(used, values.shape).sum(axis=-1)
    total = np.where(used, values, 0.0).sum(axis=-1, dtype=float)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _log_probability(ds: xr.Dataset) -> np.ndarray:
    """Return the specialist's mean log-probability of the first failed rollout, (problem,).

    The mean is over its tokens.
    """
    first = rollouts_to_read(ds, "first")
    place = first.argmax(axis=1)
    problem = np.arange(len(first))
    token = _observed(ds, "token_id")[problem, place]
    length = np.where(first.any(axis=1), _observed(ds, "n_tokens")[problem, place], 0)
    axes = (PROBLEM, TOKEN, ALTERNATIVE)
    specialist = ds[["alternative_token_id", "alternative_log_probability"]].isel(
        {ROLE: SPECIALIST}
    )
    ids, scores = (specialist[name].transpose(*axes).to_numpy() for name in specialist.data_vars)
    hit = (ids == token[..., None]) & (ids >= 0)
    # A token beyond those stored is no likelier than the last of them, nor than all that they
    # leave.
    rest = np.log(np.maximum(1.0 - np.where(ids >= 0, np.exp(scores), 0.0).sum(axis=-1), 1e-8))
    bound = np.minimum(np.where(ids >= 0, scores, 0.0).min(axis=-1), rest)
    score = np.where(hit.any(axis=-1), np.where(hit, scores, 0.0).sum(axis=-1), bound)
    return _row_means(score, np.arange(token.shape[1]) < length[:, None])


def _reader(
    ds: xr.Dataset, family: str, method: str, tokenizers: Mapping[str, Any]
) -> Callable[[np.ndarray], str]:
    """Return what turns a unit's token ids into text."""
    if family in tokenizers:
        given = tokenizers[family]
        decode = getattr(given, "decode", given)
        if not callable(decode):
            raise InputError(
                f"the tokenizer of {family} has type {type(given).__name__}; allowed: an object"
                " with decode(list of int), or a function of a list of int that returns str"
            )
        return lambda ids: str(decode(ids.tolist()))
    pieces = pieces_in(ds, family, method)
    if not pieces:
        raise InputError(
            f"the tokens of family {family!r} cannot be turned into text here; pass"
            f" tokenizers={{{family!r}: tokenizer}}, such as"
            " transformers.AutoTokenizer.from_pretrained(...), or texts="
        )
    silent = {piece: "" for piece in _SILENT}
    return lambda ids: "".join(
        silent.get(piece, piece) for piece in map(pieces.get, ids.tolist()) if piece is not None
    )
