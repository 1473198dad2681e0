"""What routing is worth under settings of your own."""

from recover_nb.widgets.routing.view import RoutingExplorer

__all__ = ["RoutingExplorer"]
