"""A trace as flowing text, one cell per token: the widget under every view that shows a trace."""

import html
from pathlib import Path

import anywidget
import traitlets

from recover_nb.core.theme import contrast
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.markup import visible
from recover_nb.widgets.parts.traits import Plain

_FOLDER = Path(__file__).parent


class TokenView(Plain, anywidget.AnyWidget):
    """A trace as flowing text.

    Draws what it is given and says where the cursor is; it knows no study and no maths.

    Arrow keys, Home and End move the cursor, J goes to the junction, Enter or a click pins a token;
    hovering moves the cursor while nothing is pinned.

    Attributes
    ----------
    tokens : list of str
        Text of each token. Spaces and line ends are made visible; markup is shown, never read.
    colours : list of str
        Background of each token, any CSS colour; empty = none. Text on an ``#rrggbb`` is black or
        white, whichever reads better; on others it is that of the page.
    notes : list of str
        What a screen reader and the tooltip say of each token, after its text and place.
    junction : int
        Marked place; -1 = none.
    window : tuple of (int, int)
        First and last place of the junction's window; (-1, -1) = none.
    differs : list of int
        Places underlined as different from another trace.
    cursor : int
        Place looked at; -1 = none. Set by the reader or from Python.
    pinned : int
        Place that was clicked, or chosen by Enter; -1 = none.
    values : list of float
        Length of the bar below each token, 0 to 1; empty = no bars.
    others : list of float
        Height of a mark over each bar, 0 to 1; empty = none.
    fatal : int
        Place marked as the one where the answer was lost; -1 = none.
    steps : list of str
        Mark of the step that each token belongs to: ``right``, ``wrong`` or ``after``, with
        ``tool`` where a calculator could do it and ``begins`` at its first token; empty = none.
    label : str
        What the trace is, for a screen reader.
    """

    _esm = _FOLDER / "token_view.js"
    _css = css()

    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    notes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    junction = traitlets.Int(-1).tag(sync=True)
    window = traitlets.Tuple(traitlets.Int(), traitlets.Int(), default_value=(-1, -1)).tag(
        sync=True
    )
    differs = traitlets.List(traitlets.Int()).tag(sync=True)
    cursor = traitlets.Int(-1).tag(sync=True)
    pinned = traitlets.Int(-1).tag(sync=True)
    values = traitlets.List(traitlets.Float()).tag(sync=True)
    others = traitlets.List(traitlets.Float()).tag(sync=True)
    fatal = traitlets.Int(-1).tag(sync=True)
    steps = traitlets.List(traitlets.Unicode()).tag(sync=True)
    label = traitlets.Unicode("trace").tag(sync=True)

    def still(self) -> str:
        """Return the trace as HTML, marked as in the browser; nothing of a trace without tokens."""
        if not self.tokens:
            return ""
        cells = "".join(map(self._cell, range(len(self.tokens))))
        name = html.escape(self.label)
        return f'<div class="recover-nb-tokens" role="img" aria-label="{name}">{cells}</div>'

    def _cell(self, place: int) -> str:
        token, first, last = self.tokens[place], *self.window
        marks = {
            "window": 0 <= first <= place <= last,
            "junction": place == self.junction,
            "fatal": place == self.fatal,
            "differs": place in self.differs,
            "current": place == self.cursor,
            "pinned": place == self.pinned,
        }
        classes = " ".join(["token", *(name for name, on in marks.items() if on)])
        note = html.escape(self.notes[place]) if place < len(self.notes) else ""
        colour = self.colours[place] if place < len(self.colours) else ""
        look = f' style="background:{html.escape(colour)};color:{_ink(colour)}"' if colour else ""
        text = f'<span class="said"{look}>{visible(token)}</span>'
        below = self._bar(place) + self._step(place)
        cell = f'<span class="{classes}" title="{note}">{text}{below}</span>'
        return f"{cell}<br>" if "\n" in token else cell

    def _bar(self, place: int) -> str:
        if place >= len(self.values):
            return ""
        fill = f'<i style="height:{self.values[place]:.1%}"></i>'
        if place < len(self.others):
            fill += f'<b style="bottom:{self.others[place]:.1%}"></b>'
        return f'<span class="value">{fill}</span>'

    def _step(self, place: int) -> str:
        if place >= len(self.steps):
            return ""
        return f'<span class="step {html.escape(self.steps[place])}"></span>'


def _ink(colour: str) -> str:
    """Return black or white, whichever stands out more from an ``#rrggbb`` background."""
    if len(colour) != 7:
        return "inherit"
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))
