"""Data frames to read: what a study and its evaluation say, computed once for terminal, charts and report.

Every share is a fraction of 1 and every `*_points` column is in percentage points. A frame whose source is not stored
(a profile table has no attempts) is empty, with its columns in place.
"""

from recover_nb.tables.evaluation import (
    budget_lines,
    budgets,
    lift_over_retry,
    null_excess,
    null_sentence,
    routes_by_cell,
    routing_by_cell,
    routing_by_estimator,
)
from recover_nb.tables.features import features_by_window, junction_sentence, reliability
from recover_nb.tables.findings import find, findings, say
from recover_nb.tables.problems import example_problems, twin_sentence
from recover_nb.tables.routing import (
    comparators,
    decide,
    problem_rows,
    routing_inputs,
    say_routing,
    significance,
)
from recover_nb.tables.study import (
    costs,
    feature_points,
    firing,
    problems_by_cell,
    regime_sentence,
    regimes_by_cell,
    rescue_by_intervention,
)
from recover_nb.tables.text import render_text, summary_text
from recover_nb.tables.traces import choose_example, token_pieces, trace_signals, twins

__all__ = [
    "budget_lines",
    "budgets",
    "choose_example",
    "comparators",
    "costs",
    "decide",
    "example_problems",
    "feature_points",
    "features_by_window",
    "find",
    "findings",
    "firing",
    "junction_sentence",
    "lift_over_retry",
    "null_excess",
    "null_sentence",
    "problem_rows",
    "problems_by_cell",
    "regime_sentence",
    "regimes_by_cell",
    "reliability",
    "render_text",
    "rescue_by_intervention",
    "routes_by_cell",
    "routing_by_cell",
    "routing_by_estimator",
    "routing_inputs",
    "say",
    "say_routing",
    "significance",
    "summary_text",
    "token_pieces",
    "trace_signals",
    "twin_sentence",
    "twins",
]
