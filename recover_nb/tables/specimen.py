"""What the failures of a study are made of: who fails, how, and what is best for them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Origin
from recover_nb.core.schema import failed_rollouts, failed_units, text
from recover_nb.routing.populations import (
    FAILED,
    choose_populations,
    first_of,
    majority_vote,
    observed_rollouts,
)
from recover_nb.tables.kit import mean, per_rollout
from recover_nb.tables.study import NONE, cells_of, rescue_by_intervention

#: A failed rollout of more tokens than this is worked out at length.
LONG = 12
#: Failed rollouts whose origin is not stored.
UNKNOWN = "not known"


@takes_study()
def failures_by_cell(ds: xr.Dataset, *, total: bool = False) -> pd.DataFrame:
    """Say who fails in each cell, how long the failed answers are, and where they went wrong.

    docs/method.md#origins and docs/method.md#cut-off.

    Parameters
    ----------
    ds : Dataset
        A study with rollouts.
    total : bool
        Add a last row ``all``.

    Returns
    -------
    DataFrame
        One row per cell: ``cell``, ``problems``, ``failed``; ``pass_at_1`` of the specialist and
        ``ancestor_pass_at_1`` over all problems; ``wrong`` (observed rollouts that are wrong),
        ``cut_off`` (those of them that the length limit cut off, which are no failures of
        reasoning) and ``failures`` (the others); of these the median length ``tokens``, the share
        ``long`` of more than 12 tokens and the share of each origin: ``guess``, ``slip``,
        ``misread``, ``lost``, ``format`` and ``not_known``. NaN for what is not stored.

    Raises
    ------
    InputError
        The study stores no rollouts.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> found = rnb.tables.failures_by_cell(rnb.load_study(), total=True).iloc[-1]
    >>> bool(found["wrong"] == found["failures"] + found["cut_off"])
    True
    """
    if "correct" not in ds:
        raise InputError(
            "the study stores no rollouts (a profile table has rates only), so how its failures"
            " came about is not known"
        )
    correct = per_rollout(ds, "correct", NONE)
    failed, wrong, units = failed_rollouts(ds), correct == 0, failed_units(ds)
    length = per_rollout(ds, "n_tokens", NONE) if "n_tokens" in ds else None
    origin = _origins(ds)
    ancestor = ds["ancestor_pass_at_1"].values if "ancestor_pass_at_1" in ds else None
    rows = []
    for cell, inside in cells_of(ds, total):
        mine = failed[inside]
        row = {
            "cell": cell,
            "problems": len(inside),
            "failed": int(units[inside].sum()),
            "pass_at_1": mean(_shares_right(correct[inside])),
            "ancestor_pass_at_1": np.nan if ancestor is None else mean(ancestor[inside]),
            "wrong": int(wrong[inside].sum()),
            "cut_off": int((wrong[inside] & ~mine).sum()),
            "failures": int(mine.sum()),
        }
        lengths = np.zeros(0) if length is None else length[inside][mine]
        row["tokens"] = float(np.median(lengths)) if lengths.size else np.nan
        row["long"] = float((lengths > LONG).mean()) if lengths.size else np.nan
        for each in (*REASONS, UNKNOWN):
            share = (origin[inside][mine] == each).mean() if mine.any() else np.nan
            row[each.replace(" ", "_")] = float(share)
        rows.append(row)
    return pd.DataFrame(rows)


def _shares_right(correct: np.ndarray) -> np.ndarray:
    """Return each problem's share of right rollouts, NaN where none is known."""
    known = (correct >= 0).sum(1)
    return np.where(known > 0, (correct == 1).sum(1) / np.maximum(known, 1), np.nan)


#: Origins of failures of reasoning.
REASONS = tuple(each.value for each in Origin if each is not Origin.CUT_OFF)


def _origins(ds: xr.Dataset) -> np.ndarray:
    """Return the origin of each observed rollout, (problem, rollout) str."""
    if "origin" not in ds:
        shape = ds.sizes["problem"], ds.sizes["rollout"]
        return np.full(shape, UNKNOWN)
    stored = text(ds["origin"].sel(intervention=NONE).transpose("problem", "rollout"))
    return np.where(stored == "", UNKNOWN, stored)


@takes_study()
def rescue_by_population(
    ds: xr.Dataset,
    populations: Sequence[str] | None = None,
    *,
    votes: int = 5,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return each intervention's rescue rate over one population after the other.

    docs/method.md#populations and docs/method.md#majority.

    Parameters
    ----------
    ds : Dataset
    populations : sequence of str, optional
        By default those that the study allows, the headline first.
    votes : int
        Answers of the vote that stands beside the interventions, where the study knows answers.
    n_bootstrap, seed : int
        Resamples of the questions within tasks, and their seed.

    Returns
    -------
    DataFrame
        ``population``, then as `rescue_by_intervention` over all cells; the intervention
        ``majority_5`` is the vote.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rescue = rnb.tables.rescue_by_population(rnb.load_study(), n_bootstrap=20)
    >>> rescue.query("intervention == 'retry'")[["population", "problems", "rate"]].round(2)
            population  problems  rate
    0   failed_first_1       616  0.17
    14          failed      1190  0.49
    28  failed_first_5       414  0.04
    """
    frames = []
    for name, inside in choose_populations(ds, populations).items():
        if not inside.any():
            continue
        some = ds.isel(problem=inside)
        m = first_of(name)
        if "answer_id" in some and votes + m <= observed_rollouts(some):
            share = majority_vote(some, votes, skip=m, seed=seed)
            some = with_arm(some, f"majority_{votes}", share.values)
        frame = rescue_by_intervention(
            some,
            population=FAILED,
            total=True,
            by_cell=False,
            n_bootstrap=n_bootstrap,
            seed=seed,
        )
        frames.append(frame.drop(columns="cell").assign(population=name))
    if not frames:
        return pd.DataFrame(columns=["population", "intervention", "problems", "rate"])
    return pd.concat(frames, ignore_index=True)


def with_arm(ds: xr.Dataset, name: str, rate: np.ndarray) -> xr.Dataset:
    """Return what tables of rates need of a study, with one more arm."""
    names = ["rescue_rate", "attempts"]
    for each in ("correct", "worked"):
        names += [each] if each in ds else []
    kept = ds[names]
    more = kept.isel(intervention=[0]).assign_coords(intervention=[name])
    more = more.assign(
        rescue_rate=(("problem", "intervention"), rate[:, None]),
        attempts=(("problem", "intervention"), np.ones((len(rate), 1), np.int32)),
    )
    # A vote has no attempts of its own, and no step.
    for each in names[2:]:
        more[each] = xr.full_like(more[each], -1)
    return xr.concat([kept, more], "intervention").assign_attrs(ds.attrs)


@takes_study()
def best_arms(ds: xr.Dataset, *, splits: int = 200, seed: int = 0) -> pd.DataFrame:
    """Say which intervention rescues most in each cell, when halves of the attempts decide.

    docs/method.md#best-arms. Of each split the arm with the highest rescue rate on the first half
    is kept; the second half tells its rate. A deterministic arm has the same attempts in both.

    Parameters
    ----------
    ds : Dataset
        A study with attempts.
    splits, seed : int
        Random halves, and their seed.

    Returns
    -------
    DataFrame
        One row per cell: ``cell``, ``failed``, ``best_operator`` (the arm kept most often),
        ``share`` (of the splits), ``rate`` (mean over splits, on the other half) and
        ``retry_rate``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> bool(rnb.tables.best_arms(rnb.load_study(), splits=20)["share"].max() <= 1)
    True
    """
    names = [str(name) for name in ds["intervention"].values if name != NONE]
    right = ds["correct"].sel(intervention=names).transpose("problem", "intervention", "rollout")
    right = right.values
    used = failed_units(ds)
    rng = np.random.default_rng(seed)
    rows = []
    halves = [_halves(right, rng) for _ in range(splits)]
    retry = names.index(Intervention.RETRY.value)
    for cell, inside in cells_of(ds, total=False):
        mine = inside[used[inside]]
        if not len(mine):
            continue
        kept, rates, retried = [], [], []
        for first, second in halves:
            chosen = int(np.nanmean(first[mine], axis=0).argmax())
            kept.append(chosen)
            rates.append(np.nanmean(second[mine][:, chosen]))
            retried.append(np.nanmean(second[mine][:, retry]))
        counts = np.bincount(kept, minlength=len(names))
        rows.append(
            {
                "cell": cell,
                "failed": len(mine),
                "best_operator": names[int(counts.argmax())],
                "share": counts.max() / splits,
                "rate": float(np.mean(rates)),
                "retry_rate": float(np.mean(retried)),
            }
        )
    return pd.DataFrame(rows)


def _halves(right: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rescue rates (problem, intervention) of two random halves of the attempts.

    Twins stay together: a half holds the same attempts of every arm.
    """
    run = right >= 0
    most = int(run.any((0, 1)).sum())
    order = rng.permutation(most)
    halves = []
    for part in (order[: most // 2], order[most // 2 :]):
        there = run[:, :, part]
        n = there.sum(-1)
        won = ((right[:, :, part] == 1) & there).sum(-1)
        halves.append(np.divide(won, n, out=np.full(n.shape, np.nan), where=n > 0))
    # Few attempts say all there is to say about a deterministic arm: both halves have them all.
    few = run.sum(-1).max(0) < most
    whole = np.divide(
        (right == 1).sum(-1), run.sum(-1), out=np.full(halves[0].shape, np.nan), where=run.any(-1)
    )
    first, second = (np.where(few, whole, half) for half in halves)
    return first, second
