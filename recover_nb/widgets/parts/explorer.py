"""What views of settings share: a button that resamples, words, and a table of problems."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets
import pandas as pd
import traitlets

from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import tie
from recover_nb.widgets.parts.markup import paragraphs
from recover_nb.widgets.parts.selection import looking_at, set_state
from recover_nb.widgets.parts.table_view import TableView

#: Largest seed that a control offers.
MAX_SEED = 2**31 - 1
#: State of a table of problems.
LISTING = ("sort", "descending", "page")


class Cells(traitlets.Tuple):
    """Names of cells; empty = all."""

    def validate(self, obj: Any, value: Any) -> tuple[str, ...]:
        """Refuse what is no name."""
        cells = super().validate(obj, value)
        if not all(isinstance(cell, str) for cell in cells):
            raise traitlets.TraitError(f"cells are {cells!r}; allowed: names of cells")
        return cells


class Explorer(View):
    """A view whose controls answer at once, with few resamples, and whose button takes all of them.

    A subclass calls `answering` in `build`, and works inside `resampling` in `resample`.
    """

    def resample(self) -> None:
        """Compute and show what the settings give with all resamples."""
        raise NotImplementedError

    def answering(self, controls: dict[str, ipywidgets.Widget], tooltip: str) -> None:
        """Tie the controls to their traits; make the words, the bar and the button."""
        self.words, self.busy = ipywidgets.HTML(), Busy()
        self.button = ipywidgets.Button(description="resample", icon="refresh", tooltip=tooltip)
        self.button.on_click(lambda _: self.resample())
        self.controls = controls
        for name, control in controls.items():
            tie(self, name, control)

    @contextmanager
    def resampling(self) -> Iterator[None]:
        """Rest the button while the block works, and show what came of it or why nothing did."""
        self.button.disabled = True
        try:
            with self.speaking():
                yield
        finally:
            self.button.disabled = False
        if not self.message:
            self._refreshed()

    def say(self, lines: Iterable[str]) -> None:
        """Put sentences into the words."""
        self.words.value = paragraphs(lines)


class Listing(Explorer):
    """An explorer with a table of problems, of which one is chosen.

    A subclass calls `listing` in `build` and `list_problems` in `refresh`.

    Attributes
    ----------
    sort, descending, page : str, bool, int
        How the table lists them.
    """

    sort = traitlets.Unicode("")
    descending = traitlets.Bool(False)
    page = traitlets.Int(0, min=0)

    def __init__(self, **state: Any) -> None:
        self._listed: Hashable = None
        self._rows = pd.DataFrame()
        super().__init__(**state)
        self.selection.observe(self._follow, names=["problem"])
        self._follow()

    def listing(self, **looks: Any) -> None:
        """Make the table."""
        self.table = TableView(**looks)
        self.table.observe(lambda change: self._choose(change["new"]), names=["chosen"])
        # All at once: a sort and a page that the reader changed together are one state.
        self.table.observe(
            lambda _: setattr(self, "value", {n: getattr(self.table, n) for n in LISTING}), LISTING
        )

    def list_problems(
        self,
        asked: Hashable,
        rows: Callable[[], pd.DataFrame],
        digits: dict[str, int],
        columns: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
    ) -> None:
        """Show ``rows()``, unless they are listed: `asked` says what they depend on."""
        with self.table.hold_sync():
            if asked != self._listed:
                self._rows = rows()
                # A problem is called by its place in the study, here as everywhere.
                shown = columns(self._rows).drop(columns="problem_id", errors="ignore")
                shown = shown.assign(place=shown["problem"])
                self.table.show(shown, key="place", digits={"problem": 0, **digits})
                self._listed = asked
            set_state(self.table, LISTING, {name: getattr(self, name) for name in LISTING})
        self.page = self.table.page

    def _choose(self, problem: int) -> None:
        """Let every linked view look at a problem, and at its first failed rollout."""
        if problem not in (-1, self.selection.problem):
            self.selection.value = looking_at(self.data.ds, problem)

    def _follow(self, _: Any = None) -> None:
        self.table.chosen = self.selection.problem
        self.table.reveal(self.selection.problem)
