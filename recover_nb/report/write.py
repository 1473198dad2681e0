"""Write the report: one file, whole or not at all, that asks nothing of any network."""

from pathlib import Path

import altair as alt
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.places import check_free, placed
from recover_nb.report.markup import GENERATOR, page_html
from recover_nb.report.page import Page, build_page
from recover_nb.routing.result import EVALUATION, Evaluation

#: Characters of a page within which its generator is named.
HEAD = 1000


@takes_study()
@checks.takes(evaluation=EVALUATION, path=checks.PATH, title=checks.TEXT, replace=checks.FLAG)
def write_html(
    ds: xr.Dataset,
    evaluation: Evaluation,
    path: str | Path,
    *,
    title: str = "Recoverability report",
    replace: bool = False,
) -> Path:
    """Write a study and its evaluation as one HTML file that opens offline.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table (what it does not store is left out and said to be).
    evaluation : Evaluation
        What `evaluate_routing` returned for it.
    path : str or Path
        The file.
    title : str
    replace : bool
        Whether an existing file may be replaced, in one step.

    Returns
    -------
    Path
        The file written: about 1 MB for Vega's scripts, the rest figures.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written, `path` exists, or the study lacks cells,
        rates or retry.
    """
    return write_page(build_page(ds, evaluation, title=title), path, replace=replace)


def write_page(page: Page, path: str | Path, *, replace: bool = False) -> Path:
    """Write a page as one file, whole or not at all."""
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(
            f"the folder {path.parent} does not exist; make it first, or write elsewhere"
        )
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; give the name of a file, such as {path / 'report.html'}"
        )
    check_free(path, replace=replace)
    text = page_html(page, vega_bundle())
    with placed(path, replace=replace) as draft:
        draft.write_text(text, "utf-8")
    return path


def is_report(path: Path) -> bool:
    """Whether a file is a page that `write_html` wrote."""
    try:
        return path.is_file() and GENERATOR in path.read_text("utf-8")[:HEAD]
    except (OSError, UnicodeDecodeError):
        return False


def vega_bundle() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script that needs no network."""
    # Imported here: it is heavy, and only a report needs it.
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.javascript_bundle(vl_version=version)
