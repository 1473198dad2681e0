"""The page of findings: the paper's five claims first, ours folded after them.

A second page says what changed from the first lineage.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from recover_nb.pages.escaping import markdown_safe
from recover_nb.report.findings.beyond import CLAIMS as BEYOND
from recover_nb.report.findings.beyond import UNTESTABLE
from recover_nb.report.findings.judge import CLAIMS, judge
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.report.findings.paper import PAPER, PaperClaim, Told
from recover_nb.report.findings.surprises import surprises
from recover_nb.tables.verdicts import NOT_TESTABLE

#: Names of what is shipped, and of the authors' table, on the page and in the file of figures.
BUNDLED, AUTHORS = "bundled study", "authors' table"
COMMAND = "recover-nb findings"
#: Folder of the pictures, beside the page.
PICTURES = "findings"
#: When the bundled study was made.
STUDY_MADE = "2026-11-26"
_WIDTH = 118
_BY_NAME = {claim.name: claim for claim in CLAIMS}
_OF_PAPER = {name for each in PAPER for name in (each.lead, *each.also)}

Sources = Mapping[str, Mapping[str, Any]]


def render_page(figures: Sources, *, pictures: Sequence[str] = ()) -> str:
    """Write the page from the figures of each source.

    Parameters
    ----------
    figures : mapping of str to mapping
        Name of a source -> what `measure` gave for it, in the order of the columns. What surprised
        is of the first.
    pictures : sequence of str
        Names of the claims whose picture lies in the folder `PICTURES` beside the page.

    Returns
    -------
    str
        Markdown. A function of its arguments alone.
    """
    # Names in it are those of a user's files and studies.
    figures = {_cell(source): markdown_safe(found) for source, found in figures.items()}
    judged = {source: judge(found) for source, found in figures.items()}
    parts = [
        _head(figures),
        _screen(figures, judged),
        _surprises(judged),
        *(_paper_claim(each, figures, judged, pictures) for each in PAPER),
        _ours(judged),
        _beyond(judged),
        _how(figures),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Return a text that can stand in a cell of a table."""
    return markdown_safe(text).replace("|", f"&#{ord('|')};")


def _head(figures: Sources) -> str:
    sizes = [
        f"the {source} ({found['sizes']['failed']:,} failed problems, {found['sizes']['cells']}"
        " cells)"
        for source, found in figures.items()
    ]
    return "# Findings\n\n" + _wrap(
        "Which of the paper's claims (arXiv 2606.05145) hold, and which do not, measured on"
        f" {' and on '.join(sizes)}. `{COMMAND}` computes every figure and writes this page. The"
        f" headline is about problems whose first answer failed. Beside it stand those that"
        f" failed at least once, and those whose first five answers failed."
    )


def _screen(figures: Sources, judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    """Everything in one screen: the five claims, with what each is held to."""
    heads = [
        "the paper says",
        *(f"on the {source}" for source in figures),
        "what it is compared with",
    ]
    rows = [heads, ["---"] * len(heads)]
    first = next(iter(figures))
    for each in PAPER:
        told = each.tell(figures[first])
        held = "" if told is None else f"no effect: {told.null}; {told.baselines}"
        cells = [_verdicts(each, found) for found in judged.values()]
        rows.append([f"**{each.title}** {each.paper}", *cells, held])
    return "## What stands\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _verdicts(each: PaperClaim, judged: Mapping[str, Judgement]) -> str:
    """Return the verdict on the claim as stated, and beside it those that say what it means."""
    lead = judged[each.lead]
    figure = f" ({lead.figure})" if lead.figure else ""
    text = f"**{lead.verdict}**{figure}"
    others: dict[str, list[str]] = {}
    for name in each.also:
        if name in judged:
            others.setdefault(judged[name].verdict, []).append(_BY_NAME[name].short)
    said = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in others.items())
    return f"{text}. {said[:1].upper()}{said[1:]}" if said else text


def _surprises(judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    found = surprises(next(iter(judged.values()), {}))
    lines = "\n".join(_wrap(text, "- ") for text in found) or "No expected sentence holds here."
    return f"## What it means\n\n{lines}"


def _paper_claim(
    each: PaperClaim,
    figures: Sources,
    judged: Mapping[str, Mapping[str, Judgement]],
    pictures: Sequence[str],
) -> str:
    parts = [f"## {each.title}", _wrap(f"Paper: {each.paper}.")]
    if each.name in pictures:
        parts.append(f"![{each.title}]({PICTURES}/{each.name}.svg)")
    told = {source: each.tell(found) for source, found in figures.items()}
    parts.append(_facts(each, told, judged))
    parts += [_claim(_BY_NAME[name], judged) for name in (each.lead, *each.also)]
    return "\n\n".join(parts)


def _facts(
    each: PaperClaim,
    told: Mapping[str, Told | None],
    judged: Mapping[str, Mapping[str, Judgement]],
) -> str:
    """Figure, null, population and baselines, one column per source."""
    rows = [["of the claim", *told], ["---"] * (1 + len(told))]
    lines = ("verdict", "population", "figure", "no effect", "beside it")
    for place, head in enumerate(lines):
        cells: list[str] = []
        for source, found in told.items():
            if place == 0:
                cells.append(f"**{judged[source][each.lead].verdict}**")
            elif found is None:
                cells.append("-")
            else:
                values = (found.population, found.figure, found.null, found.baselines)
                cells.append(values[place - 1] or "-")
        rows.append([head, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _claim(claim: Claim, judged: Mapping[str, Mapping[str, Judgement]], level: str = "###") -> str:
    said = f"Paper: {claim.paper}. " if claim.paper else ""
    rule = f"{said}Supported if {claim.rule}. Rule of {claim.dated}."
    lines = [f"{level} {claim.title}", "", _wrap(rule), ""]
    for source, found in judged.items():
        each = found[claim.name]
        lines.append(
            _wrap(f"**{source[0].upper()}{source[1:]}: {each.verdict}.** {each.sentence}", "- ")
        )
    return "\n".join(lines)


def _ours(judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    """Fold what has to hold as well for the paper's claims to mean what they say."""
    parts = [
        "## Ours",
        _wrap(
            "These must also hold for the claims above to mean what they say. Open one for its"
            " rule, figures and intervals."
        ),
    ]
    apart = _OF_PAPER | {claim.name for claim in BEYOND}
    parts += [_folded(claim, judged) for claim in CLAIMS if claim.name not in apart]
    return "\n\n".join(parts)


def _beyond(judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    """Fold what other papers promise of failures, and say what of it cannot be tested here."""
    parts = [
        "## Beyond the paper",
        _wrap(
            "What the paper leaves open, and what others say of failures: further training, steps,"
            " cues, a budget of passes."
        ),
        *(_folded(claim, judged) for claim in BEYOND),
        "Not testable here:",
        "\n".join(_wrap(each, "- ") for each in UNTESTABLE),
    ]
    return "\n\n".join(parts)


def _folded(claim: Claim, judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    said = "; ".join(f"{source} {_short(found[claim.name])}" for source, found in judged.items())
    text = _claim(claim, judged).partition("\n")[2].strip()
    return f"<details>\n<summary>{claim.title} {said}</summary>\n\n{text}\n\n</details>"


def _short(judgement: Judgement) -> str:
    figure = f" ({judgement.figure})" if judgement.figure else ""
    return (
        judgement.verdict
        if judgement.verdict == NOT_TESTABLE
        else f"<b>{judgement.verdict}</b>{figure}"
    )


def _how(figures: Sources) -> str:
    note = ""
    if AUTHORS in figures:
        note = (
            f"The authors' table here is the part of their released table that the tests read:"
            f" 721 of 1,423 rows. We keep its figures in `data/findings.json`, but not its rows."
            f" On all 1,423 rows the excess of the published lift over its null was +2.0 points"
            f" [0.0, 4.1], p = 0.010; whoever fetches them can check it with `{COMMAND} TABLE.csv"
            f" --out FOLDER`. Neither table can test budgets: the authors say that rates are best"
            f" of three, denominators run to 13, and attempts are not stored."
        )
    text = (
        f"`supported`: the rule holds. `not shown`: neither the rule nor its opposite is shown."
        f" `contradicted`: the opposite is shown. `not testable`: the data lack what the rule"
        f" needs. Brackets are 95 % intervals: first over questions, then over checkpoints; a"
        f" verdict needs both. The lineage has one checkpoint per family and method, so a claim"
        f" about a method is about that checkpoint. The study was made on {STUDY_MADE}. Rules"
        f" dated later were written after it, all others before it. See also [what changed from"
        f" the first lineage](lineages.md). A test fails when this page and its figures disagree."
    )
    parts = ["## How to read this", _wrap(text), *([_wrap(note)] if note else [])]
    return "\n\n".join(parts)


def render_lineages(figures: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """Write what changed from the first lineage.

    Parameters
    ----------
    figures : mapping
        What `measure` gave for the bundled study.
    before : mapping
        The record `data/first_lineage.json`: ``about``, and ``claims`` by name.

    Returns
    -------
    str
        Markdown.
    """
    judged, claims = judge(figures), before["claims"]
    rows = [["claim", "first lineage", "this one"], ["---"] * 3]
    moved, stayed = [], []
    for claim in CLAIMS:
        if claim.name not in claims:
            continue
        old, new = claims[claim.name], judged[claim.name]
        row = [
            claim.title,
            f"**{old['verdict']}** {old['figure']}".strip(),
            f"**{new.verdict}** {new.figure}".strip(),
        ]
        (stayed if old["verdict"] == new.verdict else moved).append(row)
    parts = [
        "# What changed from the first lineage",
        *(_wrap(text) for text in _WHY),
        f"## Verdicts that moved ({len(moved)})",
        _table([*rows, *moved]),
        f"## Verdicts that stayed ({len(stayed)})",
        _table([*rows, *stayed]),
        _wrap(before["about"] + f" This page is written by `{COMMAND}`."),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_WHY = (
    "Verdicts moved for two reasons: the models changed, and the rules became stricter. In the"
    " first lineage, three of four failed answers were guesses of a few tokens. Training had made"
    " the specialists worse than their ancestor, and the ancestor alone rescued 84 % of their"
    " failures. So whatever used the ancestor, or made the model work at all, looked like a"
    " rescue. In this lineage the models work their answers out, the specialists are better than"
    " their ancestor, and they fail where they slip.",
    "The rules changed in five ways. The headline is now about problems whose first answer"
    " failed, not every problem that failed once in fifty. A verdict needs the interval over"
    " checkpoints as well as the one over questions. Features are compared with what is known"
    " without a signal. Transfer is compared with shuffled routes. Ten attempts against fifty are"
    " judged only where so many were made.",
)


def _wrap(text: str, first: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
