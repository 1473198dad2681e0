"""Step 4: rescue rates, regimes, the rule that routes a failure, and its honest evaluation."""

from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route, route_codes
from recover_nb.stats.scaling import CONSTANT_SHARE, standardise

__all__ = ["CONSTANT_SHARE", "PUBLISHED", "RoutingPolicy", "route", "route_codes", "standardise"]
