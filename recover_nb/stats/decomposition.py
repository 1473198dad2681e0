"""A difference of two rates taken apart: other answers, or the same ones right more often.

docs/method.md#what-changed.
"""

from collections.abc import Sequence

import numpy as np

from recover_nb.stats.resampling import ratio

#: A group lends what so many of its problems tell together; of fewer, chance would decide.
LENDERS = 10


def decompose(
    share: np.ndarray, right: np.ndarray, groups: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take each problem's difference of two rates apart, kind by kind of answer.

    Parameters
    ----------
    share : float64 array, shape (problem, kind, 2)
        Share of the answers that are of each kind, before and after: they add up to 1 over kinds.
    right : float64 array, shape (problem, kind, 2)
        Share of the answers that are of the kind and right.
    groups : sequence of int array, shape (problem,)
        Codes of problems that are alike, the closest first: what a problem lacks is borrowed there.

    Returns
    -------
    composition, accuracy : float64 arrays, shape (problem, kind)
        What the change of shares and what the change of accuracy contribute. Over kinds and
        problems both together add up to the difference.
    borrowed : bool array, shape (problem, kind)
        Where a problem has answers of the kind on one side alone.

    Notes
    -----
    docs/method.md#what-changed. Kitagawa 1955. A kind without an answer on one side has no accuracy
    there: its change is taken as the mean change of problems that are alike and have both, weighed
    by their shares; 0 where there is none. So that an interval knows of it, what lenders differ by
    from their mean counts as often as it is borrowed; that adds nothing to any sum.

    Examples
    --------
    One problem: half of the answers were worked out and half of those right; now all are worked
    out, and three quarters right. Half of 0.5 is more work, better work is 0.75 of a quarter.

    >>> share = np.array([[[0.5, 1.0], [0.5, 0.0]]])
    >>> right = np.array([[[0.25, 0.75], [0.0, 0.0]]])
    >>> composition, accuracy, borrowed = decompose(share, right, [])
    >>> composition.tolist(), accuracy.tolist()
    ([[0.3125, -0.0]], [[0.1875, 0.0]])
    """
    known = ratio(right, share)
    change = known[..., 1] - known[..., 0]
    weight, shift = share.mean(axis=-1), share[..., 1] - share[..., 0]
    both, one = ~np.isnan(change), (share > 0).sum(axis=-1) == 1
    # With one side missing, its accuracy is the other's: no change, unless one can be borrowed.
    level = np.where(both, known.mean(axis=-1), np.where(np.isnan(known), 0.0, known).sum(axis=-1))
    composition = shift * level
    accuracy = weight * np.where(both, change, 0.0)
    waiting = one.copy()
    for codes in groups:
        loan, lent, served = _borrow(weight, change, waiting, codes)
        composition, accuracy = composition - loan - lent, accuracy + loan + lent
        waiting &= ~served
    return composition, accuracy, one


def _borrow(
    weight: np.ndarray, change: np.ndarray, waiting: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each that waits the mean change of its group; return loans, lenders' part, who got one.

    All of shape (problem, kind).
    """
    _, codes = np.unique(codes, return_inverse=True)
    member = (np.arange(codes.max(initial=-1) + 1)[:, None] == codes).astype(float)
    lends = ~np.isnan(change)
    lent = np.where(lends, weight, 0.0)
    total = member @ lent
    mean = ratio(member @ (lent * np.where(lends, change, 0.0)), total)[codes]
    enough = (member @ lends.astype(float) >= LENDERS)[codes]
    served = waiting & enough & ~np.isnan(mean)
    loan = np.where(served, weight * mean, 0.0)
    called = ratio(member @ np.where(served, weight, 0.0), total)[codes]
    deviation = np.where(lends, lent * (np.where(lends, change, 0.0) - mean), 0.0)
    return loan, np.where(lends, called * deviation, 0.0), served
