"""Is the gain of a router more than luck? An audit of outcomes alone, without models or features.

`outcomes` holds what was measured, `reading` finds it in a table, `measure` compares, `power` says
how much more would be needed, `claim` puts it together, and `error_rates` tries it on simulated
outcomes.
"""

from recover_nb.routing.audit.claim import Audit, audit

__all__ = ["Audit", "audit"]
