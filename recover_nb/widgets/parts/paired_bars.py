"""What two models would have said at a token, as bars to either side of the words."""

from pathlib import Path

import anywidget
import traitlets

from recover_nb.widgets.parts.token_view import style


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
    _css = style()

    places = traitlets.List(traitlets.List(traitlets.Dict())).tag(sync=True)
    sentences = traitlets.List(traitlets.Unicode()).tag(sync=True)
    cursor = traitlets.Int(-1).tag(sync=True)
    home = traitlets.Int(-1).tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)
