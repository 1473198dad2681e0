"""Rules that choose an operator from what is known before the first attempt.

They are compared with one operator for all, at equal forward passes and attempt for attempt.
"""

from recover_nb.routing.routers.compare import RouterComparison, compare_routers

__all__ = ["RouterComparison", "compare_routers"]
