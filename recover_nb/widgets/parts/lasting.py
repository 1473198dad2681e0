"""What a widget leaves in a notebook: itself, and below it a still for when no kernel is there.

The still is an output of its own. Its style sheet hides it while the widget is alive, and hides
the widget's place while it is not: there a front end would say that a model was not found. No
script is needed, so every reader that shows HTML shows the still.
"""

import asyncio
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
from IPython import get_ipython
from IPython.display import display, update_display

from recover_nb.core.visible import AS_TEXT
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.still import still
from recover_nb.widgets.parts.traits import Plain

_FOLDER = Path(__file__).parent
#: Seconds without a change after which the still is made anew: making one takes as long as drawing.
REST = 2.0
NOTE = "<p><small>A picture of the widget. Run the cell to use it.</small></p>"


class Lasting(Plain, ipywidgets.VBox):
    """A widget that can still be seen after its notebook was saved, closed and opened again.

    The still follows the widget: it is made anew at the end of each cell that changed a trait of
    the widget, and after the reader's changes once they rest.
    """

    def __init__(self, *children: Any, **traits: Any) -> None:
        super().__init__(*children, **traits)
        self._still_left, self._still_due = "", False
        self._still_timer: asyncio.TimerHandle | None = None
        self.observe(self.changed)

    def still(self) -> str:
        """Return what is shown now, as HTML that needs no kernel."""
        inside = "".join(map(still, self.children))
        return f'<div class="still-box">{inside}</div>'

    def outputs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a notebook keeps, by mime type: the widget itself, and the still of it."""
        name = type(self).__name__
        # Readers that do not know the widget show nothing in its place, and the still below it.
        live = {**(self._repr_mimebundle_() or {}), "text/html": "<div></div>", "text/plain": name}
        page = f"<style>{_looks()}{self._still_hidden()}</style>{self.still()}{NOTE}"
        kept = f'<div class="recover-nb-still {AS_TEXT} {self._still_place}">{page}</div>'
        return live, {"text/html": kept, "text/plain": f"{name}: a picture of the widget"}

    def changed(self, _change: Any = None) -> None:
        """Note that the still is no longer what is shown."""
        if not getattr(self, "_still_left", ""):
            return
        self._still_due = True
        # Nothing waits in a plain Python; there the end of the cell is all there is.
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            if self._still_timer is not None:
                self._still_timer.cancel()
            self._still_timer = loop.call_later(REST, self._still_renew)

    def close(self) -> None:
        """Close the widget; its still stays as it is."""
        if getattr(self, "_still_left", ""):
            self._still_left, self._still_due = "", False
            get_ipython().events.unregister("post_run_cell", self._still_renew)
        super().close()

    @property
    def _still_place(self) -> str:
        return f"recover-nb-still-{self.model_id}"

    def _still_hidden(self) -> str:
        """Return the style that shows either the widget or its still."""
        alive, child, kept = (
            f".recover-nb-is-{self.model_id}",
            ".jp-OutputArea-child",
            self._still_place,
        )
        return (
            f"body:has({alive}) .{kept}, .jp-OutputArea:has({alive}) {child}:has(.{kept}),"
            f" {child}:not(:has({alive})):has(+ {child} .{kept}) {{ display: none; }}"
        )

    def _ipython_display_(self, **_: Any) -> None:
        self.add_class(f"recover-nb-is-{self.model_id}")
        live, kept = self.outputs()
        shell = get_ipython()
        if not self._still_left and shell is not None:
            shell.events.register("post_run_cell", self._still_renew)
        self._still_left = kept["text/html"]
        display(live, raw=True)
        display(kept, raw=True, display_id=self._still_place)

    def _still_renew(self, _result: Any = None) -> None:
        """Make the still anew, if something changed since the last."""
        if not self._still_due:
            return
        self._still_due = False
        _, kept = self.outputs()
        if kept["text/html"] != self._still_left:
            self._still_left = kept["text/html"]
            update_display(kept, raw=True, display_id=self._still_place)


@cache
def _looks() -> str:
    return css() + (_FOLDER / "still.css").read_text("utf-8")
