"""Routers that choose the next attempt from what is known before it.

They are compared at equal forward passes.
"""

from recover_nb.routing.routers.compare import DEFAULT_ROUTERS, RouterComparison, compare_routers

__all__ = ["DEFAULT_ROUTERS", "RouterComparison", "compare_routers"]
