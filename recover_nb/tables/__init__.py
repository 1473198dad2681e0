"""Data frames to read: what a study and its evaluation say.

They are computed once for terminal, charts and report.

Every share is a fraction of 1 and every `*_points` column is in percentage points. A frame whose
source is not stored (a profile table has no attempts) is empty, with its columns in place.

`__all__` names what is there to be called; the other frames are for charts, views and reports.
"""
# ruff: noqa: F401

from recover_nb.core.token_text import token_pieces
from recover_nb.tables.ablation import (
    ablated_operators,
    ablation_figures,
    ablation_moves,
)
from recover_nb.tables.audit import audit_arms, audit_needed, audit_text
from recover_nb.tables.calculator import calculator_by_regime
from recover_nb.tables.changes import changes_by_part
from recover_nb.tables.clustering import (
    cluster_points,
    cluster_rows,
    consensus_cells,
    grid_lines,
    say_alignment,
    say_glance,
    say_grid,
    say_null,
    stability_points,
)
from recover_nb.tables.dial import cost_dial, dial_rows, say_budgets
from recover_nb.tables.evaluation import (
    budget_lines,
    budgets,
    lift_over_retry,
    mapping_ranks,
    null_excess,
    null_sentence,
    routes_by_cell,
)
from recover_nb.tables.examples import example_problems, twin_sentence
from recover_nb.tables.features import (
    features_by_floor,
    features_by_window,
    junction_sentence,
    needed_rows,
    reliability,
)
from recover_nb.tables.film import training_film
from recover_nb.tables.headlines import headline
from recover_nb.tables.kit import for_people
from recover_nb.tables.notes import notes_of_import
from recover_nb.tables.remapping import (
    survival_rows,
)
from recover_nb.tables.routers import router_lifts
from recover_nb.tables.routing import (
    comparators,
    decide,
    problem_rows,
    routing_inputs,
    say_routing,
    significance,
)
from recover_nb.tables.specimen import best_arms, failures_by_cell, rescue_by_population
from recover_nb.tables.study import (
    costs,
    feature_points,
    firing,
    problems_by_cell,
    regime_sentence,
    regimes_by_cell,
    rescue_by_intervention,
)
from recover_nb.tables.text import paragraphs, render_text, summary_text
from recover_nb.tables.topography import (
    coefficient_spans,
    coefficients,
    confusion_cells,
    confusion_total,
    effect_sizes,
    feature_quantiles,
    prediction_baselines,
    score_lines,
    unit_predictions,
)
from recover_nb.tables.traces import choose_example, trace_signals, twins
from recover_nb.tables.transfer import (
    transfer_agreement,
    transfer_clusters,
    transfer_losses,
)
from recover_nb.tables.value import value_rows, value_sentence
from recover_nb.tables.verdicts import find, findings, say

__all__ = [
    "ablated_operators",
    "ablation_moves",
    "audit_arms",
    "audit_needed",
    "audit_text",
    "best_arms",
    "budgets",
    "calculator_by_regime",
    "choose_example",
    "cluster_points",
    "costs",
    "example_problems",
    "failures_by_cell",
    "feature_points",
    "features_by_floor",
    "features_by_window",
    "findings",
    "firing",
    "for_people",
    "headline",
    "junction_sentence",
    "lift_over_retry",
    "mapping_ranks",
    "notes_of_import",
    "null_sentence",
    "paragraphs",
    "prediction_baselines",
    "regime_sentence",
    "regimes_by_cell",
    "reliability",
    "rescue_by_intervention",
    "router_lifts",
    "say_grid",
    "say_null",
    "training_film",
    "transfer_losses",
    "twin_sentence",
    "twins",
    "value_sentence",
]


def __dir__() -> list[str]:
    return __all__
