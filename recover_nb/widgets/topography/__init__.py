"""What features say of a label, what transfers, and what reading says."""

from recover_nb.widgets.topography.view import TopographyExplorer

__all__ = ["TopographyExplorer"]
