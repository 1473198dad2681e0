"""What to do with a problem whose first answers were wrong, within a budget of model passes."""

from recover_nb.routing.recovery.gain import BUDGETS, recover_gain
from recover_nb.routing.recovery.gain_result import RecoveryGain

__all__ = ["BUDGETS", "RecoveryGain", "recover_gain"]
