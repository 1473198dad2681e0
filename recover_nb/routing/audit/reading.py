"""Finds outcomes in a table: one row per attempt, or one per problem and a column per arm.

Router projects publish both forms. What a column is, is told by its name; what cannot be told is
asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import PROBLEM, cell_names, text
from recover_nb.routing.audit.columns import (
    NAMES,
    NO_ARM,
    find_column,
    listed,
    looks_like_scores,
    numbers_of,
    plain_name,
    scores_of,
    split_column,
    texts,
)
from recover_nb.routing.audit.outcomes import Matrix
from recover_nb.routing.rescue import with_rates
from recover_nb.routing.table import COSTS, mean_costs

WHAT = (
    "outcomes as one row per attempt (problem, arm, correct[, cost]) or one row per problem and one"
    " column per arm"
)


def matrix_of(
    source: Any,
    *,
    router: str | Sequence[str] | Mapping[str, str] | pd.Series | None = None,
    default: str | None = None,
    attempts: int | None = None,
    arms: Sequence[str] | None = None,
) -> Matrix:
    """Read outcomes and the router's choices; see `audit` for the arguments.

    Raises
    ------
    InputError
        No outcomes that can be told, or a choice that is no arm: which column or problem, what is
        allowed.
    """
    if isinstance(source, xr.Dataset):
        return _of_study(source, router, default, arms)
    if not isinstance(source, pd.DataFrame):
        hint = "; read the file first, with rnb.read_outcomes" if isinstance(source, str) else ""
        raise InputError(
            f"outcomes must be a DataFrame with {WHAT}, or a study, got"
            f" {checks.shown(source)}{hint}"
        )
    if not len(source):
        raise InputError(f"the table of outcomes has no rows; give {WHAT}")
    frame = source.rename(columns=str)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"the column {twice[0]!r} is there twice; rename or drop one of them")
    column = find_column(frame.columns, "arm")
    if column is not None and find_column(frame.columns, "correct") is not None:
        return _long(frame, column, router, default, attempts, arms)
    return _wide(frame, router, default, attempts, arms)


# --- one row per attempt
# ------------------------------------------------------------------------------------------


def _long(
    frame: pd.DataFrame,
    arm: str,
    router: Any,
    default: str | None,
    attempts: int | None,
    arms: Sequence[str] | None,
) -> Matrix:
    if attempts is not None:
        raise InputError(
            "attempts= goes with one column per arm; here each row is one attempt, or a column"
            " 'attempts' says how many it stands for"
        )
    problem = _needed(frame, "problem", other_than=(arm,))
    score = scores_of(frame[str(find_column(frame.columns, "correct"))], 1.0)
    count = find_column(frame.columns, "attempts")
    made = (
        np.ones(len(frame)) if count is None else numbers_of(frame[count], "a number of attempts")
    )
    if (made < 0).any() or (made != np.rint(made)).any():
        raise InputError(f"column {count!r}: allowed are whole numbers of attempts, 0 or more")
    cost = find_column(frame.columns, "cost")
    rows = pd.DataFrame(
        {
            "problem": texts(frame[problem]),
            "arm": texts(frame[arm]),
            "wins": score * made,
            "trials": made,
        }
    )
    if cost is not None:
        rows["cost"] = numbers_of(frame[cost], "a cost", low=0.0) * made
    empty = (rows["arm"] == "") | (rows["problem"] == "") | np.isnan(score)
    notes = [f"{int(empty.sum()):,} rows without problem, arm or outcome are left out"]
    chosen = _choices_of_rows(frame, rows["problem"], router)
    by_cell = _cells(frame, rows["problem"])
    rows = rows[~empty]
    if not len(rows):
        raise InputError(f"no row has a problem, an arm and an outcome; give {WHAT}")
    names = _arms(rows["arm"].unique(), arms)
    rows = rows[rows["arm"].isin(names)]
    table: Any = rows.groupby(["problem", "arm"], sort=False).sum().unstack("arm")
    order = list(dict.fromkeys(rows["problem"]))
    parts = {
        name: table[name].reindex(order).reindex(columns=names).to_numpy(float)
        for name in ("wins", "trials", *(["cost"] if cost is not None else []))
    }
    return _matrix(
        order,
        names,
        parts["wins"],
        parts["trials"],
        parts.get("cost"),
        by_cell,
        chosen,
        default,
        [notes[0]] if empty.any() else [],
    )


def _choices_of_rows(
    frame: pd.DataFrame, problems: pd.Series, router: Any
) -> dict[str, str] | None:
    """Return the arm chosen for each problem, from a column of rows or from what was given."""
    if router is None:
        found = find_column(frame.columns, "router")
        if found is None:
            return None
        router = found
    if not isinstance(router, str):
        return _given(router, list(dict.fromkeys(problems)))
    if router not in frame:
        raise InputError(
            f"router {router!r} is no column of the outcomes; allowed: {listed(frame.columns)}"
        )
    said = pd.DataFrame({"problem": problems, "arm": texts(frame[router])})
    said = said[said["arm"] != ""].drop_duplicates()
    twice = said.loc[said["problem"].duplicated(), "problem"]
    if len(twice):
        few = said.loc[said["problem"] == twice.iloc[0], "arm"].tolist()
        raise InputError(
            f"column {router!r}: problem {twice.iloc[0]!r} is routed to {few[0]!r} and to"
            f" {few[1]!r}; allowed: one arm per problem"
        )
    return dict(zip(said["problem"], said["arm"], strict=True))


# --- one row per problem
# ------------------------------------------------------------------------------------------


def _wide(
    frame: pd.DataFrame,
    router: Any,
    default: str | None,
    attempts: int | None,
    arms: Sequence[str] | None,
) -> Matrix:
    column = find_column(frame.columns, "problem")
    problems = (
        pd.Series([f"row {i}" for i in range(len(frame))])
        if column is None
        else texts(frame[column])
    )
    twice = problems[problems.duplicated()]
    if len(twice):
        raise InputError(
            f"column {column!r}: problem {twice.iloc[0]!r} is there twice; allowed: one row per"
            " problem where each arm is a column (or columns problem, arm, correct)"
        )
    routed = find_column(frame.columns, "router") if router is None else router
    chosen = (
        None if routed is None else _choices_of_rows(frame, problems.reset_index(drop=True), routed)
    )
    known = {column, routed if isinstance(routed, str) else None}
    known |= {find_column(frame.columns, "cell")}
    names = _outcome_columns(frame, {each for each in known if each}, arms)
    scores = np.stack([scores_of(frame[name], None) for name in names.values()], axis=1)
    made = _beside(frame, names, "attempts")
    if attempts is not None:
        made = np.full(scores.shape, float(attempts))
    if made is None:
        made = np.ones(scores.shape)
    # Counts of right attempts, or their share.
    right = np.nanmax(scores, initial=0.0) > 1
    if right and (scores > made).any():
        raise _no_scores(scores, made, list(names))
    wins = scores if right else scores * made
    # A share of n attempts is a whole number of them but for rounding.
    near = np.rint(wins)
    wins = np.where(abs(wins - near) < 1e-6 * np.maximum(made, 1), near, wins)
    made = np.where(np.isnan(wins), 0.0, made)
    cost = _beside(frame, names, "cost")
    return _matrix(
        list(problems),
        list(names),
        wins,
        made,
        None if cost is None else cost * made,
        _cells(frame, problems.reset_index(drop=True)),
        chosen,
        default,
        [],
    )


def _outcome_columns(
    frame: pd.DataFrame, known: set[str], arms: Sequence[str] | None
) -> dict[str, str]:
    """Return arm to column of its outcomes."""
    found: dict[str, str] = {}
    for name in frame.columns:
        if name in known or plain_name(name) in NO_ARM:
            continue
        arm, kind = split_column(name)
        if kind not in (None, "correct"):
            continue
        if arms is None and not looks_like_scores(frame[name]):
            continue
        if arm in found:
            raise InputError(
                f"columns {found[arm]!r} and {name!r} are both outcomes of {arm!r}; allowed: one"
                " column per arm; drop one of them"
            )
        found[arm] = name
    if arms is not None:
        arms = [str(arm).strip() for arm in arms]
        missing = [arm for arm in arms if arm not in found]
        if missing:
            raise InputError(
                f"arms: {missing[0]!r} is no column of the outcomes; allowed: {listed(found)}"
            )
        found = {arm: found[arm] for arm in arms}
    if len(found) < 2:
        raise InputError(
            f"{len(found)} columns hold outcomes of an arm, of {listed(frame.columns)}; allowed:"
            " at least two columns of 0 and 1 or of rates, or columns problem, arm and correct;"
            " name them with arms="
        )
    return found


def _beside(frame: pd.DataFrame, names: dict[str, str], kind: str) -> np.ndarray | None:
    """Return what stands beside the outcomes of every arm, (problem, arm); None where nothing."""
    found = {
        arm: name
        for name in frame.columns
        for arm, held in [split_column(name)]
        if held == kind and arm in names
    }
    if not found:
        return None
    missing = [arm for arm in names if arm not in found]
    if missing:
        raise InputError(
            f"{kind} is given for {listed(found)} and not for {missing[0]!r}; allowed: for all"
            " arms or for none"
        )
    return np.stack(
        [numbers_of(frame[found[arm]], f"{kind} of {arm}", low=0.0) for arm in names], axis=1
    )


def _no_scores(scores: np.ndarray, made: np.ndarray, names: list[str]) -> InputError:
    row, arm = (int(each[0]) for each in np.nonzero(scores > made))
    return InputError(
        f"row {row + 1}, column {names[arm]!r}: {scores[row, arm]:g} right of {made[row, arm]:g};"
        " allowed: rates of 1, or counts of right attempts with attempts= (or columns"
        f" '{names[arm]}_n')"
    )


# --- a study
# ------------------------------------------------------------------------------------------


def _of_study(
    ds: xr.Dataset, router: Any, default: str | None, arms: Sequence[str] | None
) -> Matrix:
    """Take the arms that were run on failed problems, and the routes that the study stores."""
    ds = with_rates(ds)
    names = [name for name in text(ds["intervention"]) if name != Intervention.NONE]
    made = ds["attempts"].sel(intervention=names).transpose(PROBLEM, "intervention").to_numpy()
    run = np.asarray((made > 0).any(axis=0))
    names = _arms([name for name, one in zip(names, run, strict=True) if one], arms)
    kept = ds.sel(intervention=names)
    made = kept["attempts"].transpose(PROBLEM, "intervention").to_numpy().astype(float)
    rate = kept["rescue_rate"].transpose(PROBLEM, "intervention").to_numpy()
    ids = _unit_names(ds)
    chosen = None
    if router is not None:
        chosen = (
            dict(zip(ids, text(ds[router]).tolist(), strict=True))
            if isinstance(router, str) and router in ds
            else _given(router, ids)
        )
    elif "route" in ds:
        chosen = dict(zip(ids, text(ds["route"]).tolist(), strict=True))
    failed = (made > 0).all(axis=1)
    if chosen is not None:
        failed &= np.array([bool(chosen.get(each)) for each in ids])
    if not failed.any():
        raise InputError(
            "no problem of the study has attempts of every intervention; give one that was run"
        )
    keep = np.flatnonzero(failed)
    units = [ids[i] for i in keep]
    cells = dict(zip(ids, cell_names(ds).tolist(), strict=True))
    wins = np.rint(rate[keep] * made[keep])
    if default is None and Intervention.RETRY.value in names:
        default = Intervention.RETRY.value
    return _matrix(
        units, names, wins, made[keep], _passes(kept, keep, made), cells, chosen, default, []
    )


def _passes(ds: xr.Dataset, keep: np.ndarray, made: np.ndarray) -> np.ndarray | None:
    """Return the forward passes of all attempts, (problem, arm); None where they are not stored."""
    if "correct" not in ds:
        return None
    correct = ds["correct"].transpose(PROBLEM, "rollout", "intervention").to_numpy()
    costs = mean_costs(ds, correct)
    if not set(COSTS["forward_passes"]) <= set(costs):
        return None
    passes = np.sum([costs[name] for name in COSTS["forward_passes"]], axis=0)
    return (passes * made)[keep] if (passes[keep] > 0).all() else None


def _unit_names(ds: xr.Dataset) -> list[str]:
    cells, ids = cell_names(ds).tolist(), text(ds["problem_id"]).tolist()
    return [f"{cell}/{each}" for cell, each in zip(cells, ids, strict=True)]


# --- what all have
# ------------------------------------------------------------------------------------------


def _matrix(
    problems: list[str],
    arms: list[str],
    wins: np.ndarray,
    trials: np.ndarray,
    cost: np.ndarray | None,
    cells: dict[str, str] | None,
    chosen: dict[str, str] | None,
    default: str | None,
    notes: list[str],
) -> Matrix:
    """Check, leave out problems that lack an arm, and put the default first."""
    if len(arms) < 2:
        raise InputError(f"there is one arm, {listed(arms)}; allowed: at least two")
    trials = np.nan_to_num(trials)
    full = np.asarray((trials > 0).all(axis=1)) & ~np.isnan(wins).any(axis=1)
    if cost is not None:
        full &= ~np.isnan(cost).any(axis=1)
    if chosen is not None:
        routed = np.array([bool(chosen.get(each)) for each in problems])
        unrouted = int((full & ~routed).sum())
        if unrouted:
            notes = [*notes, f"{unrouted:,} problems have no choice of the router and are left out"]
        unknown = next((chosen[p] for p in problems if chosen.get(p) and chosen[p] not in arms), "")
        if unknown:
            raise InputError(
                f"the router chose {unknown!r}, which is no arm; allowed: {listed(arms)}"
            )
        full &= routed
    lacking = int((~full).sum())
    if not full.any():
        raise InputError(
            "no problem has an outcome of every arm"
            + (" and a choice of the router" if chosen is not None else "")
            + f"; arms: {listed(arms)}; leave out the arms that were not run, with arms="
        )
    if lacking:
        notes = [*notes, f"{lacking:,} of {len(problems):,} problems lack an arm and are left out"]
    if default is None:
        default, said = arms[0], True
    else:
        said = False
        default = default.strip()
        if default not in arms:
            raise InputError(f"default {default!r} is no arm; allowed: {listed(arms)}")
    if said:
        notes = [*notes, f"the default is the first arm, {default}; another: default="]
    order = [arms.index(default), *(i for i, name in enumerate(arms) if name != default)]
    names = [arms[i] for i in order]
    kept = [each for each, one in zip(problems, full, strict=True) if one]
    wins, trials = wins[full][:, order], trials[full][:, order]
    if not np.all(wins == np.rint(wins)):
        notes = [*notes, "scores between right and wrong are taken as they are"]
    return Matrix(
        problems=np.array(kept, dtype=object),
        cells=np.array([(cells or {}).get(each, "all") for each in kept], dtype=object).astype(str),
        arms=tuple(names),
        wins=wins,
        trials=np.rint(trials).astype(np.int64),
        chosen=None if chosen is None else np.array([names.index(chosen[each]) for each in kept]),
        cost=None if cost is None else cost[full][:, order] / trials,
        notes=tuple(notes),
    )


def _arms(found: Iterable[Any], wanted: Sequence[str] | None) -> list[str]:
    names = [str(each) for each in found]
    if wanted is None:
        return names
    missing = [str(each) for each in wanted if str(each) not in names]
    if missing:
        raise InputError(f"arms: {missing[0]!r} has no outcome; allowed: {listed(names)}")
    return [str(each) for each in wanted]


def _given(router: Any, problems: list[str]) -> dict[str, str]:
    """Return choices given as a mapping, a Series by problem, or a sequence along the problems."""
    if isinstance(router, pd.Series) and not router.index.equals(pd.RangeIndex(len(router))):
        router = {str(key): str(value) for key, value in router.items()}
    if isinstance(router, Mapping):
        return {str(key): str(value) for key, value in router.items()}
    try:
        values = [str(each) for each in router]
    except TypeError:
        raise InputError(
            "router must be a column of the outcomes, one arm per problem, or a mapping from"
            f" problem to arm, got {checks.shown(router)}"
        ) from None
    if len(values) != len(problems):
        raise InputError(
            f"router has {len(values):,} choices for {len(problems):,} problems; allowed: one each,"
            " in the order of the problems, or a mapping from problem to arm"
        )
    return dict(zip(problems, values, strict=True))


def _cells(frame: pd.DataFrame, problems: pd.Series) -> dict[str, str] | None:
    column = find_column(frame.columns, "cell")
    if column is None:
        return None
    return dict(zip(problems, texts(frame[column]), strict=True))


def _needed(frame: pd.DataFrame, field: str, other_than: tuple[str, ...]) -> str:
    found = find_column([name for name in frame.columns if name not in other_than], field)
    if found is None:
        raise InputError(
            f"no column names the {field}, of {listed(frame.columns)}; allowed:"
            f" {', '.join(NAMES[field])}"
        )
    return found
