"""Data frames to read: what a study and its evaluation say, computed once for terminal, charts and report.

Every share is a fraction of 1 and every `*_points` column is in percentage points. A frame whose source is not stored
(a profile table has no attempts) is empty, with its columns in place.
"""

from recover_nb.tables.evaluation import (
    budget_lines,
    budgets,
    lift_over_retry,
    null_excess,
    routes_by_cell,
    routing_by_cell,
    routing_by_estimator,
)
from recover_nb.tables.findings import find, say
from recover_nb.tables.study import (
    costs,
    feature_points,
    firing,
    problems_by_cell,
    regimes_by_cell,
    rescue_by_intervention,
)
from recover_nb.tables.text import render_text, summary_text
from recover_nb.tables.traces import choose_example, token_pieces, trace_signals, twins

__all__ = [
    "budget_lines",
    "budgets",
    "choose_example",
    "costs",
    "feature_points",
    "find",
    "firing",
    "lift_over_retry",
    "null_excess",
    "problems_by_cell",
    "regimes_by_cell",
    "render_text",
    "rescue_by_intervention",
    "routes_by_cell",
    "routing_by_cell",
    "routing_by_estimator",
    "say",
    "summary_text",
    "token_pieces",
    "trace_signals",
    "twins",
]
