"""How the report is written: every text escaped, charts as JSON beside one copy of Vega."""

import html
import json
import math
from importlib import resources
from typing import Any

import pandas as pd

from recover_nb.charts.escaping import ScriptSafe
from recover_nb.charts.showing import fitting
from recover_nb.core.labels import OUTCOME_SIGNS, Outcome
from recover_nb.core.titles import named, plain_zero, shown, title
from recover_nb.pages.page import look, part
from recover_nb.report.page import Block, Page, Section
from recover_nb.tables.short import SIGNS, Chip

#: Nothing may be loaded: what is not in the file is not there.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
#: Says that a page is ours, so that a later demo may replace it.
GENERATOR = '<meta name="generator" content="recover_nb">'
#: Characters that would otherwise be invisible in a token.
VISIBLE = str.maketrans({"\n": "\u23ce", "\t": "\u21e5", " ": "\u00b7"})


def page_html(page: Page, bundle: str) -> str:
    """Write a page.

    Parameters
    ----------
    page : Page
    bundle : str
        Vega's scripts.

    Returns
    -------
    str
        A whole HTML document.
    """
    specs: list[dict] = []
    first = "".join(_picture(section, specs) for section in page.pictures)
    folds = "\n".join(_fold(section, specs) for section in page.sections)
    chips = "".join(f"<li>{_chip(each)}</li>" for each in page.chips)
    scripts = (
        f"<script>{_script(bundle)}</script>\n<script>{_script(fitting())}\n"
        f"{_script(_asset('report.js'))}</script>"
        if specs
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_text(POLICY)}">
{GENERATOR}
<meta name="color-scheme" content="light dark">
<title>{_text(page.title)}</title>
<style>{look()}{part("front_door.css")}{_asset("report.css")}</style>
</head>
<body class="recover-nb-page">
<main>
<header><p class="quiet">{_text(page.title)}</p><h1>{_text(page.headline)}</h1></header>
<ul class="chips" aria-label="Five verdicts">{chips}</ul>
<div class="door-doors">{first}</div>
<p class="quiet">{_text(page.subtitle)}</p>
<h2>Everything else</h2>
{folds}
</main>
<script type="application/json" id="specs">{json_script(specs)}</script>
{scripts}
</body>
</html>
"""


def json_script(value: Any) -> str:
    """Return JSON for the inside of a script element: no character in it can end the element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), cls=ScriptSafe)


def _script(code: str) -> str:
    """Return code that cannot end its script element.

    Inside a JavaScript string the added backslash is nothing.
    """
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _asset(name: str) -> str:
    return resources.files("recover_nb.report").joinpath(name).read_text("utf-8")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _chip(chip: Chip) -> str:
    return f"{_verdict(chip.verdict)} {_text(chip.claim)}"


def _verdict(verdict: str) -> str:
    kind = _text(verdict.replace(" ", "-"))
    sign = f'<span aria-hidden="true">{SIGNS[verdict]}</span>'
    return f'<span class="verdict {kind}">{sign} {_text(verdict)}</span>'


def _picture(section: Section, specs: list[dict]) -> str:
    """Write a picture of the first screen: its heading asks, its sentence answers."""
    blocks = "".join(
        _chart(block.content, specs, titled=False)
        if block.kind == "chart"
        else _block(block, specs)
        for block in section.blocks
    )
    return (
        f'<section class="door-panel" id="{_text(section.name)}"><h2>{_text(section.title)}</h2>'
        f"<p>{_text(section.lead)}</p>{blocks}</section>"
    )


def _fold(section: Section, specs: list[dict]) -> str:
    blocks = "\n".join(_block(block, specs) for block in section.blocks)
    lead = f"<p>{_text(section.lead)}</p>" if section.lead else ""
    return (
        f'<details class="door-panel" id="{_text(section.name)}"><summary>'
        f"<h3>{_text(section.title)}</h3></summary>{lead}\n{blocks}</details>"
    )


def _block(block: Block, specs: list[dict]) -> str:
    if block.kind == "chart":
        return _chart(block.content, specs)
    return {
        "table": lambda: table_html(block.content, block.formats, block.caption),
        "findings": lambda: _findings(block.content),
        "text": lambda: f"<p>{_text(block.content)}</p>",
        "example": lambda: _example(block.content),
        "pairs": lambda: _pairs(block.content),
        "code": lambda: f"<h4>{_text(block.caption)}</h4><pre>{_text(block.content)}</pre>",
    }[block.kind]()


def _chart(chart: Any, specs: list[dict], *, titled: bool = True) -> str:
    # Checking each against Vega-Lite's schema takes seconds, and tests do it.
    spec = chart.to_dict(validate=False)
    # Only an address to read, but a report that names no host is easier to trust.
    spec.pop("$schema", None)
    if not titled:
        # The heading and the sentence over it say more; what stays is how it is read.
        title = spec.pop("title", None)
        note = title.get("subtitle") if isinstance(title, dict) else None
        spec |= {"title": {"text": note, "fontSize": 12, "fontWeight": "normal"}} if note else {}
    specs.append(spec)
    number = len(specs) - 1
    return (
        f'<figure><div class="chart" data-spec="{number}"></div>'
        "<noscript>This chart needs JavaScript; the tables hold its figures.</noscript></figure>"
    )


def table_html(frame: pd.DataFrame, formats: dict[str, str], caption: str) -> str:
    """Write a data frame as a table.

    Parameters
    ----------
    frame : DataFrame
    formats : dict of str to str
        How each number column is written, as for `str.format`; as it is, unless given.
    caption : str

    Returns
    -------
    str
        HTML, all text escaped; a dash for NaN.
    """
    numbers = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    kinds = [' class="n"' if number else "" for number in numbers]
    head = "".join(
        f'<th scope="col"{kind}>{_text(title(name))}</th>'
        for name, kind in zip(frame.columns, kinds, strict=True)
    )
    rows = []
    for row in frame.itertuples(index=False):
        cells = [
            _cell(value, str(name), formats) for name, value in zip(frame.columns, row, strict=True)
        ]
        first = f'<th scope="row"{kinds[0]}>{cells[0]}</th>'
        rest = "".join(
            f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], cells[1:], strict=True)
        )
        rows.append(f"<tr>{first}{rest}</tr>")
    return _wide(
        f"<table><caption>{_text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>",
        caption,
    )


def _wide(table: str, name: str) -> str:
    """Return a table in a place that scrolls, by keyboard too."""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{_text(name)}">{table}</div>'
    )


def _cell(value: Any, column: str, formats: dict[str, str]) -> str:
    if isinstance(value, str) or column not in formats or math.isnan(value):
        return _text(shown(value, column))
    return _text(plain_zero(formats[column].format(value)))


def _findings(findings: list[dict]) -> str:
    """Return a fold for each claim: verdict and claim in sight, figures and rule inside."""
    items = []
    for each in findings:
        claim = each["claim"][:1].upper() + each["claim"][1:]
        items.append(
            f"<li><details><summary>{_verdict(each['verdict'])} {_text(claim)}.</summary>"
            f"<p>{_text(each['sentence'])}</p><p>{_text(each['rule'])}</p></details></li>"
        )
    return f'<ul class="findings">{"".join(items)}</ul>'


def _pairs(pairs: list[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in pairs)
    return f"<dl>{rows}</dl>"


def _example(example: dict) -> str:
    facts = [
        ("unit", example["unit"]),
        ("regime", named(example["regime"])),
        ("correct answer", example["answer"]),
    ]
    return (
        f"{_pairs(facts)}<h4>Prompt</h4><pre>{_text(example['prompt'])}</pre>"
        f"<h4>Observed rollout {example['rollout']}: wrong</h4>{_tokens(example['tokens'])}"
        f"<h4>Attempt {example['twin']} under each intervention</h4>{_twins(example['twins'])}"
    )


def _tokens(frame: pd.DataFrame) -> str:
    """Each token shaded by its demotion pressure, the junction marked; figures on hover."""
    peak = max(float(frame["value"].max()), 1e-8) if len(frame) else 1.0
    spans = []
    for row in frame.to_dict("records"):
        shade = f"--j:{max(row['value'], 0.0) / peak:.3f}"
        note = f"position {row['position']}, demotion pressure {row['value']:.3f} nat"
        kind = "t junction" if row["is_junction"] else "t"
        note += ", junction" if row["is_junction"] else ""
        spans.append(
            f'<span class="{kind}" style="{shade}"'
            f' title="{_text(note)}">{_shown(row["token"])}</span>'
        )
        spans.append("\n" * ("\n" in row["token"]))
    return f'<pre class="trace">{"".join(spans)}</pre>'


def _shown(token: str) -> str:
    """Return a token with its spaces and newlines visible.

    Spaces become dots only where nothing else is there.
    """
    return _text(token.translate(VISIBLE) if not token.strip() else token.replace("\n", "\u23ce"))


def _twins(frame: pd.DataFrame) -> str:
    rows = []
    for row in frame.to_dict("records"):
        verdict = "right" if row["correct"] else "wrong"
        sign = OUTCOME_SIGNS[Outcome.CORRECT if row["correct"] else Outcome.WRONG]
        acted = row["fired_at"] if row["fired_at"] >= 0 else "\u2013"
        before, after = (
            _text(row[part].strip("\n") if part == "after" else row[part])
            for part in ("before", "after")
        )
        trace = f'<span class="shared">{before}</span><span class="own">{after}</span>'
        rows.append(
            f'<tr><th scope="row">{_text(named(row["intervention"]))}</th><td'
            f' class="{verdict}">{sign} {verdict}</td><td class="n">{acted}</td><td'
            f' class="n">{row["n_tokens"]}</td><td><pre>{trace}</pre></td></tr>'
        )
    heads = ("intervention", "answer", "acts at token", "tokens", "trace (grey: same as retry)")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    table = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return _wide(f'<table class="twins">{table}</table>', "The attempt under each intervention")
