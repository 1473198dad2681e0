"""Charts of a study.

They compute nothing: each draws a data frame of `recover_nb.tables`, value for value.
"""

from recover_nb.charts.ablation import plot_ablations
from recover_nb.charts.calculator import plot_calculator
from recover_nb.charts.changes import plot_what_changed
from recover_nb.charts.clustering import (
    plot_cluster_brush,
    plot_clusters,
    plot_consensus,
    plot_stability,
    plot_stability_grid,
)
from recover_nb.charts.controls import plot_controls
from recover_nb.charts.features import plot_features, plot_reliability
from recover_nb.charts.kit import MAX_ROWS
from recover_nb.charts.reading import plot_reading
from recover_nb.charts.remapping import plot_remapping
from recover_nb.charts.rescue import plot_regimes, plot_rescue, plot_routes
from recover_nb.charts.routers import plot_routers
from recover_nb.charts.routing import (
    plot_budget,
    plot_comparators,
    plot_estimators,
    plot_mappings,
)
from recover_nb.charts.topography import (
    plot_coefficients,
    plot_confusion,
    plot_effects,
    plot_feature_quantiles,
    plot_scores,
)
from recover_nb.charts.traces import plot_branches, plot_rollout_grid, plot_signals
from recover_nb.charts.transfer import plot_transfer_clusters, plot_transfer_routing
from recover_nb.charts.value import plot_value

__all__ = [
    "MAX_ROWS",
    "plot_ablations",
    "plot_branches",
    "plot_budget",
    "plot_calculator",
    "plot_cluster_brush",
    "plot_clusters",
    "plot_coefficients",
    "plot_comparators",
    "plot_confusion",
    "plot_consensus",
    "plot_controls",
    "plot_effects",
    "plot_estimators",
    "plot_feature_quantiles",
    "plot_features",
    "plot_mappings",
    "plot_reading",
    "plot_regimes",
    "plot_reliability",
    "plot_remapping",
    "plot_rescue",
    "plot_rollout_grid",
    "plot_routers",
    "plot_routes",
    "plot_scores",
    "plot_signals",
    "plot_stability",
    "plot_stability_grid",
    "plot_transfer_clusters",
    "plot_transfer_routing",
    "plot_value",
    "plot_what_changed",
]
