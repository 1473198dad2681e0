"""The interventions of method.md section 4, one small class each."""

from recover_nb.decoding.operators import Operator, register
from recover_nb.decoding.sampling import Stream


@register("none")
class Observed(Operator):
    """The observed rollouts: S at T, on a stream of their own so that attempts are judged by fresh numbers."""

    stream = Stream.OBSERVED


@register("retry")
class Retry(Operator):
    """Fresh resampling: S at T."""
