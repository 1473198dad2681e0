"""Clusters of failed problems by their features, and whether to believe them.

See docs/method.md#9-clustering-stability.

Any algorithm cuts any cloud into k parts, and cuts an elongated one much the same way every time:
stability alone is no evidence of clusters. So every figure stands beside its distribution in data
without clusters.
"""

from recover_nb.clustering.cluster_stability import cluster_stability
from recover_nb.clustering.error_rates import claim_rates
from recover_nb.clustering.feature_space import feature_space
from recover_nb.clustering.fewer_rollouts import rollout_stability
from recover_nb.clustering.grid import choose_k, stability_grid
from recover_nb.clustering.preview import Glance, glance
from recover_nb.clustering.result import ClusterStability

__all__ = [
    "ClusterStability",
    "Glance",
    "choose_k",
    "claim_rates",
    "cluster_stability",
    "feature_space",
    "glance",
    "rollout_stability",
    "stability_grid",
]
