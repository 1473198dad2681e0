"""The page of findings: a table to glance at, then each claim with figures, null and rule."""

import textwrap
from collections.abc import Mapping
from typing import Any

from recover_nb.report.findings.judge import CLAIMS, judge
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.report.findings.specimen import FIXED_ON
from recover_nb.report.findings.surprises import surprises
from recover_nb.tables.verdicts import NOT_TESTABLE

#: Names of what is shipped, and of the authors' table, on the page and in the file of figures.
BUNDLED, AUTHORS = "bundled study", "authors' table"
COMMAND = "recover-nb findings"
_WIDTH = 118
_AUTHORS_NOTE = (
    "The authors' table is the part of their released one that the tests read; its figures are kept"
    " beside the study's in `data/findings.json`, its rows are not. "
)


def render_page(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the page from the figures of each source.

    Parameters
    ----------
    figures : mapping of str to mapping
        Name of a source -> what `measure` gave for it, in the order of the columns. What surprised
        is of the first.

    Returns
    -------
    str
        Markdown. A function of `figures` alone.
    """
    judged = {source: judge(found) for source, found in figures.items()}
    parts = [
        _head(figures),
        _glance(judged),
        _surprises(judged),
        *(_claim(claim, judged) for claim in CLAIMS),
    ]
    return "\n\n".join(parts) + "\n"


def _head(figures: Mapping[str, Mapping[str, Any]]) -> str:
    sizes = [
        f"the {source} ({found['sizes']['failed']:,} failed problems, {found['sizes']['cells']}"
        " cells)"
        for source, found in figures.items()
    ]
    return "# Findings\n\n" + _wrap(
        f"Every claim of the paper (arXiv 2606.05145), measured on {' and on '.join(sizes)}."
        f" Written by `{COMMAND}`, which computes every figure of a study again; a test fails when"
        " this page and the figures part."
        f" {_AUTHORS_NOTE if AUTHORS in figures else ''}`supported`: the rule under the claim"
        " holds. `not shown`: it does not, and the opposite is not shown either. `contradicted`:"
        " the opposite is. `not testable`: the data lack what it takes. Claims without a figure of"
        " the paper are ours: what has to hold as well for the paper's to mean what they say. The"
        f" thresholds about the lineage and about prefixes were fixed on {FIXED_ON}, before the"
        " study was made."
    )


def _glance(judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    heads = ["claim", "paper", *judged]
    rows = [heads, ["---"] * len(heads)]
    for claim in CLAIMS:
        rows.append(
            [claim.title, claim.paper, *(_short(found[claim.name]) for found in judged.values())]
        )
    return "## At a glance\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _short(judgement: Judgement) -> str:
    figure = f": {judgement.figure}" if judgement.figure else ""
    return (
        judgement.verdict
        if judgement.verdict == NOT_TESTABLE
        else f"**{judgement.verdict}**{figure}"
    )


def _surprises(judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    found = surprises(next(iter(judged.values()), {}))
    lines = (
        "\n".join(_wrap(text, "- ") for text in found)
        or "Nothing that was written down before holds here."
    )
    return f"## What surprised\n\n{lines}"


def _claim(claim: Claim, judged: Mapping[str, Mapping[str, Judgement]]) -> str:
    said = f"Paper: {claim.paper}. " if claim.paper else ""
    lines = [f"## {claim.title}", "", _wrap(f"{said}Supported if {claim.rule}."), ""]
    for source, found in judged.items():
        each = found[claim.name]
        lines.append(
            _wrap(f"**{source[0].upper()}{source[1:]}: {each.verdict}.** {each.sentence}", "- ")
        )
    return "\n".join(lines)


def _wrap(text: str, first: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
