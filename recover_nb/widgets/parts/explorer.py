"""What explorers share: the picture first, a few controls, what changed, a table and its detail."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.core.titles import meaning
from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import tie
from recover_nb.widgets.parts.detail import ProblemDetail
from recover_nb.widgets.parts.fold import Fold
from recover_nb.widgets.parts.markup import changes_html, headline_html, paragraphs
from recover_nb.widgets.parts.selection import looking_at, set_state
from recover_nb.widgets.parts.table_view import TableView

#: Largest seed that a control offers.
MAX_SEED = 2**31 - 1
#: What stands behind a headline whose figures are from few resamples.
ROUGHLY = "rough figures: press resample for exact ones"
#: Columns whose names are told by their meaning alone: there is no room for both.
BRIEF = ["regime", "route", "best_operator", "true", "predicted"]
#: State of a table of problems.
LISTING = ("search", "sort", "descending", "page", "chosen_columns")


Told = tuple[dict[str, str], dict[str, str]]


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

    From top to bottom: one sentence, the panels, the picture, the controls most readers want, what
    the last of them changed, and more below. A subclass names these controls in `IN_SIGHT`, calls
    `answering` and `laid_out` in `build`, says by `figures` what a change is about, and works
    inside `resampling` in `resample`.
    """

    #: Controls in sight; all others are under *advanced*.
    IN_SIGHT: ClassVar[tuple[str, ...]] = ()

    def resample(self) -> None:
        """Compute and show what the settings give with all resamples."""
        raise NotImplementedError

    def figures(self) -> dict[str, str]:
        """Return the figures that a reader follows from one setting to the next, as text."""
        return {}

    def answering(self, controls: dict[str, ipywidgets.Widget], tooltip: str) -> None:
        """Tie the controls to their traits; make the words, the bar and the button."""
        self.headline, self.words = ipywidgets.HTML(), ipywidgets.HTML()
        self.effect, self.busy = ipywidgets.HTML(), Busy()
        #: Settings and figures: the last, and those that the last change is told against.
        self._told: Told | None = None
        self._since: Told | None = None
        self.button = ipywidgets.Button(description="resample", icon="refresh", tooltip=tooltip)
        self.button.on_click(lambda _: self.resample())
        self.controls = controls
        for name, control in controls.items():
            tie(self, name, control)

    def laid_out(
        self,
        picture: ipywidgets.Widget,
        below: Sequence[ipywidgets.Widget],
        advanced: Sequence[ipywidgets.Widget],
        about: str = "",
    ) -> tuple[ipywidgets.Widget, ...]:
        """Return all panels in the order in which they are read.

        Parameters
        ----------
        picture : Widget
        below : sequence of Widget
            What stands under the controls.
        advanced : sequence of Widget
            Controls for few, folded.
        about : str
            What is to be known of the data, below the words.
        """
        row = ipywidgets.HBox([*(self.controls[name] for name in self.IN_SIGHT), self.button])
        row.add_class("recover-nb-row").add_class("recover-nb-insight")
        more = ipywidgets.HBox(list(advanced)).add_class("recover-nb-advanced")
        return (
            self.headline,
            self.controls["panel"],
            self.said,
            picture,
            row,
            self.busy,
            self.effect,
            ipywidgets.HTML(paragraphs([about]) if about else ""),
            *below,
            Fold("all figures, in words", self.words),
            Fold("advanced", more, self._saver),
        )

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

    def say(self, first: str, lines: Iterable[str], *, rough: str = "") -> None:
        """Put one sentence above the picture, and all others where the reader opens them.

        Parameters
        ----------
        first : str
        lines : iterable of str
        rough : str
            How few resamples the figures are from; empty = all.
        """
        self.headline.value = headline_html(first, ROUGHLY if rough else "")
        self.words.value = paragraphs(
            [*lines, f"Rough (press resample): {rough}." if rough else ""]
        )

    def silent(self) -> None:
        """Say nothing: there is nothing to see."""
        self.headline.value = self.words.value = self.effect.value = ""

    def _refreshed(self) -> None:
        super()._refreshed()
        if not self.message:
            self._tell_changes()

    def _tell_changes(self) -> None:
        """Say what the last setting changed; where nothing did, what was said before stands.

        A control that is moved on tells of the whole way.
        """
        now, last = (self._settings_in_words(), self.figures()), self._told
        self._told = now
        if last is None or last == now:
            return
        since = self._since
        if since is None or _moved(since, last) != _moved(since, now) or not _moved(since, now):
            since = last
        self._since = since
        self.effect.value = changes_html(*zip(since, now, strict=True))

    def _settings_in_words(self) -> dict[str, str]:
        """Return the settings that a control sets, by the control's own name."""
        names = [name for name in self.controls if name not in ("panel", "regime", "route")]
        return {name.replace("_", " "): in_words(getattr(self, name)) for name in names}


class Listing(Explorer):
    """An explorer with a table of problems, of which one is chosen and shown beside it.

    A subclass calls `listing` in `build` and `list_problems` in `refresh`.

    Attributes
    ----------
    search, sort, descending, page, chosen_columns : str, str, bool, int, tuple of str
        How the table lists them.
    """

    _ds: xr.Dataset

    search = traitlets.Unicode("")
    sort = traitlets.Unicode("")
    descending = traitlets.Bool(False)
    page = traitlets.Int(0, min=0)
    chosen_columns = traitlets.Tuple()

    def __init__(self, **state: Any) -> None:
        self._listed: Hashable = None
        self._rows = pd.DataFrame()
        super().__init__(**state)
        self.selection.observe(self._follow, names=["problem", "rollout"])
        self._follow()

    def listing(self, interventions: Sequence[str], **looks: Any) -> ipywidgets.Widget:
        """Make the table and the detail beside it, and return both."""
        self.table = TableView(**{"page_size": 10, **looks})
        self.detail = ProblemDetail(self._ds, interventions)
        self.table.observe(lambda change: self._choose(change["new"]), names=["chosen"])
        # All at once: a sort and a page that the reader changed together are one state.
        self.table.observe(
            lambda _: setattr(self, "value", {n: getattr(self.table, n) for n in LISTING}), LISTING
        )
        return ipywidgets.GridBox([self.table, self.detail]).add_class("recover-nb-beside")

    def list_problems(
        self,
        asked: Hashable,
        rows: Callable[[], pd.DataFrame],
        digits: dict[str, int],
        first: Sequence[str],
    ) -> None:
        """Show ``rows()``, unless they are listed: `asked` says what they depend on.

        `first` are the columns in sight; the reader chooses others.
        """
        with self.table.hold_sync():
            if asked != self._listed:
                self._rows = rows()
                # A problem is called by its place in the study, here as everywhere.
                shown = self._rows.drop(columns="problem_id", errors="ignore")
                shown = shown.assign(place=shown["problem"])
                there = [name for name in first if name in shown]
                for name in shown.columns.intersection(BRIEF):
                    shown[name] = shown[name].map(meaning)
                self.table.show(shown, key="place", digits={"problem": 0, **digits}, first=there)
                self._listed = asked
            set_state(self.table, LISTING, {name: getattr(self, name) for name in LISTING})
        self.page = self.table.page

    def _choose(self, problem: int) -> None:
        """Let every linked view look at a problem, and at its first failed rollout."""
        if problem not in (-1, self.selection.problem):
            self.selection.value = looking_at(self._ds, problem)

    def _follow(self, _: Any = None) -> None:
        self.table.chosen = self.selection.problem
        self.table.reveal(self.selection.problem)
        self.detail.show(self.selection.problem, self.selection.rollout)


def _moved(before: Told, now: Told) -> list[str]:
    """Return the settings that are others than before."""
    return [name for name, it in now[0].items() if before[0].get(name) != it]


def in_words(value: Any) -> str:
    """Write a setting as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{in_words(name)} to {in_words(it)}" for name, it in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(in_words, value)) or "all"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("_", " ") or "any"
