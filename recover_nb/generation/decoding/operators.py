"""The registry of interventions and their base class. The built-in ones are in `interventions`."""

from typing import Any, ClassVar

import torch

from recover_nb.core import checks
from recover_nb.core.checks import check_name
from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.batch import Batch, Proposal
from recover_nb.generation.decoding.sampling import Stream

REGISTRY: dict[str, type["Operator"]] = {}


class Operator:
    """A bounded change to decoding. Subclass it, define `act`, and register it under a name.

    One instance serves one batch, so state in `self` never leaks into another; tensors of shape
    (B,) made in `__init__` are indexed by ``step.rows``. The base class never acts: it is
    ``retry``.

    Examples
    --------
    A whole intervention, which replaces every token 5 by token 7:

    >>> import recover_nb as rnb
    >>> @rnb.decoding.register("no_fives")  # doctest: +SKIP
    ... class NoFives(rnb.decoding.Operator):
    ...     def act(self, step):
    ...         acted = step.candidate == 5
    ...         return torch.where(acted, 7, step.candidate), acted

    then ``decode(pair, prompts, keys, rollouts, "no_fives", settings)``. ``step.sample(T)``,
    ``step.draw(probabilities)``, ``step.signals`` and ``step.ancestor_logits`` are there to be
    used; the last two run the ancestor, so say in `may_ask_ancestor` which rows still need it.
    """

    name: ClassVar[str] = ""
    #: Which sequence of random numbers the tokens are drawn with.
    stream: ClassVar[Stream] = Stream.ATTEMPTS
    #: Whether a `firing.Calibration` must be given.
    needs_calibration: ClassVar[bool] = False

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    @classmethod
    def first_position(
        cls, junction: torch.Tensor, calibration: dict[str, torch.Tensor], own_u: torch.Tensor
    ) -> torch.Tensor:
        """Return where, under replay, decoding takes over from the failed trace, (B,) int64."""
        return junction

    def may_ask_ancestor(self, step: Proposal) -> torch.Tensor:
        """Rows (n,) bool whose ancestor logits may be read at this step or later.

        Once False, always False.
        """
        return torch.zeros(len(step), dtype=torch.bool, device=step.rows.device)

    def act(self, step: Proposal) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens to emit (n,) int64 and the rows where the operator chose (n,) bool."""
        return step.candidate, torch.zeros(len(step), dtype=torch.bool, device=step.rows.device)


def register(name: str):
    """Class decorator that makes an `Operator` available to `decode` under `name`.

    Raises
    ------
    InputError
        If the name is taken by another class.
    """

    def add(operator: type[Operator]) -> type[Operator]:
        known = REGISTRY.get(name)
        # Running a notebook cell again defines the same class anew: that is a redefinition, not a
        # clash.
        if known and (known.__module__, known.__qualname__) != (
            operator.__module__,
            operator.__qualname__,
        ):
            raise InputError(
                f"intervention {name!r} is already registered by {known.__qualname__}; take another"
                " name"
            )
        operator.name = name
        REGISTRY[name] = operator
        return operator

    return add


def find_operator(name: str) -> type[Operator]:
    """Return the registered class, or raise an `InputError` that lists the names."""
    return REGISTRY[check_name("intervention", name, sorted(REGISTRY))]


def _known(name: Any) -> Any:
    find_operator(name)
    return name


#: The name of an intervention, as a function asks for it.
OPERATOR = checks.Kind("the name of an intervention", _known)
