"""A prediction over several populations: the headline's, which holds the others."""

from collections.abc import Mapping
from typing import Any, Self

from recover_nb.core.errors import InputError
from recover_nb.core.result import Result


class OverPopulations(Result):
    """A result of one population that holds those of others.

    Attributes
    ----------
    population : str
        Which failures the figures are about (docs/method.md#populations).
    others : mapping of str to OverPopulations
        The other populations.
    """

    population: str
    others: Mapping[str, Any]

    def over(self, population: str) -> Self:
        """Return the result over one population.

        Raises
        ------
        InputError
            If it was not computed.
        """
        found = self.populations
        if population not in found:
            raise InputError(f"no population {population!r}; allowed: {', '.join(found)}")
        return found[population]

    @property
    def populations(self) -> dict[str, Self]:
        """The result over each population, this one first."""
        return {self.population: self, **self.others}
