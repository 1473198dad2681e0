"""What the report says, as data: sections of findings, charts, tables and one trace.

`markup` writes them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL
from recover_nb.core.titles import named, p_cell
from recover_nb.core.token_text import pieces_at
from recover_nb.routing.result import RETRY, Evaluation
from recover_nb.tables import short
from recover_nb.tables.kit import pivot
from recover_nb.tables.specimen import REASONS
from recover_nb.tables.text import SHOWN_BUDGETS

#: Points of the feature chart; more make the file large and the chart unreadable.
MAX_POINTS = 3000
#: Most cells that get a panel each.
MAX_PANELS = 24
#: Signals of the example.
SHOWN_SIGNALS = ("demotion_pressure", "logit_variance", "entropy")

PERCENT, SIGNED, WHOLE, ONE = "{:.1%}", "{:+.1f}", "{:,.0f}", "{:,.1f}"

#: What a table of cells shows.
_CELL_COLUMNS = (
    "cell",
    "estimator",
    "n",
    "routed",
    "retry",
    "lift_points",
    "low_points",
    "high_points",
    "p",
    "p_holm",
)


@dataclass(frozen=True)
class Block:
    """One piece of a section.

    Attributes
    ----------
    kind : str
        ``chart``, ``table``, ``findings``, ``text``, ``example``, ``pairs`` or ``code``.
    content : object
        An Altair chart, a DataFrame, a list of dicts, text, a dict, pairs of text, text.
    caption : str
    formats : dict of str to str
        Format of each number column of a table.
    """

    kind: str
    content: Any
    caption: str = ""
    formats: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A heading, a sentence on how to read what follows, and its blocks."""

    name: str
    title: str
    lead: str
    blocks: list[Block]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes
    ----------
    title, subtitle : str
    headline : str
        The answer in a sentence.
    chips : list of Chip
        Verdicts in a few words.
    pictures : list of Section
        What is seen first: one chart each, and the sentence that says what it shows.
    sections : list of Section
        Everything else, folded.
    """

    title: str
    subtitle: str
    headline: str
    chips: list[short.Chip]
    pictures: list[Section]
    sections: list[Section]


def build_page(ds: xr.Dataset, evaluation: Evaluation, *, title: str) -> Page:
    """Compute everything the report says; see `write_html`."""
    whom = evaluation.populations[0]
    rescue = tables.rescue_by_intervention(ds, population=whom, total=True)
    fired = tables.firing(ds, total=True)
    problems = tables.problems_by_cell(ds, total=True)
    total = problems.iloc[-1]
    n = int(evaluation.figures["problems"].sel(cell=ALL))
    subtitle = (
        f"{total['problems']:,} problems in {len(problems) - 1} cells (a cell is one model, one way"
        f" of training and one task). {total['failed']:,} failed at least once. The figures are"
        f" about {n:,} of them: {named(whom)}."
    )
    found = tables.find(evaluation, rescue, fired)
    sections = [
        _findings(found),
        _failures(ds, problems),
        _rescue(ds, rescue, fired),
        _routing(evaluation, list(problems["cell"])),
        _budgets(ds, evaluation),
        _features(ds),
        _example(ds),
        _provenance(ds, evaluation),
    ]
    return Page(
        title,
        subtitle,
        short.headline(rescue),
        short.chips(found),
        _pictures(ds, evaluation, rescue, found),
        [section for section in sections if section.blocks],
    )


def _pictures(
    ds: xr.Dataset, evaluation: Evaluation, rescue: pd.DataFrame, found: list[dict]
) -> list[Section]:
    """Return the three pictures of the first screen: what failed, what saves it, at what cost."""
    regimes = short.regimes_by_task(ds)
    lines = tables.budget_lines(evaluation)
    # The last basis counts what both models do.
    last = lines[lines["basis"] == lines["basis"].iloc[-1]] if len(lines) else lines
    overall = rescue[rescue["cell"] == ALL]
    drawn = (
        ("What are the failures?", short.say_regimes(regimes), charts.plot_regimes, regimes),
        ("What saves them?", short.say_rescue(rescue), charts.plot_rescue, overall),
        ("And at equal cost?", short.say_equal_cost(found), charts.plot_budget, last),
    )
    return [
        Section(f"picture-{i}", title, said, _chart(plot, frame))
        for i, (title, said, plot, frame) in enumerate(drawn, 1)
    ]


def _findings(findings: list[dict]) -> Section:
    rows = [
        {
            "claim": each["claim"],
            "verdict": each["verdict"],
            "sentence": tables.say(each),
            "rule": f"Supported if {each['rule']}. This rule was written on {each['date']}.",
        }
        for each in findings
    ]
    lead = (
        "Open a claim for its figures and its rule. Intervals are 95 %. Differences are in"
        " percentage points. Not shown does not mean wrong: the data do not decide."
    )
    title = f"All {len(rows)} claims: what the data support, and what they do not"
    return Section("findings", title, lead, [Block("findings", rows)])


def _failures(ds: xr.Dataset, problems: pd.DataFrame) -> Section:
    regimes = tables.regimes_by_cell(ds, total=True)
    wide = pivot(regimes, "cell", "regime", "count", problems["cell"])
    counted = problems.merge(wide.reset_index(), on="cell").dropna(axis="columns", how="all")
    formats = {"pass_at_1": PERCENT, "parseable": PERCENT, "rollouts": WHOLE}
    lead = (
        "steerable_hard: retry fails at least half the time and some intervention gains at least 5"
        " points; beyond_reach: no intervention ever succeeds; resample: the rest. These labels"
        " come from the same attempts that score them, so some problems are steerable_hard by luck"
        " (see Routing)."
    )
    blocks = [
        Block(
            "table",
            counted,
            "Problems, pass@1 of the observed rollouts, and regimes (counts)",
            formats,
        )
    ]
    if "correct" in ds:
        came = tables.failures_by_cell(ds, total=True).drop(columns=["problems", "failed"])
        shares = ("pass_at_1", "ancestor_pass_at_1", "long", *REASONS, "not_known")
        caption = (
            "How the failures came about: an answer cut off at the length limit is wrong, and no"
            " failure of reasoning; long: more than 12 tokens; then where the others went wrong"
        )
        shown = came.dropna(axis="columns", how="all")
        blocks.append(Block("table", shown, caption, dict.fromkeys(shares, PERCENT)))
    return Section(
        "failures",
        "Failures and what they need",
        lead,
        [*_chart(charts.plot_regimes, regimes[regimes["cell"] != ALL]), *blocks],
    )


def _rescue(ds: xr.Dataset, rescue: pd.DataFrame, fired: pd.DataFrame) -> Section:
    overall = rescue[rescue["cell"] == ALL]
    cells = rescue[rescue["cell"] != ALL]
    formats = {name: PERCENT for name in ("rate", "low", "high")}
    formats |= {name: SIGNED for name in rescue.columns if name.endswith("_points")}
    shown = overall.drop(columns=["cell", "retry_rate"]).dropna(axis="columns", how="all")
    caption = (
        "All cells; lift is over retry; columns 'all together' hold for all interventions at once,"
        " those over checkpoints say what other checkpoints would give"
    )
    blocks = [*_chart(charts.plot_rescue, overall), Block("table", shown, caption, formats)]
    if 1 < cells["cell"].nunique() <= MAX_PANELS:
        blocks += _chart(lambda frame: charts.plot_rescue(frame, width=150, columns=4), cells)
    blocks.append(_by_cell(rescue, "rate", "Rescue rate by cell"))
    if "correct" in ds:
        who = (
            "All cells, by population; worked: the same where a right answer without a step counts"
            " as wrong"
        )
        formats |= {"worked_rate": PERCENT}
        blocks.append(Block("table", tables.rescue_by_population(ds), who, formats))
    if len(fired):
        blocks.append(_by_cell(fired, "fired", "Share of attempts in which each operator acted"))
    lead = (
        f"Every problem of this population ({named(rescue['population'].iloc[0])}), nothing"
        " selected. An operator that never fires is retry under another name."
    )
    return Section("rescue", "What rescues", lead, blocks)


def _by_cell(frame: pd.DataFrame, value: str, caption: str) -> Block:
    wide = pivot(frame, "cell", "intervention", value).reset_index()
    return Block("table", wide, caption, dict.fromkeys(wide.columns[1:], PERCENT))


def _routing(evaluation: Evaluation, order: list[str]) -> Section:
    full, cells = evaluation.to_dataframe(), evaluation.to_dataframe(cell=None)
    cells = cells[(cells["comparator"] == RETRY) & (cells["cell"] != ALL)]
    cells = cells.rename(columns={"rate": "retry"})[list(_CELL_COLUMNS)]
    excess = tables.null_excess(evaluation)
    cells, routes = (
        _in_order(frame, order) for frame in (cells, tables.routes_by_cell(evaluation))
    )
    formats = dict.fromkeys(("routed", "rate", "retry"), PERCENT)
    settings = evaluation.settings
    permutations, nulls = settings["n_permutations"], settings["n_null"]
    full, cells = (_p_cells(frame, permutations) for frame in (full, cells))
    excess = _p_cells(excess, nulls)
    formats |= dict.fromkeys(("relative", "relative_low", "relative_high"), "{:+.1%}")
    formats |= {
        name: SIGNED for frame in (full, excess) for name in frame if name.endswith("_points")
    }
    lead = (
        "published selects steerable_hard problems with the attempts that then score them, which"
        " inflates any lift; the shaded bands are what the same estimator reports when no"
        " intervention differs from retry (null: independent attempts; null_twins: attempts that"
        " share random numbers as here). split selects on one half of the attempts and scores on"
        " the other; all selects nothing. Points right of 0 favour routing. Large points are of the"
        f" headline's population ({named(evaluation.populations[0])}), as all tables here."
    )
    blocks = [
        *_chart(charts.plot_estimators, tables.lift_over_retry(evaluation)),
        Block(
            "table",
            excess,
            "Published lift over each comparator, less what it would be without an effect; p is"
            f" one-sided, over {nulls:,} simulated data sets",
            formats,
        ),
        Block("table", full, "Routed less every comparator, by every estimator", formats),
        Block(
            "table",
            cells,
            f"Routed less retry by cell; p permutes routes {permutations:,} times, p (Holm)"
            " corrects over cells",
            formats,
        ),
        *_chart(charts.plot_mappings, tables.mapping_ranks(evaluation)),
        *_chart(charts.plot_routes, routes),
    ]
    return Section("routing", "Routing, by four estimators", lead, blocks)


def _p_cells(frame: pd.DataFrame, draws: int | None) -> pd.DataFrame:
    """Write the p-values of a table: the least that so many draws can give is a bound."""
    written = {
        name: [p_cell(p, draws if name == "p" else None) for p in frame[name]]
        for name in ("p", "p_holm")
        if name in frame
    }
    return frame.assign(**written)


def _in_order(frame: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Put the cells of an evaluation, sorted by name, in the order of the study."""
    place = {cell: i for i, cell in enumerate(order)}
    return frame.sort_values(
        "cell", key=lambda column: column.map(place), kind="stable", ignore_index=True
    )


def _budgets(ds: xr.Dataset, evaluation: Evaluation) -> Section:
    lines, wide = tables.budget_lines(evaluation), tables.budgets(evaluation)
    wide = wide[wide["k_retry"].isin(SHOWN_BUDGETS)]
    formats = {
        "budget": WHOLE,
        "k_retry": WHOLE,
        "k_routed": ONE,
        "routed": PERCENT,
        "retry": PERCENT,
    }
    formats |= {name: SIGNED for name in wide if name.endswith("_points")}
    blocks = _chart(charts.plot_budget, lines)
    if len(wide):
        blocks.append(Block("table", wide, "Rescue at equal budgets", formats))
    spent = tables.costs(ds, total=True)
    spent = spent[spent["cell"] == ALL].drop(columns="cell").dropna(axis="columns", how="all")
    if len(spent):
        caption = (
            "Cost of an attempt, all cells: generated tokens, and positions each model evaluated"
        )
        blocks.append(Block("table", spent, caption, {name: ONE for name in spent.columns[2:]}))
    lead = (
        "Steering runs two models, so an attempt is not the unit of cost. A plan makes the attempts"
        " of its operator, and goes on with retries when they are used up; upfront is what the"
        " observed answers cost that the rule reads, and is in no budget."
    )
    return Section("budgets", "What it costs", lead, blocks)


def _features(ds: xr.Dataset) -> Section:
    frame = tables.feature_points(ds)
    step = -(-len(frame) // MAX_POINTS) if len(frame) else 1
    lead = "One mark for each failed problem; hover for its name, regime, route and rates."
    if step > 1:
        lead += f" Every {step}th of {len(frame)} problems is drawn."
    return Section("features", "Features", lead, _chart(charts.plot_features, frame.iloc[::step]))


def _example(ds: xr.Dataset) -> Section:
    chosen = tables.choose_example(ds)
    title = "One failed trace and its twins"
    if chosen is None:
        return Section("example", title, "", [])
    problem, one = chosen["problem"], ds.isel(problem=chosen["problem"])
    pieces = pieces_at(one)
    signals = tables.trace_signals(ds, problem, chosen["rollout"], pieces=pieces)
    content = {
        "unit": " | ".join(
            str(one[name].values) for name in ("family", "method", "task", "problem_id")
        ),
        "regime": str(one["regime"].values) if "regime" in ds else "",
        "prompt": str(one["prompt"].values) if "prompt" in ds else "",
        "answer": str(one["answer"].values) if "answer" in ds else "",
        "tokens": signals[signals["signal"] == "demotion_pressure"],
        "twins": tables.twins(ds, problem, chosen["twin"], pieces=pieces),
        "rollout": chosen["rollout"],
        "twin": chosen["twin"],
    }
    lead = (
        "Chosen because it shows a rescue where there is one, not because it is typical. Shading is"
        " demotion pressure; the junction is where it is largest. Twins share their random numbers"
        " with retry until the operator acts."
    )
    names = [name for name in SHOWN_SIGNALS if name in set(signals["signal"])]
    drawn = _chart(lambda frame: charts.plot_signals(frame, signals=names), signals)
    return Section("example", title, lead, [Block("example", content), *drawn])


def _provenance(ds: xr.Dataset, evaluation: Evaluation) -> Section:
    apart = ("import_notes",)
    known = {n: str(it) for n, it in ds.attrs.items() if not n.endswith("_json") and n not in apart}
    blocks = [Block("pairs", list(known.items()))]
    notes = tables.notes_of_import(ds)["note"]
    if len(notes):
        pairs = [(str(place), note) for place, note in enumerate(notes, 1)]
        blocks.append(Block("pairs", pairs, "Notes on this import"))
    for name, caption in (
        ("config_json", "Configuration"),
        ("provenance_json", "Models, packages and commit"),
    ):
        if name in ds.attrs:
            blocks.append(Block("code", _indented(str(ds.attrs[name])), caption))
    settings = json.dumps(evaluation.settings, indent=2, ensure_ascii=False)
    blocks.append(Block("code", settings, "Settings of the evaluation"))
    return Section("provenance", "Where the numbers come from", "", blocks)


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _chart(plot: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> list[Block]:
    """Return the chart of a frame, or a sentence where the study cannot fill the frame."""
    try:
        return [Block("chart", plot(frame))]
    except InputError as error:
        return [Block("text", f"No chart here: {error}.")] if len(frame) else []
