"""One failure in four steps: it fails, where it was decided, one token, and whether it was luck.

Everything is recorded in the study. Of each kind of failure below, one is told: the clearest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import PREFIX, UNIT_COORDS, cell_names, failed_rollouts, text
from recover_nb.core.titles import named
from recover_nb.core.token_text import pieces_at
from recover_nb.features.value import fatal_token, problems_with_value, recorded_value
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.rescue import proportion_interval, with_rates
from recover_nb.tables.inspection import alternatives, read_trace, stored_alternatives
from recover_nb.tables.study import rescue_by_intervention
from recover_nb.tasks.checkers import parse_answer

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value
#: Whose failures a population is made of.
_WHOSE = {"failed_first_1": "first answer failed"}
SPARSE, DENSE = Intervention.SPARSE_STEER.value, Intervention.DENSE_STEER.value
CALCULATOR, ANCESTOR = Intervention.CALCULATOR.value, Intervention.ANCESTOR.value
#: What an intervention does, of those that a story is told by.
WHAT_IT_DOES = {
    RETRY: "Another draw of the same model",
    SPARSE: "One token is drawn from model and ancestor together; the model writes the rest alone",
    DENSE: "Every token is drawn from model and ancestor together",
    CALCULATOR: "A tool writes what follows the equals sign, and the model goes on by itself",
    ANCESTOR: "The model before its last training answers instead",
}
#: Leave what comes before the token they act on as it was.
KEEPS = (SPARSE, CALCULATOR)
#: Most tokens of a trace that is told: they are read in large letters.
MAX_TOKENS = 32
#: Bars at a token: the likeliest of both models.
N_BARS = 5


@dataclass(frozen=True)
class Kind:
    """A kind of failure, and who rescues it.

    Attributes
    ----------
    name, headline : str
        For people.
    operator : str
        Whose attempts stand beside those of retry.
    belongs : callable
        Says of the figures of a problem (a row of `candidates`) whether it is of this kind.
    """

    name: str
    headline: str
    operator: str
    belongs: Callable[[pd.Series], Any]


#: In the order in which they are told.
KINDS = (
    Kind(
        "one token",
        "One wrong token decided it. Changing it saves the answer.",
        SPARSE,
        lambda row: row[SPARSE] >= 0.7 and row[RETRY] <= 0.5,
    ),
    Kind(
        "every token",
        "Help at one token is not enough here; at every token it is.",
        DENSE,
        lambda row: row[DENSE] == 1 and row[SPARSE] <= row[RETRY] + 0.1 and row[RETRY] <= 0.5,
    ),
    Kind(
        "bad luck",
        "A slip that the model seldom makes: asking again is enough.",
        RETRY,
        lambda row: row[RETRY] >= 0.8,
    ),
    Kind(
        "a sum",
        "Right reasoning, wrong sum: a calculator saves it, steering does not.",
        CALCULATOR,
        lambda row: row[CALCULATOR] >= 0.9 and row[[SPARSE, DENSE, RETRY]].le(0.1).all(),
    ),
    Kind(
        "forgotten",
        "Training made the model forget; its ancestor still knows.",
        ANCESTOR,
        lambda row: row[ANCESTOR] >= 0.5 and row[[SPARSE, DENSE, CALCULATOR, RETRY]].le(0.1).all(),
    ),
    Kind(
        "nothing helps",
        "Nothing that was tried ever rescues it.",
        SPARSE,
        lambda row: row["best"] == 0,
    ),
)


def any_failure(row: pd.Series) -> Kind:
    """Return a kind for a failure that is of none: whoever rescues it most often stands beside."""
    rates = row[[name for name in WHAT_IT_DOES if name != RETRY]].dropna()
    best = str(rates.idxmax()) if len(rates) else RETRY
    return Kind("a failure", "One failure: where it was lost, and who saves it.", best, bool)


def candidates(ds: xr.Dataset) -> pd.DataFrame:
    """List the failures that can be told: those whose value map and likeliest tokens are stored.

    Parameters
    ----------
    ds : Dataset
        A study with value maps.

    Returns
    -------
    DataFrame
        ``problem``, ``rollout`` (the first that failed), ``cell``, ``tokens``, ``fatal``, ``loss``
        (of value at the fatal token), ``best`` (the highest rescue rate of any intervention) and
        the rescue rate of each, by its name.

    Raises
    ------
    InputError
        If the study stores no value map, or no attempts of ``retry``.
    """
    places = problems_with_value(ds)
    if not places:
        raise InputError(
            "the study stores no value map, and a story shows where an answer was lost; generate"
            " with value_problems above 0"
        )
    few = ds.isel(problem=places)
    if RETRY not in text(few["intervention"]):
        raise InputError("the study has no attempts of retry, which a story sets others beside")
    stored = with_rates(few)["rescue_rate"].transpose("problem", "intervention")
    rates = pd.DataFrame(stored.values, columns=text(stored["intervention"]))
    rates = rates.drop(columns=NONE, errors="ignore")
    rates = rates.reindex(columns=list(dict.fromkeys([*rates.columns, *WHAT_IT_DOES])))
    rows = []
    counts = few["value_right"].sel(intervention=RETRY).transpose("problem", PREFIX).values
    rollouts = failed_rollouts(few).argmax(1)
    for place, rollout, prefixes, n in zip(
        places, rollouts, counts, few["value_n"].values.tolist(), strict=True
    ):
        right = prefixes[prefixes >= 0]
        fatal = fatal_token(right, n)
        rows.append(
            {
                "problem": place,
                "rollout": int(rollout),
                "tokens": len(right) - 1,
                "fatal": fatal,
                "loss": (right[fatal] - right[fatal + 1]) / n if fatal >= 0 else 0.0,
            }
        )
    frame = pd.DataFrame(rows).join(rates)
    return frame.assign(cell=cell_names(few), best=rates.max(axis="columns"))


def choose_stories(ds: xr.Dataset) -> pd.DataFrame:
    """Choose the clearest failure of each kind.

    Of a kind, among traces of at most 32 tokens: the largest loss of value at one token, then the
    shortest trace, then the first in the study. A task that was told already comes last.

    Returns
    -------
    DataFrame
        As `candidates`, one row per kind that the study has, with ``kind``, ``of``, how many of
        that kind there are, and ``rank``: its place among them by loss, then by length. Where the
        study has none of these kinds, the failure that lost most, without a kind.
    """
    frame = candidates(ds)
    rows, told = [], []
    for kind in KINDS:
        members = frame[frame.apply(kind.belongs, axis=1)]
        short = members[members["tokens"] <= MAX_TOKENS]
        if not len(short):
            continue
        task = short["cell"].str.rpartition("|")[2]
        again = task.map(told.count)
        order = pd.DataFrame({"again": again, "loss": -short["loss"], "tokens": short["tokens"]})
        best = order.sort_values(["again", "loss", "tokens"], kind="stable").index[0]
        told.append(task[best])
        rows.append({**short.loc[best], **_standing(members, best), "kind": kind.name})
    if not rows:
        best = frame.sort_values(["loss", "tokens"], ascending=[False, True]).index[0]
        rows = [{**frame.loc[best], **_standing(frame, best), "kind": ""}]
    return pd.DataFrame(rows)


def _standing(members: pd.DataFrame, place: int) -> dict[str, int]:
    """Say how many failures there are, and which of them this is by loss, then by length."""
    ordered = members.sort_values(["loss", "tokens"], ascending=[False, True], kind="stable")
    return {"of": len(members), "rank": ordered.index.tolist().index(place) + 1}


def stories(ds: xr.Dataset, problem: int | None = None) -> list[dict[str, Any]]:
    """Return what `recover_nb.story` shows, as plain data.

    Parameters
    ----------
    ds : Dataset
        A study with value maps.
    problem : int, optional
        Place along `problem`: this failure alone.

    Returns
    -------
    list of dict
        One a kind, as `tell` lays them out.

    Raises
    ------
    InputError
        If the study stores no value map, or none of this problem.
    """
    if problem is None:
        chosen = choose_stories(ds)
    else:
        frame = candidates(ds)
        chosen = frame[frame["problem"] == problem].assign(kind="", of=len(frame), rank=0)
        if not len(chosen):
            recorded_value(ds, problem)  # Says which problems have one.
    # In memory, as far as it is told: signals are most of a study.
    few = ds.drop_vars([name.value for name in Signal], errors="ignore")
    few = few.isel(problem=chosen["problem"].to_numpy()).load()
    return [tell(few, at, row) for at, (_, row) in enumerate(chosen.iterrows())]


def tell(ds: xr.Dataset, place: int, row: pd.Series) -> dict[str, Any]:
    """Lay out one failure: what is written at each of the four steps.

    Parameters
    ----------
    ds : Dataset
        Of the problems that are told.
    place : int
        Which of them.
    row : Series
        Of `choose_stories`.
    """
    kinds = [kind for kind in KINDS if row["kind"] in ("", kind.name)]
    kind = next((each for each in kinds if each.belongs(row)), None) or any_failure(row)
    problem, rollout = int(row["problem"]), int(row["rollout"])
    trace = read_trace(ds, place, rollout)
    values = recorded_value(ds, place)
    value = values["right"].sel(intervention=RETRY).values / values.attrs["n"]
    one = ds.isel(problem=place)
    lost = row["fatal"] >= 0
    turn = int(row["fatal"]) if lost else max(trace.first_wrong, 0)
    rescued = _rescued(ds, place, trace.token_id, turn, kind.operator)
    attempts = [_attempts(one, name) for name in dict.fromkeys((RETRY, kind.operator))]
    # A name of others can hold the bar that parts the names of a cell.
    family, method, task = (str(one[name].values) for name in UNIT_COORDS[:3])
    return {
        "kind": kind.name,
        "headline": kind.headline,
        "problem": problem,
        "who": f"problem {problem}: {task}, model {family} trained by {method}",
        "prompt": str(one["prompt"].values),
        "said": parse_answer("".join(trace.tokens[:-1])),
        "answer": str(one["answer"].values),
        "tokens": trace.tokens,
        "turn": turn,
        "value": value.tolist(),
        "bars": _bars(ds, place, rollout, turn, rescued),
        "rescued": rescued,
        "attempts": attempts,
        "notes": [
            f"The model works it out in {len(trace.tokens)} tokens, and ends wrong. Is this a slip,"
            " or does it not know better?",
            _say_where(trace.tokens, turn, value, lost=lost),
            _say_change(trace.tokens, turn, rescued, kind.operator),
            _say_luck(attempts),
        ],
        "chosen": _say_chosen(row),
    }


def _say_chosen(row: pd.Series) -> str:
    rank, of = int(row["rank"]), int(row["of"])
    if not rank:
        return f"One of {of} failures with a value for each token."
    which = f"Rank {rank} of {of}" if row["loss"] > 0 else f"One of {of}"
    by = ", by how much one token lost" if row["loss"] > 0 else ""
    return f"{which} such failures{by}; chosen for clarity."


def _say_where(tokens: list[str], turn: int, value: np.ndarray, *, lost: bool) -> str:
    if lost:
        fall = f"from {value[turn]:.0%} to {value[turn + 1]:.0%}"
        return f"Here the answer was lost: at \u201c{tokens[turn]}\u201d the chance falls {fall}."
    return "The chance is zero from the start: asking this model again does not help."


def _say_change(tokens: list[str], turn: int, rescued: dict[str, Any] | None, operator: str) -> str:
    if rescued is None:
        return "No attempt under any intervention ends right: nothing rescues this failure."
    at = rescued["shared"]
    new = f"\u201c{rescued['tokens'][at]}\u201d for \u201c{tokens[at]}\u201d"
    same = (
        "All before it stays the same." if operator in KEEPS else "Up to there both say the same."
    )
    same = same if at else "It begins anew."
    return f"{WHAT_IT_DOES.get(operator, operator)}: {new}. {same}"


def _say_luck(attempts: list[dict[str, Any]]) -> str:
    if len(attempts) == 1:
        rate = np.mean(attempts[0]["right"])
        return f"Asking again ends right in {rate:.0%}: this failure was bad luck."
    retry, operator = attempts
    if operator["interval"][0] > retry["interval"][1]:
        return "The intervals lie apart: on this problem it is not luck."
    if not any(operator["right"]):
        return "Neither ever ends right on this problem."
    return "The intervals overlap: on this problem alone it could be luck."


def overall_sentence(ds: xr.Dataset) -> str:
    """Say what holds over every failure of the headline's population, and at equal cost."""
    rates = rescue_by_intervention(ds, total=True, by_cell=False).set_index("intervention")
    whose = _WHOSE.get(str(rates["population"].iloc[0]), "answer failed at least once")
    said = (
        f"Over all {int(rates['problems'].iloc[0]):,} problems whose {whose}, asking again rescues"
        f" {rates['rate'][RETRY]:.0%}"
    )
    if SPARSE in rates.index:
        said += f" and one steered token {rates['rate'][SPARSE]:.0%}"
    try:
        evaluation = evaluate_routing(ds, only=["budgets"], n_bootstrap=100)
    except InputError:  # Interventions of the rule, or features, are not stored.
        return f"{said}."
    same = evaluation.at_equal_cost()
    if same is None:
        return f"{said}."
    return (
        f"{said}. At equal cost, the published rule rescues {float(same['budget_routed']):.0%},"
        f" asking again {float(same['budget_retry']):.0%}."
    )


def _rescued(
    ds: xr.Dataset, problem: int, failed: np.ndarray, turn: int, operator: str
) -> dict[str, Any] | None:
    """Return the right attempt that shares most with the failed answer; None where none is right.

    It must part from it where the answer was lost, or before: one that repeats the slip is right
    by luck. The twin of a retry that wrote the failed answer parts where the operator acted.
    """
    one = ds.isel(problem=problem).sel(intervention=operator)
    ids = one["token_id"].values
    size = min(ids.shape[1], len(failed))
    shared = np.cumprod(ids[:, :size] == failed[:size], axis=1).sum(1)
    right = np.flatnonzero((one["correct"].values == 1) & (shared <= turn))
    if not len(right):
        return None
    best = int(right[shared[right].argmax()])
    trace = read_trace(ds, problem, best, operator)
    name = named(operator)
    return {"operator": operator, "name": name, "tokens": trace.tokens, "shared": int(shared[best])}


def _bars(
    ds: xr.Dataset, problem: int, rollout: int, at: int, rescued: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Return what both models would have said at a token, the likeliest of either first."""
    found = stored_alternatives(ds, problem, rollout)
    if found is None:
        return []
    trace = read_trace(ds, problem, rollout)
    pieces = pieces_at(ds, problem)
    frame = alternatives(trace, at, found, pieces)
    wide = frame.pivot_table(index=["token", "token_id"], columns="model", values="probability")
    saving = rescued["tokens"][at] if rescued and rescued["shared"] == at else None
    wide = wide.fillna(0.0).assign(most=wide.max(axis=1)).sort_values("most", ascending=False)
    return [
        {
            "token": bar["token"],
            "specialist": float(bar["specialist"]),
            "ancestor": float(bar["ancestor"]),
            "emitted": bar["token_id"] == int(trace.token_id[at]),
            "right": bar["token"] == saving,
        }
        for bar in wide.head(N_BARS).reset_index().to_dict("records")
    ]


def _attempts(one: xr.Dataset, operator: str) -> dict[str, Any]:
    """Return every attempt of an operator on the problem: right or not, with a 95 % interval."""
    correct = one["correct"].sel(intervention=operator).values
    right = (correct[correct >= 0] == 1).tolist()
    return {
        "operator": operator,
        "name": named(operator),
        "right": right,
        "interval": list(proportion_interval(sum(right), len(right))),
    }
