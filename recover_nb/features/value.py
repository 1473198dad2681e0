"""What the value of a prefix says: where an answer was lost, and until when it could be saved.

docs/method.md#16-prefix-value. Needs no torch: the counts come from
`recover_nb.value_map`, or from a study.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import PREFIX, PROBLEM, ROLLOUT, failed_rollouts, text
from recover_nb.core.token_text import pieces_at, pieces_of

RETRY = Intervention.RETRY.value
_NEEDED = ("value_right", "value_n", "token_id", "correct")


@checks.takes(right=checks.ARRAY, n=checks.COUNT)
def fatal_token(right: NDArray[np.integer], n: int) -> int:
    """Return the token at which most of the value is lost, counted from 0.

    Parameters
    ----------
    right : (T + 1,) int
        Right continuations among `n`, after 0, 1, ... T tokens.
    n : int
        Continuations of each prefix.

    Returns
    -------
    int
        The earliest token whose loss is within 1 / `n`, the resolution, of the largest; -1 where
        nothing is lost at any token.

    Examples
    --------
    Of 24 continuations 20 are right at first; the third token takes 15 of them at once.

    >>> fatal_token(np.array([20, 21, 18, 3, 2, 0]), 24)
    2
    >>> fatal_token(np.array([20, 14, 13, 6, 6]), 24)
    0
    """
    right = np.asarray(right)
    if right.ndim != 1 or len(right) < 2 or n < 1:
        raise InputError(
            f"right has shape {right.shape} and n is {n}; allowed: one count per prefix, two or"
            " more of them, and n of at least 1"
        )
    lost = right[:-1].astype(np.int64) - right[1:]
    return -1 if lost.max() <= 0 else int((lost >= max(lost.max() - 1, 1)).argmax())


def recoverable_until(right: NDArray[np.integer]) -> int:
    """Return the longest prefix whose value is above half of that of the empty one, in tokens.

    -1 where the empty prefix has no value.

    Examples
    --------
    >>> recoverable_until(np.array([20, 21, 18, 3, 2, 0]))
    2
    """
    right = np.asarray(right)
    above = np.flatnonzero(2 * right > right[0])
    return int(above[-1]) if right[0] > 0 else -1


@takes_study()
@checks.takes(problem=checks.DRAWS)
def recorded_value(ds: xr.Dataset, problem: int) -> xr.Dataset:
    """Return the value map of a problem's first failed rollout, as a study stores it.

    Parameters
    ----------
    ds : Dataset
        With `value_right` and `value_n`.
    problem : int
        Place along `problem`.

    Returns
    -------
    Dataset
        As `recover_nb.value_map` returns it.

    Raises
    ------
    InputError
        The study stores no value map of this problem; which problems it has, is said.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> values = rnb.recorded_value(ds, rnb.problems_with_value(ds)[0])
    >>> values["right"].dims
    ('intervention', 'prefix')
    """
    known = problems_with_value(ds)
    if problem not in known:
        some = ", ".join(map(str, known[:5])) or "none"
        raise InputError(
            f"the study stores no value map of problem {problem}; it has one of {len(known)}"
            f" problems ({some}{', ...' if len(known) > 5 else ''}); compute one with value_map"
        )
    names = [name for name in (*_NEEDED, "ended") if name in ds]
    one = ds[names].isel({PROBLEM: [problem]}).load()
    right = one["value_right"].isel({PROBLEM: 0}).transpose("intervention", PREFIX).values
    run = (right >= 0).any(1)
    size = int((right[run][0] >= 0).sum())
    first = one.isel({PROBLEM: 0, ROLLOUT: int(failed_rollouts(one)[0].argmax())})
    ids = first["token_id"].sel(intervention=Intervention.NONE.value).values[: size - 1]
    tokens = pieces_of(ids, pieces_at(first))
    arms = text(one["intervention"])[run].tolist()
    return value_dataset(right[run][:, :size], arms, int(first["value_n"]), tokens)


def value_dataset(
    right: NDArray[np.integer], interventions: list[str], n: int, tokens: Sequence[str] = ()
) -> xr.Dataset:
    """Return counts of right continuations as a Dataset: `right` on (intervention, prefix).

    The coordinate `token` is the text of each prefix's last token: empty for the empty prefix, and
    where `tokens` does not say.
    """
    variable = (("intervention", PREFIX), right.astype(np.int32))
    size = right.shape[1]
    last = ["", *tokens][:size] + [""] * (size - 1 - len(tokens))
    coords = {
        "intervention": interventions,
        PREFIX: np.arange(size),
        "token": (PREFIX, np.array(last, dtype=object)),
    }
    return xr.Dataset({"right": variable}, coords, {"n": n})


@takes_study()
def problems_with_value(ds: xr.Dataset) -> list[int]:
    """Return the places of the problems whose value map a study stores.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> bool((ds["n_failed_rollouts"][rnb.problems_with_value(ds)] > 0).all())
    True
    """
    if "value_n" not in ds:
        return []
    return np.flatnonzero(ds["value_n"].values > 0).tolist()
