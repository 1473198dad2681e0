"""What views write as HTML. Every text of a model or a problem is escaped here."""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core.labels import OUTCOME_SIGNS, Intervention, Outcome
from recover_nb.core.schema import MODELS, cell_names
from recover_nb.core.theme import ON_BAR, OUTCOME_COLOURS
from recover_nb.core.titles import named, title
from recover_nb.tables.inspection import Trace
from recover_nb.tables.problem_list import cell_words
from recover_nb.tables.tokens import Scale
from recover_nb.tables.twin_tree import SAID, Branch

#: Opacity of the most of a signal: text in the colour of the page is read on it.
MOST = 0.9
_VISIBLE = str.maketrans({" ": "\u00b7", "\n": "\u21b5", "\t": "\u21e5"})


def visible(text: str) -> str:
    """Return text with spaces and line ends to be seen, escaped."""
    return html.escape(text.translate(_VISIBLE)) or "\u2205"


def paragraphs(lines: Iterable[str]) -> str:
    """Return sentences as paragraphs that a screen reader says when they change; none if empty."""
    text = "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    return f'<div role="status">{text}</div>'


def headline_html(text: str, about: str = "") -> str:
    """Return the one sentence of a view, which a screen reader says when it changes."""
    if not text:
        return ""
    small = f"<small>{html.escape(about)}</small>" if about else ""
    return f'<p class="recover-nb-headline" role="status">{html.escape(text)} {small}</p>'


#: Figures of which a change is told at once: more are not followed.
FOLLOWED = 5


def changes_html(
    settings: tuple[dict[str, str], dict[str, str]], figures: tuple[dict[str, str], dict[str, str]]
) -> str:
    """Say which settings and figures are others than before, and what each was.

    Parameters
    ----------
    settings, figures : (before, now)
        Name to text.
    """
    why, what = (_differences(*pair) for pair in (settings, figures))
    cause = f"{', '.join(why)}: " if why else ""
    effect = ", ".join(what[:FOLLOWED]) or "no figure changed"
    return f'<p class="recover-nb-changed" role="status"><b>Changed</b> {cause}{effect}.</p>'


def _differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return [
        f"{html.escape(name)} <s>{html.escape(before[name])}</s> \u2192 <b>{html.escape(it)}</b>"
        for name, it in now.items()
        if name in before and before[name] != it
    ]


def trace_head(one: xr.Dataset, chosen: dict[str, Any], trace: Trace | None) -> str:
    """Name the problem, show what it asks, and say what came of the trace that is read.

    Parameters
    ----------
    one : Dataset
        Of its one problem.
    chosen : dict
        The selection's state.
    trace : Trace or None
    """
    prompt, answer, regime, own = (
        str(one[name].values[0]) if name in one.variables else ""
        for name in ("prompt", "answer", "regime", "problem_id")
    )
    tooltip = f' title="{html.escape(own)}"' if own else ""
    regime = regime.replace("_", " ")
    words = "; ".join(filter(None, [cell_words(cell_names(one)[0]), regime]))
    said = "" if trace is None else verdict(trace, answer, _which(chosen))
    return (
        f'<div class="recover-nb-head"><h3{tooltip}>problem {chosen["problem"]}'
        f"<small>{html.escape(words)}</small></h3><pre>{html.escape(prompt.rstrip())}</pre>{said}"
        "</div>"
    )


def _which(chosen: dict[str, Any]) -> str:
    if chosen["intervention"] == Intervention.NONE:
        return f"answer {chosen['rollout']}"
    return f"{named(chosen['intervention'])}, attempt {chosen['rollout']}"


def verdict(trace: Trace, answer: str, which: str) -> str:
    """Say whether a trace is right, with a sign and its colour, and where it went wrong."""
    look = "right" if trace.correct else "wrong"
    detail = trace.verdict.partition(": ")[2]
    about = html.escape("; ".join(filter(None, [which, detail])))
    return (
        f'<p class="recover-nb-verdict" role="status"><b class="recover-nb-{look}">'
        f"{OUTCOME_SIGNS[trace.outcome]} {html.escape(trace.said(answer))}</b>"
        f"<small>{about}</small></p>"
    )


def answer_html(trace: Trace) -> str:
    """Return the whole text of an answer as code."""
    return f'<pre class="recover-nb-answer">{html.escape(trace.text)}</pre>'


def colour_of(share: float) -> str:
    """Return the background of a share of a signal's scale; that of exactly zero is the page."""
    if math.isnan(share) or share == 0:
        return ""
    name = "heat" if share > 0 else "below"
    return f"color-mix(in srgb, var(--rnb-{name}) {MOST * abs(share):.1%}, transparent)"


def scale_html(title: str, scale: Scale) -> str:
    """Draw the scale of a signal as a bar with numbers, titled with what it shows."""
    look = "both" if scale.low < 0 else "plus"
    ends = f"{scale.low:.2g}", f"{scale.high:.2g}"
    label = html.escape(f"{title}: from {ends[0]} to {ends[1]}, without colour at 0")
    return (
        f'<span class="recover-nb-scale" role="img" aria-label="{label}">'
        f'<b>{html.escape(title)}</b> {ends[0]} <i class="{look}"></i> {ends[1]}</span>'
    )


def keys_html(keys: Iterable[tuple[str, str]]) -> str:
    """Say what each mark of a trace means: pairs of its looks and its words."""
    return "".join(
        f'<span class="recover-nb-key"><i class="{look}"></i>{html.escape(words)}</span>'
        for look, words in keys
    )


def note(text: str) -> str:
    """Return a sentence as a paragraph; nothing of an empty one."""
    return f'<p class="recover-nb-note">{html.escape(text)}</p>' if text else ""


def aligned_html(rows: pd.DataFrame, *, right: bool) -> str:
    """Draw `tables.attempts.aligned_rows`: the attempt, with what it replaced above it."""
    label = html.escape(" ".join(rows["other"]))
    return (
        f'<div class="recover-nb-aligned {"right" if right else "wrong"}" role="img"'
        f' aria-label="the attempt: {label}">{"".join(map(_pair, rows.itertuples()))}</div>'
    )


def _pair(one: Any) -> str:
    look = "same" if one.kind == "same" else "apart"
    failed, other = (
        (visible(text), "") if place >= 0 else ("\u2013", " gap")
        for text, place in ((one.failed, one.failed_at), (one.other, one.other_at))
    )
    return (
        f'<span class="{look}"><span class="failed{failed[1]}">{failed[0]}</span>'
        f'<span class="other{other[1]}">{other[0]}</span></span>'
    )


def rates_html(rates: pd.DataFrame) -> str:
    """Draw rates under one another with their 95 % intervals (`tables.twin_tree.rate_rows`)."""
    drawn = "".join(_rate(one) for one in rates.itertuples())
    ticks = "".join(f"<span>{each} %</span>" for each in (0, 50, 100))
    axis = f'<div class="axis" aria-hidden="true">{ticks}</div>'
    return f'<div class="recover-nb-rates">{drawn}{axis}</div>'


def _rate(one: Any) -> str:
    look = "retry" if one.operator == Intervention.RETRY else "operator"
    span = ""
    if not math.isnan(one.low):
        span = f'<i class="span" style="left:{one.low:.1%};width:{one.high - one.low:.1%}"></i>'
    arm = named(one.operator)
    return (
        f'<div class="row {look}"><span class="arm">{html.escape(arm)}</span>'
        f'<span class="track" aria-hidden="true">{span}<i class="rate" style="left:{one.rate:.1%}">'
        f"</i></span><span>{html.escape(one.said)}</span></div>"
    )


def chip(outcome: Outcome, text: str) -> str:
    """Return a word on the colour of an outcome, with its sign."""
    style = f"background:{OUTCOME_COLOURS[outcome]};color:{ON_BAR}"
    return (
        f'<span class="recover-nb-chip" style="{style}">{OUTCOME_SIGNS[outcome]}'
        f" {html.escape(text)}</span>"
    )


def alternatives_html(frame: pd.DataFrame, said: pd.DataFrame) -> str:
    """Draw what both models would have said at a place, side by side.

    Parameters
    ----------
    frame : DataFrame
        From `tables.rollouts.alternatives_at`; may be empty.
    said : DataFrame
        The row of `tables.rollouts.emitted` for that place.
    """
    one = said.iloc[0]
    about = "; ".join(_standing(model, one) for model in MODELS)
    text = f"<p>token {one['position']}, emitted <code>{visible(one['token'])}</code>: {about}</p>"
    return text + alternatives_table(frame) if len(frame) else text


def alternatives_table(frame: pd.DataFrame, about: str = "") -> str:
    """Draw the alternatives of both models at a place side by side; `about` begins the caption."""
    found = {(one.rank, one.model): one for one in frame.itertuples()}
    head = "".join(f'<th scope="colgroup" colspan="2">{model}</th>' for model in MODELS)
    rows = "".join(
        "<tr><th"
        f' scope="row">{rank}</th>'
        f"{''.join(_alternative(found.get((rank, model))) for model in MODELS)}</tr>"
        for rank in sorted({rank for rank, _ in found})
    )
    caption = html.escape(
        f"{about}likeliest tokens at temperature 1; the emitted one is framed and marked \u25c0"
    )
    return (
        f'<table class="recover-nb-alternatives"><caption>{caption}</caption>'
        f"<tr><th>rank</th>{head}</tr>{rows}</table>"
    )


def _alternative(one: Any) -> str:
    if one is None:
        return "<td></td><td></td>"
    name, mark = ('class="emitted"', " \u25c0") if one.emitted else ("", "")
    probability = _probability(one.probability)
    return f"<td {name}><code>{visible(one.token)}</code>{mark}</td><td>{probability}</td>"


def _standing(model: str, one: pd.Series) -> str:
    """Say how a model found the emitted token."""
    if pd.isna(one[f"{model}_rank"]):
        return f"{model} not among the stored tokens"
    return f"{model} {_probability(one[f'{model}_probability'])}, rank {one[f'{model}_rank']}"


def _probability(value: float) -> str:
    return "&lt; 0.001" if value < 0.0005 else f"{value:.3f}"


def tree_html(tree: Branch, pieces: Callable[[Sequence[int]], str], position: int) -> str:
    """Draw a `tables.twin_tree.Branch` as nested lists that fold.

    Parameters
    ----------
    tree : Branch
    pieces : callable (token ids) -> str
        Text of tokens.
    position : int
        Where the operator acted: what a branch says there is marked.
    """
    return f'<ul class="recover-nb-tree"><li>{_branch_html(tree, pieces, position)}</li></ul>'


def _branch_html(tree: Branch, pieces: Callable[[Sequence[int]], str], position: int) -> str:
    line = f"{_counts(tree)} <code>{_marked(tree, pieces, position)}</code>"
    if tree.failed:
        line += " <em>failed trace</em>"
    if not tree.children:
        return line
    inner = "".join(f"<li>{_branch_html(child, pieces, position)}</li>" for child in tree.children)
    return f"<details open><summary>{line}</summary><ul>{inner}</ul></details>"


def _counts(tree: Branch) -> str:
    """Say how many twins go this way, and how they end."""
    n, right = len(tree.twins), tree.n_correct
    if not n:
        return "no twin"
    parts = [
        chip(outcome, f"{count} {outcome.value}")
        for outcome, count in ((Outcome.CORRECT, right), (Outcome.WRONG, n - right))
        if count
    ]
    return f"<b>{n} \u00d7</b> {' '.join(parts)}"


def _marked(tree: Branch, pieces: Callable[[Sequence[int]], str], position: int) -> str:
    at = position - tree.start
    if not 0 <= at < len(tree.tokens):
        return visible(pieces(tree.tokens)) if tree.tokens else "(part at once)"
    before, here, after = tree.tokens[:at], tree.tokens[at : at + 1], tree.tokens[at + 1 :]
    parts = [visible(pieces(each)) if each else "" for each in (before, after)]
    return f"{parts[0]}<mark>{visible(pieces(here))}</mark>{parts[1]}"


def percent(share: float) -> str:
    """Return a share as whole percents, or a word for NaN."""
    return "unknown" if math.isnan(share) else f"{share:.0%}"


def history_html(history: pd.DataFrame, *, last: int = 10) -> str:
    """Draw the last rows of a `tables.twin_tree.HISTORY` as a table, newest first, if any."""
    if not len(history):
        return ""
    shown = history.iloc[::-1].head(last)
    head = "".join(
        f'<th scope="col">{html.escape(title(name))}</th>' for name in (*SAID, "95 % interval")
    )
    rows = "".join(f"<tr>{_history_cells(one)}</tr>" for _, one in shown.iterrows())
    more = f", the last {last} below" if len(history) > last else ""
    return (
        '<details class="recover-nb-past"><summary>branchings so far:'
        f" {len(history)}{more}</summary>"
        f'<table class="recover-nb-history"><tr>{head}</tr>{rows}</table></details>'
    )


def _history_cells(one: pd.Series) -> str:
    cells = [
        html.escape(f"{one[name]:.2f}" if isinstance(one[name], float) else named(one[name]))
        for name in SAID
    ]
    span = "none" if math.isnan(one["low"]) else f"{one['low']:.2f} to {one['high']:.2f}"
    return "".join(f"<td>{each}</td>" for each in (*cells, span))
