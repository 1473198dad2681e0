"""Something that waits for a press: it takes a while, or needs torch."""

import html
from collections.abc import Callable
from typing import Any

import ipywidgets
import pandas as pd
import traitlets

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.tables.kit import for_people
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.keys import Keys
from recover_nb.widgets.parts.lasting import Lasting


class Press(Lasting):
    """A button that does something once it is pressed, and keeps and shows what came of it.

    Parameters
    ----------
    label : str
        What the button does, as a command.
    work : callable
        Called with a function that takes how much more has been done, for the bar.
    total : int
        What that adds up to; 0 = not known, no bar.

    Attributes
    ----------
    done : bool
    message : str
        What went wrong, in a sentence; empty when nothing did.
    result : object
        What `work` returned; None before. A widget is shown as it is, a data frame as a table, a
        text as text; anything else is only kept.

    Examples
    --------
    >>> press = Press("add", lambda tell: "1 + 1 is 2")
    >>> press.or_else(lambda: "not pressed")
    'not pressed'
    >>> press.press()
    '1 + 1 is 2'
    """

    done = traitlets.Bool(False)
    message = traitlets.Unicode("")

    @checks.takes(
        label=checks.TEXT,
        work=checks.calls(1, "a function of one argument, what counts the steps"),
        total=checks.DRAWS,
    )
    def __init__(
        self, label: str, work: Callable[[Callable[[int], None]], Any], *, total: int = 0
    ) -> None:
        self._label, self._work, self._total, self.result = label, work, total, None
        self._button = ipywidgets.Button(
            description=label,
            tooltip=f"{label}: it takes a while, and what comes of it is shown below",
            layout=ipywidgets.Layout(width="max-content"),
        )
        self._busy, self._said, self._shown = Busy(), ipywidgets.HTML(), ipywidgets.VBox()
        super().__init__()
        self.add_class("recover-nb").add_class("recover-nb-Press")
        self.children = (self._button, self._busy, self._said, self._shown, Keys())
        self._button.on_click(lambda _: self.press())

    def press(self) -> Any:
        """Do it, show and return what came of it; None, and a message, if it cannot be done."""
        self.message, self._button.disabled, so_far = "", True, 0
        try:
            with self._busy.doing(self._label, self._total) as tell:

                def more(n: int) -> None:
                    nonlocal so_far
                    so_far += n
                    tell(so_far)

                self.result = self._work(more)
            self.done = True
            self._show()
        except (InputError, ModuleNotFoundError) as error:
            self.message = str(error)
        finally:
            self._button.disabled = False
        return self.result

    def or_else(self, default: Callable[[], Any]) -> Any:
        """Return the result if there is one, else what `default` returns."""
        return self.result if self.done else default()

    @traitlets.observe("message")
    def _say(self, change: dict[str, Any]) -> None:
        said = html.escape(change["new"])
        self._said.value = f'<p role="alert" class="recover-nb-message">{said}</p>' if said else ""

    def _show(self) -> None:
        it = self.result
        if isinstance(it, pd.DataFrame):
            it = ipywidgets.HTML(for_people(it).to_html())
        elif isinstance(it, str):
            it = ipywidgets.HTML(f'<p role="status">{html.escape(it)}</p>')
        self._shown.children = (it,) if isinstance(it, ipywidgets.Widget) else ()
        if not self._shown.children:
            self._said.value = '<p role="status">Done.</p>'
