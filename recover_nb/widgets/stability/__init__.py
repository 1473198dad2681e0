"""Clusters of failures, and whether to believe them."""

from recover_nb.widgets.stability.view import StabilityExplorer

__all__ = ["StabilityExplorer"]
