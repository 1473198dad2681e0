"""The tables of a study as plain text for a terminal, at most `WIDTH` columns."""

import math
import textwrap

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.labels import ALL
from recover_nb.core.titles import about, named, p_cell, plain_zero, short_title
from recover_nb.core.visible import visible
from recover_nb.features.detectors import judge_detectors
from recover_nb.features.value import problems_with_value
from recover_nb.routing.partly import PartEvaluation
from recover_nb.routing.result import EVALUATION, OWN, RETRY, WORKED, Evaluation
from recover_nb.tables.evaluation import (
    budgets,
    lift_over_retry,
    mapping_ranks,
    null_excess,
    routes_by_cell,
)
from recover_nb.tables.kit import pivot
from recover_nb.tables.specimen import (
    REASONS,
    best_arms,
    failures_by_cell,
    rescue_by_population,
)
from recover_nb.tables.study import (
    costs,
    firing,
    problems_by_cell,
    regimes_by_cell,
    rescue_by_intervention,
)
from recover_nb.tables.verdicts import find, say

WIDTH = 100
#: Words of a heading longer than this are broken over lines.
WORD = 7
#: Columns of interventions that fit side by side.
MOST_ARMS = 9
#: Budgets of retry shown in the terminal; the data frame has every one.
SHOWN_BUDGETS = (1, 2, 3, 5, 10, 20, 50)


@takes_study()
@checks.takes(evaluation=EVALUATION)
def summary_text(ds: xr.Dataset, evaluation: Evaluation) -> str:
    """Write the result tables of a study, and what they support, as plain text.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    evaluation : Evaluation
        What `evaluate_routing` returned for it.

    Returns
    -------
    str
        At most 100 columns wide. Rates are in percent, differences in percentage points; a dash is
        what is not stored.

    Raises
    ------
    InputError
        If the study has no cells, rates or retry.
    """
    parts = [f"## {title}\n\n{table}" for title, table in _sections(ds, evaluation) if table]
    # What is laid out was made visible before it was measured; here nothing else passes.
    return visible("\n\n".join(parts), lines=True) + "\n"


def _sections(ds: xr.Dataset, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Title and text of each part, in reading order; an empty text is left out."""
    if isinstance(evaluation, PartEvaluation):
        return _sections_without_routes(ds, evaluation)
    whom = evaluation.populations[0]
    rescue = rescue_by_intervention(ds, population=whom, total=True)
    fired, words = firing(ds, total=True), named(whom)
    spent, order = costs(ds, total=True), list(dict.fromkeys(rescue["cell"]))
    return [
        ("Problems and pass@1 (%)", _problems(ds)),
        ("Failures: how often, how long, and where they went wrong (%)", _failures(ds)),
        ("Regimes of the failed problems: count (share in %)", _regimes(ds)),
        (f"Rescue rate by intervention, {words} (%)", _wide(rescue, "rate", 100)),
        (f"Difference from retry, {words}, all cells (points)", _differences(rescue)),
        ("Rescue rate by population (%)", _populations(ds)),
        ("Best intervention of each cell, by split halves (%)", _best(ds)),
        ("How often each operator fired (% of attempts)", _wide(fired, "fired", 100)),
        ("Routing against retry by population (points)", _by_population(evaluation)),
        (f"Routing against every comparator, {words} (points)", _routing(evaluation)),
        (f"Published lift minus its null, {words} (points)", _nulls(evaluation)),
        (f"Routing against retry by cell, {words} (points)", _cells(evaluation, order)),
        (f"Every mapping of features to operators, {words} (points)", _mappings(evaluation)),
        ("Where the rule sends steerable_hard problems (count)", _routes(evaluation, order)),
        (f"Rescue at equal budgets, {words} (%)", _budgets(evaluation)),
        ("Cost of an attempt, all cells (positions evaluated)", _costs(spent)),
        ("Which signals find the token where the answer was lost (%)", _detectors(ds)),
        ("What the data support, and what they do not", _findings(find(evaluation, rescue, fired))),
        ("What needs more, and what would give it", _needs(evaluation)),
    ]


def _sections_without_routes(ds: xr.Dataset, evaluation: PartEvaluation) -> list[tuple[str, str]]:
    """As `_sections`, of a study that lacks what routing needs."""
    frame = evaluation.to_dataframe(cell=ALL)
    frame = _percent(frame[frame["figure"] != "pass_rate"], "value", "low", "high")
    rescue = frame["figure"] == "rescue"
    spans = {
        True: _spans(frame[rescue], "value", "low", "high", sign=""),
        False: _spans(frame[~rescue], "value", "low", "high"),
    }
    by = ["population", "intervention"]
    lifts = frame.loc[~rescue, by].assign(lift=np.array(spans[False], object))
    shown = frame.loc[rescue, [*by, "n"]].assign(rescue=spans[True])
    shown = shown.merge(lifts, how="left").fillna({"lift": "-"})
    shown["population"] = [named(each) for each in shown["population"]]
    shown = shown.rename(columns={"n": "problems", "lift": "less retry"})
    table = render_text(shown) if len(shown) else ""
    return [
        ("Problems and pass@1 (%)", _problems(ds)),
        ("Failures: how often, how long, and where they went wrong (%)", _failures(ds)),
        ("Rescue by what was run, and less retry (%, 95 % in brackets)", table),
        ("In words", textwrap.fill(visible(evaluation.sentence), WIDTH)),
        ("What needs more, and what would give it", _needs(evaluation)),
    ]


def _needs(evaluation: Evaluation) -> str:
    return "\n".join(
        textwrap.fill(
            f"{each['figure']}: needs {each['needs']}. {each['how']}.",
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
        )
        for each in evaluation.needs
    )


def render_text(
    frame: pd.DataFrame, decimals: dict[str, int] | None = None, width: int = WIDTH
) -> str:
    """Lay a data frame out in columns.

    Parameters
    ----------
    frame : DataFrame
        Text columns are set left, numbers right; the first column is shortened when the table is
        too wide.
    decimals : dict of str to int, optional
        Digits behind the point by column; 1 unless given. Whole-number columns have none.
    width : int
        Most characters in a line.

    Returns
    -------
    str
        A dash stands for NaN; "(none)" for a frame without rows. Heading words are broken to keep
        columns narrow.
    """
    if not len(frame):
        return "(none)"
    decimals = decimals or {}
    columns, left = [], []
    for name in frame.columns:
        series = frame[name]
        number = pd.api.types.is_numeric_dtype(series)
        digits = decimals.get(name, 0 if pd.api.types.is_integer_dtype(series) else 1)
        cells = [_number(value, digits) if number else visible(value) for value in series]
        words = visible(short_title(name))
        head = _heading(words) if number else words.split("\n")
        columns.append((head, cells))
        left.append(not number)
    return "\n".join(_lines(columns, left, width))


def paragraphs(*sentences: str, width: int = WIDTH) -> str:
    """Fill sentences into lines, with a blank line between any two.

    What is printed breaks at spaces and nowhere else.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> print(rnb.tables.paragraphs("One sentence, filled into lines.", "And another.", width=20))
    One sentence, filled
    into lines.
    <BLANKLINE>
    And another.
    """
    filled = (
        textwrap.fill(visible(each), width, break_long_words=False, break_on_hyphens=False)
        for each in sentences
    )
    return "\n\n".join(filled)


def _lines(columns: list[tuple[list[str], list[str]]], left: list[bool], width: int) -> list[str]:
    tall = max(len(head) for head, _ in columns)
    columns = [([""] * (tall - len(head)) + head, cells) for head, cells in columns]
    sizes = [max(map(len, [*head, *cells])) for head, cells in columns]
    gap = "  " if sum(sizes) + 2 * (len(sizes) - 1) <= width else " "
    over = sum(sizes) + len(gap) * (len(sizes) - 1) - width
    if over > 0:
        sizes[0] = max(sizes[0] - over, 8)
    body = [[head[i] for head, _ in columns] for i in range(tall)]
    body.append(["-" * size for size in sizes])
    body += [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
    lines = []
    for row in body:
        fitted = [_fit(text, size) for text, size in zip(row, sizes, strict=True)]
        sides = zip(fitted, sizes, left, strict=True)
        padded = [
            text.ljust(size) if on_left else text.rjust(size) for text, size, on_left in sides
        ]
        lines.append(gap.join(padded).rstrip())
    return lines


def _fit(text: str, size: int) -> str:
    """Shorten in the middle: both ends of a cell's name tell it from others."""
    if len(text) <= size:
        return text
    keep = size - 2
    return f"{text[: keep - keep // 2]}..{text[len(text) - keep // 2 :]}"


def _heading(name: str) -> list[str]:
    """Break a column's name at underscores and spaces, and its long words in two."""
    lines = []
    for word in name.replace("_", " ").split():
        while len(word) > WORD + 1:
            lines.append(word[: WORD - 1] + "-")
            word = word[WORD - 1 :]
        lines.append(word)
    return lines or [""]


def _number(value: float, digits: int) -> str:
    # Rates of few attempts often lie halfway between two last digits: which way they go must not
    # hang on a last bit, which differs between machines.
    return "-" if math.isnan(value) else plain_zero(f"{round(value, 9):.{digits}f}")


def _percent(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].astype(float) * 100 for name in names})


def _problems(ds: xr.Dataset) -> str:
    frame = _percent(problems_by_cell(ds, total=True), "pass_at_1", "parseable")
    return render_text(_drop_empty(frame).rename(columns={"pass_at_1": "pass@1"}), {"rollouts": 0})


def _regimes(ds: xr.Dataset) -> str:
    frame = regimes_by_cell(ds, total=True)
    shown = [
        _share(count, share) for count, share in zip(frame["count"], frame["share"], strict=True)
    ]
    wide = pivot(frame.assign(shown=shown), "cell", "regime", "shown").reset_index()
    failed = frame.drop_duplicates("cell").set_index("cell")["failed"]
    return render_text(wide.assign(failed=failed.loc[wide["cell"]].to_numpy()))


def _share(count: int, share: float) -> str:
    return f"{count} (-)" if math.isnan(share) else f"{count} ({100 * share:.0f})"


def _wide(frame: pd.DataFrame, value: str, factor: float) -> str:
    """One row per cell, one column per intervention."""
    if not len(frame):
        return ""
    wide = pivot(frame, "cell", "intervention", value) * factor
    blocks = [wide.iloc[:, i : i + MOST_ARMS] for i in range(0, wide.shape[1], MOST_ARMS)]
    return "\n\n".join(render_text(block.reset_index()) for block in blocks)


def _failures(ds: xr.Dataset) -> str:
    if "correct" not in ds:
        return ""
    frame = failures_by_cell(ds, total=True).drop(columns=["problems", "failed", "wrong"])
    shares = ["pass_at_1", "ancestor_pass_at_1", "long", *REASONS, "not_known"]
    frame = _percent(frame, *shares)
    names = {"pass_at_1": "pass@1", "ancestor_pass_at_1": "ancestor", "long": "over 12"}
    return render_text(_drop_empty(frame).rename(columns=names), {name: 0 for name in REASONS})


def _populations(ds: xr.Dataset) -> str:
    """One row per intervention, one column per population."""
    if "correct" not in ds:
        return ""
    found = rescue_by_population(ds)
    if not len(found):
        return ""
    frame = _percent(found, "rate", "low", "high")
    frame["span"] = _spans(frame, "rate", "low", "high", sign="")
    first = frame.drop_duplicates("population").set_index("population")["problems"]
    frame["who"] = frame["population"].map({m: f"{named(m)} ({n})" for m, n in first.items()})
    return render_text(pivot(frame, "intervention", "who", "span").fillna("-").reset_index())


def _best(ds: xr.Dataset) -> str:
    if "correct" not in ds:
        return ""
    found = best_arms(ds)
    return render_text(_percent(found, "share", "rate", "retry_rate")) if len(found) else ""


def _detectors(ds: xr.Dataset) -> str:
    if not problems_with_value(ds):
        return ""
    shares = ["points", "near", "near_chance", "too_late", "in_step", "in_step_chance"]
    return render_text(_percent(judge_detectors(ds), *shares))


def _differences(rescue: pd.DataFrame) -> str:
    frame = rescue[rescue["cell"] == ALL]
    frame = _percent(frame, "rate", "low", "high")
    rate = _spans(frame, "rate", "low", "high", sign="")
    lift = _spans(frame, "lift_points", "lift_low_points", "lift_high_points")
    parts = ("lift_low_all_points", "lift_high_all_points")
    together = [_ends(*row) for row in zip(*(frame[name] for name in parts), strict=True)]
    return render_text(
        pd.DataFrame(
            {
                "intervention": frame["intervention"],
                "attempts": frame["attempts"],
                "rescue rate, 95 %": rate,
                "less retry, 95 %": lift,
                "all together, 95 %": together,
            }
        )
    )


def _ends(low: float, high: float, sign: str = "+") -> str:
    return "-" if math.isnan(low) else f"[{_one(low, sign)},{_one(high, sign)}]"


def _one(value: float, sign: str) -> str:
    return plain_zero(f"{value:{sign}.1f}")


def _span(value: float, low: float, high: float, sign: str = "+") -> str:
    return "-" if math.isnan(value) else f"{_one(value, sign)} {_ends(low, high, sign)}"


def _spans(frame: pd.DataFrame, *names: str, sign: str = "+") -> list[str]:
    """Write each row's value, low and high end."""
    return [_span(*row, sign) for row in zip(*(frame[name] for name in names), strict=True)]


def _by_population(evaluation: Evaluation) -> str:
    """One row per estimator and population: both intervals."""
    frame = lift_over_retry(evaluation)
    parts = ("low_checkpoints_points", "high_checkpoints_points")
    apart = [_ends(*row) for row in zip(*(frame[name] for name in parts), strict=True)]
    table = pd.DataFrame(
        {
            "population": [named(each) for each in frame["population"]],
            "estimator": frame["estimator"],
            "problems": frame["n"],
            "points, 95 % over questions": _spans(
                frame, "lift_points", "low_points", "high_points"
            ),
            "over checkpoints": apart,
        }
    )
    # A null has no band of its own beside the headline's, and is told by its excess.
    return render_text(table[frame["kind"] != "null"], {"problems": 0})


def _mappings(evaluation: Evaluation) -> str:
    frame = mapping_ranks(evaluation)
    if not len(frame):
        return ""
    spans = _spans(frame, "lift_points", "low_points", "high_points")
    table = frame[["rank", "mapping"]].assign(**{"routed less retry, 95 %": spans})
    return render_text(table.assign(published=frame["published"].map({True: "yes", False: ""})))


def _routing(evaluation: Evaluation) -> str:
    """One row per comparator, one column per estimator."""
    frame = evaluation.to_dataframe()
    spans = _spans(frame, "lift_points", "low_points", "high_points")
    wide = pivot(frame.assign(span=spans), "comparator", "estimator", "span")
    dropped = ["null_twins", OWN, WORKED]
    wide = wide.drop(columns=dropped, errors="ignore").fillna("-").reset_index()
    wide = wide.rename(columns={"comparator": "routed less"})
    sizes = frame.drop_duplicates("estimator").set_index("estimator")["n"]
    n = ", ".join(f"{name} {about(sizes[name])}" for name in sizes.index)
    note = (
        f"Problems scored: {n}. Brackets: 95 % interval (null: mean +- 1.96 standard deviations)."
    )
    return f"{render_text(wide)}\n{textwrap.fill(note, WIDTH)}"


def _nulls(evaluation: Evaluation) -> str:
    frame = null_excess(evaluation)
    frame = frame[frame["comparator"].isin(["retry", "best_fixed", "permuted"])]
    draws = evaluation.settings["n_null"]
    table = pd.DataFrame(
        {
            "null": frame["null"],
            "routed less": frame["comparator"],
            "published": frame["published_points"],
            "null mean": frame["mean_points"],
            "null standard deviation": frame["sd_points"],
            "excess, 95 %": _spans(frame, "excess_points", "low_points", "high_points"),
            "p": [p_cell(p, draws) for p in frame["p"]],
        }
    )
    least = f"it cannot be less than 1 / {draws + 1:,}"
    note = f"p is counted over {draws:,} simulated data sets: {least}."
    return f"{render_text(table)}\n{note}" if len(table) else ""


def _cells(evaluation: Evaluation, order: list[str]) -> str:
    """One row per cell: the lift by each estimator; the permutation test of the least biased."""
    frame = evaluation.to_dataframe(cell=None)
    frame = frame[(frame["comparator"] == RETRY) & (frame["cell"] != ALL)]
    frame = frame[~frame["estimator"].isin([OWN, WORKED])]
    frame = frame.assign(span=_spans(frame, "lift_points", "low_points", "high_points"))
    wide = pivot(frame, "cell", "estimator", "span", _ordered(frame, order)).reset_index()
    tested = "all" if "all" in wide else "split"
    p = frame[frame["estimator"] == tested].set_index("cell")["p_holm"]
    return render_text(wide.assign(p_holm=p.loc[wide["cell"]].to_numpy()), {"p_holm": 3})


def _routes(evaluation: Evaluation, order: list[str]) -> str:
    frame = routes_by_cell(evaluation, total=True)
    wide = pivot(frame, "cell", "intervention", "count", _ordered(frame, order))
    return render_text(wide.reset_index())


def _ordered(frame: pd.DataFrame, order: list[str]) -> list[str]:
    """Return the cells of `frame` in the order of the study.

    An evaluation has them in the order of their names.
    """
    found = list(dict.fromkeys(frame["cell"]))
    return sorted(found, key=lambda cell: order.index(cell) if cell in order else len(order))


def _budgets(evaluation: Evaluation) -> str:
    frame = budgets(evaluation)
    frame = _percent(frame[frame["k_retry"].isin(SHOWN_BUDGETS)], "routed", "retry")
    spans = _spans(frame, "lift_points", "low_points", "high_points")
    table = frame[["basis", "budget", "k_retry", "k_routed", "routed", "retry"]]
    table = table.assign(**{"routed less retry, 95 %": spans}).rename(columns={"basis": "equal"})
    if not len(table):
        return ""
    before = ", ".join(
        f"{cost:,.0f} {basis.replace('_', ' ')}"
        for basis, cost in dict(zip(frame["basis"], frame["upfront"], strict=True)).items()
        if not math.isnan(cost)
    )
    note = f"Not in any budget: reading the observed answers first, per problem {before}."
    shown = render_text(table, {"budget": 0, "k_retry": 0})
    return f"{shown}\n{textwrap.fill(note, WIDTH)}" if before else shown


def _costs(spent: pd.DataFrame) -> str:
    frame = spent[spent["cell"] == ALL].drop(columns="cell")
    return render_text(_drop_empty(frame)) if len(frame) else ""


def _drop_empty(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.dropna(axis="columns", how="all")


def _findings(findings: list[dict]) -> str:
    """One paragraph a finding, its verdict in front."""
    blocks = []
    for finding in findings:
        text = f"{finding['verdict'].upper()}: {finding['claim']}. {visible(say(finding))}"
        text += f" Rule of {finding['date']}: {finding['rule']}."
        blocks.append(
            textwrap.fill(
                text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=True
            )
        )
    return "\n".join(blocks)
