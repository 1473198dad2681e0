"""What two models would have said at a token, as bars to either side of the words."""

import html
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from recover_nb.core.schema import MODELS
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.markup import visible


class PairedBars(anywidget.AnyWidget):
    """Mirrored bars of two models at one place of a trace, in a panel that keeps its height.

    It is given every place at once, so that pointing at another asks nobody.

    Attributes
    ----------
    places : list of list of dict
        For each token of the trace its bars: ``token``, ``specialist``, ``ancestor`` (share, or
        None where it is not known), ``emitted``, and ``rescued`` for what saved the answer.
    sentences : list of str
        What is said of each place.
    cursor : int
        Place that is looked at; -1 = `home`.
    home : int
        Where it opens; -1 = nowhere.
    hint : str
        What is said where there is nothing to show.
    """

    _esm = Path(__file__).parent / "paired_bars.js"
    _css = css()

    places = traitlets.List(traitlets.List(traitlets.Dict())).tag(sync=True)
    sentences = traitlets.List(traitlets.Unicode()).tag(sync=True)
    cursor = traitlets.Int(-1).tag(sync=True)
    home = traitlets.Int(-1).tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)

    def still(self) -> str:
        """Return the place that is looked at as HTML."""
        at = self.cursor if 0 <= self.cursor < len(self.sentences) else self.home
        if not 0 <= at < len(self.places):
            return ""
        said, rows = html.escape(self.sentences[at]), self.places[at]
        table = "".join(_line(row, saved=any(each.get("rescued") for each in rows)) for row in rows)
        head = (
            '<tr><th class="left" scope="col">the specialist</th><td></td>'
            '<th class="right" scope="col">its ancestor</th></tr>'
        )
        drawn = f"<table>{head}{table}</table>" if rows else ""
        return f'<div class="recover-nb-bars"><p class="sentence">{said}</p>{drawn}</div>'


def _line(row: dict[str, Any], *, saved: bool) -> str:
    look = "rescued" if row.get("rescued") else "emitted" if row["emitted"] else ""
    look += " fate" if look == "emitted" and saved else ""
    word = f'<th class="word" scope="row"><code>{visible(row["token"])}</code></th>'
    sides = (_side(row[model], name) for model, name in zip(MODELS, ("left", "right"), strict=True))
    return f'<tr class="{look}">{word.join(sides)}</tr>'


def _side(share: float | None, look: str) -> str:
    known = 0.0 if share is None else share
    said = "\u2013" if share is None else "&lt; 1 %" if share < 0.005 else f"{100 * share:.0f} %"
    return f'<td class="{look}"><i style="width:{70 * known:.0f}%"></i><span>{said}</span></td>'
