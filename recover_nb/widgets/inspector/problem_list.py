"""The problems that failed, to search, filter and choose from."""

from collections.abc import Sequence

import ipywidgets
import traitlets
import xarray as xr

from recover_nb.tables.problem_list import find_problems, offered, problem_list
from recover_nb.widgets.parts.chips import Chips
from recover_nb.widgets.parts.pick_list import PickList


class ProblemList(ipywidgets.VBox):
    """A field to search in, chips for regime and origin, and the problems that fit.

    Parameters
    ----------
    ds : Dataset

    Attributes
    ----------
    search : str
    regimes, origins : tuple of str
        Any of these; empty = all.
    chosen : int
        The problem; -1 = none, or one that is not listed.
    """

    search = traitlets.Unicode("")
    regimes = traitlets.Tuple()
    origins = traitlets.Tuple()
    chosen = traitlets.Int(-1)

    def __init__(self, ds: xr.Dataset) -> None:
        self.frame = problem_list(ds)
        self.field = ipywidgets.Text(
            placeholder="number, question or cell",
            description="search",
            tooltip="list the problems with this number, or these words in question or cell",
        )
        self.field.style.description_width = "50px"
        self.chips = {name: self._chips(name) for name in ("regime", "origin")}
        self.items = PickList(label="problems that failed")
        super().__init__([self.field, *self.chips.values(), self.items])
        self.add_class("recover-nb-shelf")
        with self.items.hold_sync():
            self.items.places = self.frame["problem"].tolist()
            self.items.heads = [f"problem {place}" for place in self.items.places]
            self.items.abouts = [" ".join(each.split()) for each in self.frame["prompt"]]
            self.items.texts = self.frame["cell"].tolist()
            self._find()
        traitlets.link((self, "search"), (self.field, "value"))
        traitlets.link((self, "chosen"), (self.items, "chosen"))
        for name, trait in (("regime", "regimes"), ("origin", "origins")):
            traitlets.link((self, trait), (self.chips[name], "chosen"), transform=(list, tuple))
        self.observe(self._find, names=["search", "regimes", "origins"])

    def _chips(self, name: str) -> Chips:
        counts = offered(self.frame, name)
        texts = [f"{value.replace('_', ' ')} {n:,}" for value, n in counts.items()]
        tooltips = [f"list problems of the {name} {value.replace('_', ' ')}" for value in counts]
        return Chips(options=list(counts), texts=texts, tooltips=tooltips, label=name)

    def _find(self, _change: object = None) -> None:
        found = find_problems(self.frame, self.search, self.regimes, self.origins)
        with self.items.hold_sync():
            self.items.shown = found["problem"].tolist()
            self.items.note = _said(len(found), len(self.frame))


def _said(n: int, total: int) -> str:
    if not n:
        return "No failed problem fits."
    return f"{n:,} problems" if n == total else f"{n:,} of {total:,} problems"


def known(names: Sequence[str], allowed: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the names, or refuse one that is not offered."""
    unknown = [name for name in names if name not in allowed]
    if unknown:
        offer = ", ".join(allowed) or "none"
        raise traitlets.TraitError(f"unknown {what} {unknown[0]!r}; allowed: {offer}")
    return tuple(names)
