"""Data frames to read: what a study and its evaluation say.

They are computed once for terminal, charts and report.

Every share is a fraction of 1 and every `*_points` column is in percentage points. A frame whose
source is not stored (a profile table has no attempts) is empty, with its columns in place.
"""

from recover_nb.core.token_text import token_pieces
from recover_nb.tables.ablation import (
    ablated_operators,
    ablation_figures,
    ablation_moves,
    say_ablation,
)
from recover_nb.tables.calculator import calculator_by_regime, calculator_sentence
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
    features_by_window,
    junction_sentence,
    needed_by_feature,
    needed_rows,
    reliability,
    route_rows,
)
from recover_nb.tables.kit import for_people
from recover_nb.tables.remapping import (
    agreement_rows,
    beyond_reach_problems,
    depths,
    survival_rows,
    transition_cells,
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
    "ablation_figures",
    "ablation_moves",
    "agreement_rows",
    "best_arms",
    "beyond_reach_problems",
    "budget_lines",
    "budgets",
    "calculator_by_regime",
    "calculator_sentence",
    "changes_by_part",
    "choose_example",
    "cluster_points",
    "cluster_rows",
    "coefficient_spans",
    "coefficients",
    "comparators",
    "confusion_cells",
    "confusion_total",
    "consensus_cells",
    "cost_dial",
    "costs",
    "decide",
    "depths",
    "dial_rows",
    "effect_sizes",
    "example_problems",
    "failures_by_cell",
    "feature_points",
    "feature_quantiles",
    "features_by_window",
    "find",
    "findings",
    "firing",
    "for_people",
    "grid_lines",
    "junction_sentence",
    "lift_over_retry",
    "mapping_ranks",
    "needed_by_feature",
    "needed_rows",
    "null_excess",
    "null_sentence",
    "paragraphs",
    "prediction_baselines",
    "problem_rows",
    "problems_by_cell",
    "regime_sentence",
    "regimes_by_cell",
    "reliability",
    "render_text",
    "rescue_by_intervention",
    "rescue_by_population",
    "route_rows",
    "router_lifts",
    "routes_by_cell",
    "routing_inputs",
    "say",
    "say_ablation",
    "say_alignment",
    "say_budgets",
    "say_glance",
    "say_grid",
    "say_null",
    "say_routing",
    "score_lines",
    "significance",
    "stability_points",
    "summary_text",
    "survival_rows",
    "token_pieces",
    "trace_signals",
    "transfer_agreement",
    "transfer_clusters",
    "transfer_losses",
    "transition_cells",
    "twin_sentence",
    "twins",
    "unit_predictions",
    "value_rows",
    "value_sentence",
]
