"""The rollouts of a problem as a grid of choices."""

import html
from pathlib import Path

import anywidget
import pandas as pd
import traitlets

from recover_nb.core.theme import ON_BAR, OUTCOME_COLOURS
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.traits import Plain

_FOLDER = Path(__file__).parent


class RolloutGrid(Plain, anywidget.AnyWidget):
    """One radio button a rollout, coloured and signed by whether it is correct.

    Arrow keys move the choice.

    Attributes
    ----------
    texts : list of str
        What is written on each: a sign, which says what the colour says, and its number.
    colours : list of str
        Background of each, light enough for black text.
    notes : list of str
        What the tooltip and a screen reader say of each.
    chosen : int
        -1 = none. Set by the reader or from Python.
    columns : int
    label : str
        What the grid is, above it.
    """

    _esm = _FOLDER / "rollout_grid.js"
    _css = css()

    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    notes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    columns = traitlets.Int(10, min=1).tag(sync=True)
    label = traitlets.Unicode("rollouts").tag(sync=True)

    def still(self) -> str:
        """Return the grid as HTML, the chosen rollout framed; nothing of an empty one."""
        if not self.texts:
            return ""
        cells = "".join(
            f'<span style="background:{html.escape(colour)};color:{ON_BAR};padding:2px 4px;'
            f'border:2px solid {"currentColor" if at == self.chosen else "transparent"}"'
            f' title="{html.escape(note)}">{html.escape(text)}</span>'
            for at, (text, colour, note) in enumerate(
                zip(self.texts, self.colours, self.notes, strict=True)
            )
        )
        grid = (
            f'<div style="grid-template-columns:repeat({self.columns}, max-content)">{cells}</div>'
        )
        return f'<div class="recover-nb-rollouts">{html.escape(self.label)}{grid}</div>'

    def show(self, frame: pd.DataFrame | None) -> None:
        """Show the rollouts of `tables.rollouts.outcome_grid`; None empties the grid."""
        rows = [] if frame is None else list(frame.itertuples())
        with self.hold_sync():
            self.texts = [f"{one.sign} {one.rollout}" for one in rows]
            self.colours = [OUTCOME_COLOURS[one.outcome] for one in rows]
            self.notes = [
                f"rollout {one.rollout}: {one.outcome}, {one.n_tokens} tokens" for one in rows
            ]
