"""A study in short: which failed answers can be saved, and by what.

One sentence, five verdicts, three things to look at, and a table of ten rows: what the report shows
first, and the terminal last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import pandas as pd
import xarray as xr

from recover_nb.core.labels import ALL, Intervention, Regime, Verdict
from recover_nb.core.titles import meaning, named
from recover_nb.core.visible import visible
from recover_nb.routing.result import agreed_verdict
from recover_nb.tables.kit import span
from recover_nb.tables.study import regimes_by_cell, stack_shares
from recover_nb.tables.text import paragraphs, render_text
from recover_nb.tables.verdicts import SUPPORTED

RETRY = Intervention.RETRY.value
#: Finding -> its claim in a few words, in the order in which a reader asks.
CLAIMS: Mapping[str, str] = {
    "interventions": "Something saves more than asking again.",
    "all": "Choosing by signals saves more than asking again.",
    "permutation": "The signals tell which help a failure needs.",
    "published": "The gain as published is more than luck.",
    "budget_forward_passes": "At equal cost, choosing keeps up with asking again.",
}
#: What a verdict says without colour: check mark, cross, question mark, dash.
SIGNS: Mapping[str, str] = {
    Verdict.SUPPORTED: "\u2713",
    Verdict.CONTRADICTED: "\u2717",
    Verdict.NOT_SHOWN: "?",
    Verdict.NOT_TESTABLE: "\u2013",
}
#: The same for a terminal that cannot write these.
PLAIN_SIGNS: Mapping[str, str] = dict(zip(SIGNS, "+x?-", strict=True))
#: Ways of answering again in the small table, and characters of a line beside it.
MOST_ROWS, WIDTH = 8, 80
VERDICT_WIDTH = max(map(len, SIGNS))


@dataclass(frozen=True)
class Chip:
    """A verdict and its claim in a few words.

    Attributes
    ----------
    name : str
        Of the finding.
    verdict, claim : str
    """

    name: str
    verdict: str
    claim: str

    @property
    def sign(self) -> str:
        """What says the verdict without colour."""
        return SIGNS[self.verdict]


def chips(found: Sequence[dict]) -> list[Chip]:
    """Return the five verdicts that a reader sees first.

    Parameters
    ----------
    found : list of dict
        From `find`.
    """
    by_name = {each["name"]: each for each in found}
    return [Chip(name, by_name[name]["verdict"], claim) for name, claim in CLAIMS.items()]


def ways(rescue: pd.DataFrame) -> pd.DataFrame:
    """Return every way of answering again over all cells, and what is shown of it.

    Parameters
    ----------
    rescue : DataFrame
        From `rescue_by_intervention` with ``total=True``.

    Returns
    -------
    DataFrame
        Asking again first, then from the highest rate to the lowest: ``intervention``, ``rate``,
        ``lift_points`` with ``low_points`` and ``high_points`` (95 %, all together) and
        ``verdict``: whether it saves more than asking again.
    """
    rows = rescue[rescue["cell"] == ALL] if (rescue["cell"] == ALL).any() else rescue
    rows = rows[rows["rate"].notna()].sort_values("rate", ascending=False, kind="stable")
    is_retry = rows["intervention"] == RETRY
    rows = pd.concat([rows[is_retry], rows[~is_retry]], ignore_index=True)
    ends = ["lift_low_all_points", "lift_high_all_points"]
    apart = ["lift_low_checkpoints_points", "lift_high_checkpoints_points"]
    verdicts = [
        agreed_verdict([row[name] for name in ends], [row[name] for name in apart])
        for row in rows.to_dict("records")
    ]
    shown = rows[["intervention", "rate", "lift_points", *ends]]
    shown = shown.rename(columns=dict(zip(ends, ("low_points", "high_points"), strict=True)))
    return shown.assign(verdict=[str(each) for each in verdicts])


def headline(rescue: pd.DataFrame) -> str:
    """Say in one sentence which failed answers can be saved, and by what.

    Parameters
    ----------
    rescue : DataFrame
        From `rescue_by_intervention` with ``total=True``.
    """
    frame = ways(rescue)
    whom = f"Of problems {_whose(str(rescue['population'].iloc[0]))}"
    again = frame[frame["intervention"] == RETRY]
    text = f"{whom}, one more try saves {again['rate'].iloc[0]:.0%}"
    others = frame[frame["intervention"] != RETRY]
    better = others[others["verdict"] == SUPPORTED]
    if not len(others):
        return f"{text}; no other way of answering was tried."
    if not len(better):
        return f"{text}, and no other way of answering is shown to save more."
    best = f"{meaning(better['intervention'].iloc[0])} saves {better['rate'].iloc[0]:.0%}"
    rest = "nothing else is shown to beat one more try"
    if len(better) > 1:
        rest = f"{_count(len(better) - 1, 'other way beats', 'other ways beat')} it too"
    return f"{text}; {best}, and {rest}."


def _whose(population: str) -> str:
    words = named(population)
    return f"that {words}" if words.startswith("failed") else f"whose {words}"


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def regimes_by_task(ds: xr.Dataset) -> pd.DataFrame:
    """Count the regimes of the failed problems of each task, then of all.

    Parameters
    ----------
    ds : Dataset
        As of `regimes_by_cell`.

    Returns
    -------
    DataFrame
        As `regimes_by_cell`; ``cell`` is the task.
    """
    frame = regimes_by_cell(ds)
    task = frame["cell"].str.rpartition("|")[2]
    groups = [(str(name), frame[task == name]) for name in dict.fromkeys(task)]
    if len(groups) > 1:
        groups.append((ALL, frame))
    parts = []
    for name, rows in groups:
        counts = {each.value: 0 for each in Regime}
        counts |= rows.groupby("regime")["count"].sum().to_dict()
        parts.append(stack_shares(name, "regime", counts, "failed"))
    return pd.concat(parts, ignore_index=True)


def say_regimes(frame: pd.DataFrame) -> str:
    """Say what the failures are, from `regimes_by_task`."""
    last = frame[frame["cell"] == frame["cell"].iloc[-1]]
    counts = last.groupby("regime")["count"].sum()
    total = int(counts.sum())
    if not total:
        return "No problem failed."
    again, operator, nothing = (
        int(counts.get(each, 0))
        for each in (Regime.RESAMPLE, Regime.STEERABLE_HARD, Regime.BEYOND_REACH)
    )
    return (
        f"Of {total:,} failed problems, asking again does about as well as any operator for"
        f" {again:,}, an operator does better for {operator:,}, and no operator of the rule ever"
        f" saved the other {nothing:,}."
    )


def say_rescue(rescue: pd.DataFrame) -> str:
    """Say what rescues most, and how many ways beat asking again."""
    frame = ways(rescue)
    others = frame[frame["intervention"] != RETRY]
    if not len(others):
        return "Only asking again was tried."
    again = frame["rate"].iloc[0]
    best, better = others.iloc[0], int((others["verdict"] == SUPPORTED).sum())
    shown = "none is" if not better else _count(better, "is", "are")
    return (
        f"Per try, {meaning(best['intervention'])} saves most, {best['rate']:.0%}, and asking"
        f" again {again:.0%}; of {_count(len(others), 'other way', 'other ways')} {shown} shown to"
        " beat asking again."
    )


def say_equal_cost(found: Sequence[dict]) -> str:
    """Say who is ahead where both may spend as many forward passes."""
    (finding,) = (each for each in found if each["name"] == "budget_forward_passes")
    figure, verdict = finding["figure"], finding["verdict"]
    if "routed" not in figure:
        return "What an attempt costs is not stored here, so nothing is said at equal cost."
    words = {
        Verdict.SUPPORTED: "choosing keeps up",
        Verdict.NOT_SHOWN: "it is not shown that choosing keeps up",
        Verdict.CONTRADICTED: "asking again saves more",
        Verdict.NOT_TESTABLE: "the data do not say who is ahead",
    }[Verdict(verdict)]
    return (
        f"For the cost of {figure['retry_attempts']:.0f} tries, asking again saves"
        f" {figure['retry']:.0%} and choosing by signals {figure['routed']:.0%}: {words}."
    )


def short_text(rescue: pd.DataFrame, found: Sequence[dict], *, plain: bool = False) -> str:
    """Write a study in short for a terminal: a sentence, five verdicts and a small table.

    Parameters
    ----------
    rescue : DataFrame
        From `rescue_by_intervention` with ``total=True``.
    found : list of dict
        From `find`.
    plain : bool
        Write the signs of verdicts in ASCII.

    Returns
    -------
    str
        At most 80 columns wide.
    """
    signs = PLAIN_SIGNS if plain else SIGNS
    verdicts = [
        f"{signs[each.verdict]} {each.verdict:<{VERDICT_WIDTH}}  {each.claim}"
        for each in chips(found)
    ]
    frame = ways(rescue)
    shown = frame.head(MOST_ROWS)
    beats = {Verdict.SUPPORTED: "more", Verdict.CONTRADICTED: "less"}
    lifts = zip(shown["lift_points"], shown["low_points"], shown["high_points"], strict=True)
    table = pd.DataFrame(
        {
            "way of answering": [visible(meaning(name)) for name in shown["intervention"]],
            "saves": [f"{100 * rate:5.1f} %" for rate in shown["rate"]],
            "against asking again": [
                "" if isnan(x) else span(x, low, top) for x, low, top in lifts
            ],
            "shown": [beats.get(Verdict(each), "") for each in shown["verdict"]],
        }
    )
    table.loc[table["way of answering"] == meaning(RETRY), "shown"] = ""
    left = len(frame) - len(shown)
    note = (
        "Points, and 95 % intervals that hold for all ways together. More or less: the interval"
        " over checkpoints says so too."
    )
    if left:
        note += f" Left out: {_count(left, 'way that saves', 'ways that save')} less."
    parts = [
        paragraphs(headline(rescue), width=WIDTH),
        "\n".join(verdicts),
        render_text(table, width=WIDTH) + "\n" + paragraphs(note, width=WIDTH),
    ]
    return "\n\n".join(parts) + "\n"
