"""What the predictions of a kernel share: who asked, and whether hands are counted."""

import os
from typing import Any

import traitlets

#: Set where pages are made that no kernel stands behind (``make docs``): what a still folds away is
#: worked out then. In a notebook a callable waits for the guess. Some take minutes, and Run All
#: would pay for answers that nobody has asked for; so a saved notebook folds what costs nothing.
ANSWERS = "RECOVER_NB_ANSWERS"


class Classroom(traitlets.HasTraits):
    """Every prediction of this kernel, in the order in which the notebook asks.

    Attributes
    ----------
    asks : tuple of Predict
        A question that is asked anew, by a cell that ran again, takes the place of the former one.
    counting : bool
        Whether hands are counted; `present` sets it.
    """

    asks = traitlets.Tuple()
    counting = traitlets.Bool(False)

    def joined(self, ask: Any) -> None:
        """Take a prediction in."""
        found = {each.question: each for each in self.asks}
        self.asks = tuple({**found, ask.question: ask}.values())


CLASSROOM = Classroom()


def answers_wanted() -> bool:
    """Say whether stills are to hold every answer, whatever it costs."""
    return bool(os.environ.get(ANSWERS))
