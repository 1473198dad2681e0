"""Say what is being waited for."""

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ipywidgets


class Busy(ipywidgets.HBox):
    """A sentence while something takes a while, and a bar where its end is known.

    Out of the way otherwise.

    Attributes
    ----------
    said : list of str
        What was waited for so far, the last last.
    """

    def __init__(self) -> None:
        self._what, self._bar = ipywidgets.HTML(), ipywidgets.IntProgress()
        self.said: list[str] = []
        super().__init__([self._what, self._bar])
        self.layout.display = "none"

    @contextmanager
    def doing(self, what: str, total: int = 0) -> Iterator[Callable[[int], None]]:
        """Show `what` as long as the block runs.

        Parameters
        ----------
        what : str
        total : int
            Size of the task; 0 where it is not known.

        Yields
        ------
        callable
            Takes how much is done so far.
        """
        self.said.append(what)
        self._what.value = f'<span role="status">{html.escape(what)}\u2026</span>'
        self._bar.max, self._bar.value = max(total, 1), 0
        self._bar.layout.display = "" if total else "none"
        self.layout.display = ""
        try:
            yield self._tell
        finally:
            self.layout.display = "none"

    def _tell(self, n_done: int) -> None:
        self._bar.value = min(n_done, self._bar.max)
