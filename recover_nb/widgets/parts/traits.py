"""Traits whose refusals are the sentences that every other argument is refused with."""

from typing import Any

import traitlets

from recover_nb.core.checks import check_name, near, shown
from recover_nb.core.errors import InputError


class WrongState(InputError, traitlets.TraitError):
    """A value that a trait does not take."""


class Plain:
    """Stands before a class with traits: a wrong value of one is an `InputError`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        if isinstance(self, traitlets.HasTraits):
            known = self.trait_names()
            for name in set(named).difference(known):
                own = [each for each in known if each in vars(type(self))]
                check_name(f"an argument of {type(self).__name__}", name, own)
        super().__init__(*given, **named)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, or say what it may be."""
        try:
            super().__setattr__(name, value)
        except WrongState:
            raise
        except traitlets.TraitError as error:
            raise WrongState(sentence(self, name, value, error)) from None


def sentence(target: Any, name: str, value: Any, error: traitlets.TraitError) -> str:
    """Return what is wrong with the value of a trait, in one sentence."""
    trait = target.traits().get(name) if isinstance(target, traitlets.HasTraits) else None
    if isinstance(error, InputError) or trait is None or not str(error).startswith("The "):
        return str(error)
    hint = ""
    if isinstance(trait, traitlets.Enum):
        hint = near(value, map(str, trait.values or ()))
    low, high = getattr(trait, "min", None), getattr(trait, "max", None)
    limits = f" of at least {low}" if low is not None else ""
    limits += f"{' and' if limits else ' of'} at most {high}" if high is not None else ""
    return f"{name} must be {trait.info()}{limits}, got {shown(value)}{hint and f'; {hint}'}"
