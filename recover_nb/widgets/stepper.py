"""Walk a rollout token by token, live or recorded, with what either model would have preferred."""

import html
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.charts.traces import plot_rollout_grid
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Family, Intervention, Method, Outcome, Source, Task
from recover_nb.tables.examples import opening
from recover_nb.tables.problem_list import cell_words
from recover_nb.tables.rollouts import Walk, alternatives_at, emitted, study_grid
from recover_nb.tasks import LEVELS
from recover_nb.tasks.checkers import RULE, Checker
from recover_nb.widgets.live import LiveRollouts, Wanted
from recover_nb.widgets.models import Models, stored_settings
from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import WRAP
from recover_nb.widgets.parts.markup import alternatives_html, chip
from recover_nb.widgets.parts.rollout_grid import RolloutGrid
from recover_nb.widgets.parts.selection import SELECTION, Selection, set_state
from recover_nb.widgets.parts.token_view import TokenView
from recover_nb.widgets.problems import CELL, Problems

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair

NONE = Intervention.NONE.value
_SOURCES = {
    "recorded in the study": Source.RECORDED.value,
    "live, problems of the study": Source.LIVE.value,
    "live, new problems (dev)": Source.LIVE_DEV.value,
}
#: Largest number that a control takes.
_MOST = 10**6
#: What is on offer, and what names a problem among it.
_OFFER = (*CELL, "level")
_NAMES = (*_OFFER, "problem")


class RolloutStepper(View):
    """A rollout one token at a time, and the grid of rollouts it is chosen from.

    Recorded rollouts need no torch. A live source loads the two models when a button is first
    pressed; its rollouts are those that `decode` makes of the same seed, so that on problems of a
    study they repeat the recorded ones.

    Parameters
    ----------
    ds : Dataset, optional
        A study with tokens; the bundled one, opened when it is needed, by default.
    selection : Selection, optional
        Problem, rollout and token are followed and set. New problems (`live_dev`) have no place in
        the study: then its problem is -1. An instructive example unless something is chosen.
    pair : Pair, optional
        Decodes in place of the shipped lineage.
    checker : str or callable, optional
        See `tasks.make_checker`; that of the shipped tasks by default.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    source : str
        Member of `labels.Source`: ``recorded``, ``live`` (problems of the study) or ``live_dev``
        (new ones).
    family, method, task : str
    level : int
        0 = every level.
    problem : int
        Place along the study's `problem`, as in ``ds.isel(problem=460)``; among new problems their
        number from 0. With another family or method it goes to the same question there, and where
        there is none, as with another task or level, to the first.
    temperature, seed : float, int
        Of live rollouts; those of the study by default.
    rollouts : int
        How many the grid shows of a live source.
    shown : int
        Tokens shown; -1 = all there are.

    Examples
    --------
    A recorded rollout, shown up to its third token.

    >>> import recover_nb as rnb
    >>> view = rnb.widgets.RolloutStepper(rnb.load_study(), family="neox", task="program", shown=3)
    >>> view.value["source"], view.value["shown"]
    ('recorded', 3)
    """

    STATE: ClassVar = ("source", *_NAMES, "temperature", "seed", "rollouts", "shown")

    source = traitlets.Enum([each.value for each in Source], Source.RECORDED.value)
    family = traitlets.Unicode(Family.QWEN3.value)
    method = traitlets.Unicode(Method.SFT.value)
    task = traitlets.Unicode(Task.ARITHMETIC.value)
    level = traitlets.Enum((0, *LEVELS), 0)
    problem = traitlets.Int(0, min=0, max=_MOST)
    temperature = traitlets.Float(0.6, min=0.05, max=5.0)
    seed = traitlets.Int(0, min=0, max=_MOST)
    rollouts = traitlets.Int(20, min=1, max=200)
    shown = traitlets.Int(-1, min=-1)

    @takes_study()
    @checks.takes(selection=SELECTION, pair=checks.PAIR, checker=RULE)
    def __init__(
        self,
        ds: xr.Dataset | None = None,
        *,
        selection: Selection | None = None,
        pair: "Pair | None" = None,
        checker: str | Checker | None = None,
        **state: Any,
    ) -> None:
        self.busy = Busy()
        self._ds = ds
        self._problems = Problems(ds, self.busy)
        self._models = Models(self.busy, pair, ds)
        self._live = LiveRollouts(self._models, self.busy, checker)
        self._settling, self._named = False, True
        self._place, self._problem = -1, None
        self.walk: Walk | None = None
        self.rollout_frame: pd.DataFrame | None = None
        selection = selection or Selection()
        super().__init__(selection=selection, **(self._opening(selection, state) | state))
        self._named = False
        selection.observe(self._follow, names=["problem", "rollout"])
        selection.observe(lambda _: self._look(), names=["token"])

    def _opening(self, selection: Selection, state: dict[str, Any]) -> dict[str, Any]:
        """Return the state of the problem that is chosen, or else of an instructive one."""
        if state.get("source") == Source.LIVE_DEV:
            return {}
        stored = stored_settings(self._problems.ds)
        stored = {name: stored[name] for name in ("temperature", "seed") if name in stored}
        if "problem" in state:
            with suppress(InputError):
                return stored | self._problems.state_of(state["problem"])
            return stored
        if selection.problem < 0 and not any(name in state for name in _OFFER):
            selection.value = opening(self._problems.ds)
        if selection.problem >= 0:
            stored |= self._problems.state_of(selection.problem)
        if any(name in state for name in _OFFER):
            whole = {name: getattr(self, name) for name in self.STATE} | stored | state
            with suppress(InputError):
                stored["problem"] = self._problems.begin(whole)
        return stored

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out the choice of problem, the buttons, the grid, the rollout, the alternatives."""
        self._headline, self._alternatives = ipywidgets.HTML(), ipywidgets.HTML()
        self.grid, self.text = (
            RolloutGrid(label="rollouts of this problem"),
            TokenView(label="rollout"),
        )
        self.grid.observe(self._chosen, names=["chosen"])
        traitlets.link((self.selection, "token"), (self.text, "cursor"))
        fields = {
            "source": ipywidgets.Dropdown(
                options=_SOURCES,
                description="source",
                tooltip="recorded rollouts, or new ones that the models decode",
            ),
            **{
                name: ipywidgets.Dropdown(
                    options=self._problems.names[name],
                    description=name,
                    tooltip=f"the {name} whose rollouts are shown",
                )
                for name in CELL
            },
            "level": ipywidgets.Dropdown(
                options={"every": 0} | {str(n): n for n in LEVELS},
                description="level",
                tooltip="how hard the problems are",
            ),
            "problem": ipywidgets.BoundedIntText(
                max=_MOST, description="problem", tooltip="number of the problem"
            ),
            "temperature": ipywidgets.BoundedFloatText(
                min=0.05,
                max=5,
                step=0.1,
                description="T",
                tooltip="temperature that new rollouts are drawn at",
            ),
            "seed": ipywidgets.BoundedIntText(
                max=_MOST, description="seed", tooltip="the same seed draws the same rollouts"
            ),
            "rollouts": ipywidgets.BoundedIntText(
                min=1, max=200, description="rollouts", tooltip="how many new rollouts are drawn"
            ),
        }
        for name, control in fields.items():
            control.layout.width = "320px" if name == "source" else "230px"
            traitlets.link((self, name), (control, "value"))
        self._live_controls = [fields[name] for name in ("temperature", "seed", "rollouts")]
        buttons = {
            "step": ("step-forward", "one token"),
            "run": ("play", "to the end"),
            "reset": ("fast-backward", "back to the prompt"),
            "fill": ("th", "decode every rollout of the grid"),
        }
        self.buttons = {
            name: _button(name, *about, getattr(self, name)) for name, about in buttons.items()
        }
        return (
            ipywidgets.HBox(list(fields.values()), layout=WRAP),
            self.said,
            self._headline,
            ipywidgets.HBox(list(self.buttons.values()), layout=WRAP),
            self.busy,
            self.grid,
            self.text,
            self._alternatives,
        )

    def step(self) -> None:
        """Show one token more; a live source decodes it."""
        self._press(self._advance)

    def run(self) -> None:
        """Show the rollout to its end."""
        self._press(lambda: self._advance(to_end=True))

    def reset(self) -> None:
        """Go back to the prompt; a live rollout is made anew."""
        self._press(self._rewind)

    def fill(self) -> None:
        """Make every rollout of the grid. Recorded rollouts are there already."""
        self._press(self._fill)

    def refresh(self) -> None:
        """Find the problem and the rollout, and show as much of it as is asked for."""
        for control in self._live_controls:
            control.disabled = self._recorded
        self.buttons["fill"].disabled = self._recorded
        self._settle()
        self.walk, self.rollout_frame = self._walked(), self._outcomes()
        self.grid.show(self.rollout_frame)
        self.grid.chosen = self.selection.rollout
        self.text.tokens = self.walk.trace.tokens[: self._n_shown]
        self._headline.value = self._say()
        self._look()
        if self._recorded and self.walk.found is None:
            raise InputError(self._problems.why_no_alternatives(self._place))

    def charts(self) -> dict[str, Any]:
        """Return the grid of rollouts."""
        return (
            {}
            if self.rollout_frame is None
            else {"rollout_grid": plot_rollout_grid(self.rollout_frame)}
        )

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tokens that are shown, the alternatives at the cursor, and the rollouts."""
        shown = {}
        if self.walk is not None and self._n_shown:
            shown["tokens"] = emitted(self.walk, n=self._n_shown)
            shown["alternatives"] = alternatives_at(
                self.walk, self._place_shown, self._models.pieces(self.family, self.method)
            )
        if self.rollout_frame is not None:
            shown["rollouts"] = self.rollout_frame
        return shown

    # --- problems

    @View.value.setter
    def value(self, state: dict[str, Any]) -> None:
        """Set some or all of the state at once."""
        before, self._named = self._named, "problem" in state
        if self._named and not any(name in state for name in ("source", *_OFFER)):
            state = self._called(state["problem"]) | state
        try:
            set_state(self, self.STATE, state)
        finally:
            self._named = before

    @traitlets.observe("source", *_OFFER)
    def _begin(self, _change: Any) -> None:
        """Go to one of other problems, unless one was named with them."""
        with suppress(InputError):
            if not self._named:
                self.problem = self._problems.begin(self.value)

    @traitlets.observe("problem")
    def _call(self, _change: Any) -> None:
        """Let family, method and task be those of the problem; the level stays if it fits."""
        if not self._named:
            set_state(self, self.STATE, self._called(self.problem))

    def _called(self, place: Any) -> dict[str, Any]:
        """Return the names of a problem, as far as they are not those of the state."""
        if self.source == Source.LIVE_DEV or not isinstance(place, int):
            return {}
        with suppress(InputError):
            if not self._problems.shows({**self.value, "problem": place}, place):
                return self._problems.state_of(place)
        return {}

    @traitlets.validate(*CELL)
    def _is_known(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        known = self._problems.names[name]
        if value not in known:
            raise traitlets.TraitError(f"unknown {name} {value!r}; allowed: {', '.join(known)}")
        return value

    def _settle(self) -> None:
        """Find the problem that the state names, and say so to whoever shares the selection."""
        self._place, self._problem = self._problems.find(self.value)
        self._settling = True
        try:
            self.selection.value = {
                "problem": self._place,
                "rollout": max(self.selection.rollout, 0),
            }
        finally:
            self._settling = False

    def _follow(self, _change: Any) -> None:
        """Show what another view has chosen."""
        if self._settling:
            return
        state, place = {}, self.selection.problem
        with self.speaking():
            if (
                self.source != Source.LIVE_DEV
                and place >= 0
                and not self._problems.shows(self.value, place)
            ):
                state = self._problems.state_of(place)
        if state:
            self.value = state
        elif not self.message:
            self._refreshed()

    # --- rollouts

    @property
    def _recorded(self) -> bool:
        return self.source == Source.RECORDED

    @property
    def _wanted(self) -> Wanted:
        return Wanted(self.family, self.method, self._problem, self.temperature, self.seed)

    @property
    def _origin(self) -> xr.Dataset | None:
        """The study whose settings live rollouts share."""
        return None if self.source == Source.LIVE_DEV else self._problems.ds

    @property
    def _n_shown(self) -> int:
        return len(self.walk) if self.shown < 0 else min(self.shown, len(self.walk))

    @property
    def _place_shown(self) -> int:
        """The cursor, or the last token that is shown."""
        token = self.selection.token
        return token if 0 <= token < self._n_shown else self._n_shown - 1

    def _walked(self) -> Walk:
        rollout = self.selection.rollout
        return (
            self._problems.walk(self._place, rollout)
            if self._recorded
            else self._live.walk(self._wanted, rollout)
        )

    def _outcomes(self) -> pd.DataFrame | None:
        if self._recorded:
            return study_grid(self._problems.one(self._place), 0)
        return self._live.grid(self._wanted, self.rollouts)

    def _advance(self, *, to_end: bool = False) -> None:
        self._settle()
        self.walk = self._walked()
        after = self._n_shown + 1
        if self.walk.ended and after > len(self.walk):
            raise InputError(
                f"the rollout has ended after {len(self.walk)} tokens; press reset to begin again"
            )
        if not self.walk.ended and (to_end or after > len(self.walk)):
            self._live.advance(self._wanted, self.selection.rollout, self._origin, to_end=to_end)
            self.walk, self.shown = self._walked(), -1
        else:
            self.shown = -1 if to_end or after == len(self.walk) else after
        self.selection.token = self._n_shown - 1

    def _rewind(self) -> None:
        self._settle()
        self.selection.token = -1
        if self._recorded:
            self.shown = 0
        else:
            self._live.forget(self._wanted, self.selection.rollout)
            self.shown = -1

    def _fill(self) -> None:
        if self._recorded:
            raise InputError("recorded rollouts are all there; choose a live source to make others")
        self._settle()
        self._live.fill(self._wanted, self.rollouts, self._origin)

    def _press(self, action: Callable[[], None]) -> None:
        with self.speaking():
            action()
        if not self.message:
            self._refreshed()

    def _chosen(self, change: Any) -> None:
        if change["new"] >= 0 and change["new"] != self.selection.rollout:
            self.selection.value = {"rollout": change["new"], "intervention": NONE, "token": -1}

    # --- words

    def _look(self) -> None:
        """Show both models' alternatives at the cursor."""
        shown = self.tables()
        if "tokens" not in shown:
            self._alternatives.value = ""
            return
        said = shown["tokens"].iloc[[self._place_shown]]
        known = self.walk.found is not None
        self._alternatives.value = alternatives_html(shown["alternatives"], said) if known else ""

    def _say(self) -> str:
        problem: Any = self._problem
        cell = html.escape(cell_words("|".join((self.family, self.method, self.task))))
        new = "new problem" if self.source == Source.LIVE_DEV else "problem"
        whole = self.walk.ended and self._n_shown == len(self.walk)
        outcome = self.walk.trace.outcome if self.walk else Outcome.NOT_RUN
        state = chip(outcome, outcome.value) if whole else f"{self._n_shown} tokens so far"
        level = f"level {problem.level}, " if problem.level > 0 else ""
        return (
            f'<b title="{html.escape(problem.problem_id)}">{new} {self.problem}</b>, {cell},'
            f" {level}rollout {self.selection.rollout}: {state}; the answer is"
            f" {html.escape(problem.answer)}<pre>{html.escape(problem.prompt)}</pre>"
        )


def _button(name: str, icon: str, tooltip: str, action: Callable[[], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=name, icon=icon, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button
