"""The page of an audit: verdict, picture, figures, as one file that opens offline."""

from pathlib import Path

from recover_nb.charts.audit import plot_audit
from recover_nb.core import checks
from recover_nb.report.page import Block, Page, Section
from recover_nb.report.write import write_page
from recover_nb.routing.audit import Audit
from recover_nb.routing.audit.claim import AUDIT
from recover_nb.tables.audit import CLAIM, audit_arms, audit_needed
from recover_nb.tables.short import Chip

_POINTS = {name: "{:+.1f}" for name in ("points", "low_points", "high_points", "null_points")}
_SHARES = {name: "{:.1%}" for name in ("rate", "against", "chosen")}
#: How each figure is read.
_HOW = (
    "Every row compares the router with something that needs no skill. A gain over the default can"
    " come from one arm that is better for all; a gain over shuffled choices cannot."
)


@checks.takes(found=AUDIT, path=checks.PATH, title=checks.TEXT, replace=checks.FLAG)
def write_audit(
    found: Audit,
    path: str | Path,
    *,
    title: str = "Audit of a routing claim",
    replace: bool = False,
) -> Path:
    """Write an audit as one HTML file that opens offline.

    Parameters
    ----------
    found : Audit
        What `audit` returned.
    path : str or Path
        The file.
    title : str
    replace : bool
        Whether an existing file may be replaced, in one step.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written, or `path` exists.
    """
    return write_page(audit_page(found, title=title), path, replace=replace)


def audit_page(found: Audit, *, title: str) -> Page:
    """Return what the page says."""
    frame = found.to_dataframe()
    pictures, sections = [], []
    if len(frame):
        chart = Block("chart", plot_audit(found))
        pictures.append(Section("gains", "What stands of the gain?", found.headline, [chart]))
        formats = _POINTS | _SHARES | {"null_sd_points": "{:.1f}", "p": "{:.3f}"}
        table = Block("table", frame.drop(columns="figure"), "Every figure", formats)
        sections.append(Section("figures", "Every figure", _HOW, [table]))
    sections.append(
        Section(
            "arms",
            "The arms",
            "The default stands first.",
            [Block("table", audit_arms(found), "Arms", _SHARES | {"attempts": "{:.1f}"})],
        )
    )
    needed = audit_needed(found)
    if len(needed):
        lead = (
            "Numbers of problems, of the same kind, that tell an effect from none four times out of"
            " five."
        )
        formats = {name: "{:,.0f}" for name in needed.columns[2:]}
        block = Block("table", needed.astype(dict.fromkeys(formats, float)), "Needed", formats)
        sections.append(Section("needed", "How many problems would tell?", lead, [block]))
    if found.notes:
        notes = [Block("text", note) for note in found.notes]
        sections.append(Section("notes", "Notes", "", notes))
    n = int(found.dataset.attrs["problems"])
    return Page(
        title=title,
        subtitle=f"{n:,} problems, {len(found.arms)} arms.",
        headline=found.sentence,
        chips=[Chip("audit", str(found.verdict).replace("_", " "), CLAIM)],
        pictures=pictures,
        sections=sections,
    )
