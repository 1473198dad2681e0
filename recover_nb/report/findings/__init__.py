"""The paper's claims, each measured, set beside its null, and judged.

`docs/findings.md` is made from them.
"""

from recover_nb.report.findings.judge import CLAIMS, judge
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.report.findings.measure import SECTIONS, measure
from recover_nb.report.findings.page import AUTHORS, BUNDLED, render_page
from recover_nb.report.findings.record import check_places, read_figures, write_findings

__all__ = [
    "AUTHORS",
    "BUNDLED",
    "CLAIMS",
    "SECTIONS",
    "Claim",
    "Judgement",
    "check_places",
    "judge",
    "measure",
    "read_figures",
    "render_page",
    "write_findings",
]
