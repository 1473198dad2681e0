"""The findings on disk: the figures as JSON, the page made from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recover_nb.claims.page import render_page
from recover_nb.errors import InputError


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
    if not path.exists():
        return {}
    try:
        sources = json.loads(path.read_text(encoding="utf-8"))["sources"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        hint = "delete it and run recover-nb findings"
        raise InputError(f"{path}: not a record of findings ({error}); {hint}") from error
    return sources


def write_findings(
    sources: Mapping[str, Mapping[str, Any]], figures: str | Path, page: str | Path, *, seed: int
) -> None:
    """Write the figures and the page that is made from them.

    Parameters
    ----------
    sources : mapping of str to mapping
        Source -> what `measure` gave for it.
    figures, page : path
        Where they go; folders are made.
    seed : int
        Of the resampling, for the record.
    """
    text = json.dumps({"seed": seed, "sources": sources}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    figures, page = Path(figures), Path(page)
    for path in (figures, page):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Minutes of work first: the page can be made from the figures again.
    figures.write_text(text, encoding="utf-8")
    page.write_text(render_page(sources), encoding="utf-8")
