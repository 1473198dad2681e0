"""Controls that most readers do without, folded away."""

import ipywidgets


class Fold(ipywidgets.Accordion):
    """A heading that opens and closes what is below it; closed at first.

    Parameters
    ----------
    title : str
    *children : Widget
    """

    def __init__(self, title: str, *children: ipywidgets.Widget) -> None:
        inside = ipywidgets.VBox(children)
        super().__init__(children=[inside], titles=(title,), selected_index=None)
        self.add_class("recover-nb-fold")
