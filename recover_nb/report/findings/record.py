"""The findings on disk: the figures as JSON, the page made from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recover_nb.charts.findings import plot_claim
from recover_nb.core.errors import InputError
from recover_nb.core.files import NOTHING, check_readable, kind_of
from recover_nb.core.places import check_free, placed
from recover_nb.core.stored_json import json_file
from recover_nb.report.findings.page import (
    BUNDLED,
    COMMAND,
    PICTURES,
    render_lineages,
    render_page,
)
from recover_nb.report.findings.paper import PAPER, picture_rows

#: Characters of the page within which it says what wrote it.
_HEAD = 1000
#: The record of the first lineage, beside the figures, and the page that is made from it.
FIRST_LINEAGE, LINEAGES = "first_lineage.json", "lineages.md"


def read_figures(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read the figures of every source.

    Parameters
    ----------
    path : path
        Written by `write_findings`; one that is not there holds none.

    Returns
    -------
    dict of str to dict
        Source -> figures.

    Raises
    ------
    InputError
        If the file is not such a record.
    """
    path = Path(path)
    if kind_of(path) == NOTHING:
        return {}
    hint = "delete it and run recover-nb findings"
    sources = json_file(path, "a record of findings", hint).get("sources")
    if not isinstance(sources, dict):
        raise InputError(f"{path}: not a record of findings (it has no sources); {hint}")
    return sources


def write_findings(
    sources: Mapping[str, Mapping[str, Any]], figures: str | Path, page: str | Path, *, seed: int
) -> None:
    """Write the figures, and the pages and pictures that are made from them.

    Parameters
    ----------
    sources : mapping of str to mapping
        Source -> what `measure` gave for it.
    figures, page : path
        Where they go; folders are made. Only an earlier record and an earlier page are replaced.
    seed : int
        Of the resampling, for the record.

    Raises
    ------
    InputError
        If something else is there.
    """
    check_places(figures, page)
    text = (
        json.dumps(
            {"seed": seed, "sources": sources}, indent=1, ensure_ascii=False, allow_nan=False
        )
        + "\n"
    )
    figures, page = Path(figures), Path(page)
    drawn = draw_pictures(next(iter(sources.values())))
    # Minutes of work first: the rest can be made from the figures again.
    files = {figures: text, page: render_page(sources, pictures=list(drawn))}
    files |= {page.parent / PICTURES / f"{name}.svg": svg for name, svg in drawn.items()}
    before = figures.parent / FIRST_LINEAGE
    if BUNDLED in sources and before.is_file():
        record = json.loads(before.read_text(encoding="utf-8"))
        files[page.with_name(LINEAGES)] = render_lineages(sources[BUNDLED], record)
    for path, content in files.items():
        with placed(path, replace=True) as temporary:
            temporary.write_text(content, encoding="utf-8")


def draw_pictures(figures: Mapping[str, Any]) -> dict[str, str]:
    """Draw the picture of each of the paper's claims from the figures of one source.

    Returns
    -------
    dict of str to str
        Name of the claim -> SVG; a claim whose figures are missing has none.
    """
    import vl_convert

    found = {}
    for each in PAPER:
        told = each.tell(figures)
        if told is not None and told.rows:
            chart = plot_claim(picture_rows(told), title=each.title, axis=each.axis)
            found[each.name] = vl_convert.vegalite_to_svg(chart.to_dict()) + "\n"
    return found


def check_places(figures: str | Path, page: str | Path) -> None:
    """Refuse places of figures and page that hold what `write_findings` did not write.

    This is done before the work.

    Raises
    ------
    InputError
        What is there, and what to do.
    """
    figures, page = Path(figures), Path(page)
    for path in (figures, page):
        check_free(path, replace=True)
        if path.is_dir():
            raise InputError(f"{path} is a folder; choose another folder for the findings")
    read_figures(figures)
    try:
        check_readable(page)
        known = not page.exists() or f"`{COMMAND}`" in page.read_text(encoding="utf-8")[:_HEAD]
    except UnicodeDecodeError:
        known = False
    if not known:
        raise InputError(
            f"{page} is no page of findings, so it is not replaced; choose another folder"
        )
