"""Rules that choose an operator from what is known before the first attempt.

They are compared with one operator for all, at equal forward passes and attempt for attempt.
"""

from recover_nb.routing.routers.compare import compare_routers
from recover_nb.routing.routers.result import RouterComparison

__all__ = ["RouterComparison", "compare_routers"]
