"""The paper's claims, each measured, set beside its null, and judged.

`docs/findings.md` is made from them.
"""

from recover_nb.claims.judge import CLAIMS, judge
from recover_nb.claims.judgement import Claim, Judgement
from recover_nb.claims.measure import SECTIONS, measure
from recover_nb.claims.page import AUTHORS, BUNDLED, render_page
from recover_nb.claims.record import check_places, read_figures, write_findings

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
