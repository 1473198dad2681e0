"""What both models would have said at every token of a trace."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recover_nb.tables.inspection import Trace
from recover_nb.tables.tokens import paired, say_token, with_rescue
from recover_nb.widgets.parts.paired_bars import PairedBars


class TokenBars(PairedBars):
    """Paired bars of a trace."""

    def show(
        self,
        trace: Trace,
        found: Any,
        pieces: Mapping[int, str],
        lost_at: int,
        rescue: pd.DataFrame | None,
    ) -> None:
        """Show a trace, open where it was lost, or else at its junction.

        Parameters
        ----------
        trace : Trace
        found : pair of (token, 2, k) arrays or None
            Token ids and log-probabilities of both models; None = not known.
        pieces : mapping of int to str
            From `token_pieces`.
        lost_at : int
            The fatal token; -1 = none.
        rescue : DataFrame, optional
            A right attempt aligned with the trace (`tables.attempts.aligned_rows`).
        """
        n = len(trace.tokens)
        places = [[]] * n
        if found is not None:
            places = [paired(trace, at, found, dict(pieces)) for at in range(n)]
        if rescue is not None:
            places = with_rescue(places, rescue)
        words = enumerate(zip(trace.tokens, places, strict=True))
        with self.hold_sync():
            self.places = places
            self.sentences = [say_token(at, token, rows) for at, (token, rows) in words]
            self.home = max(lost_at if lost_at >= 0 else trace.junction, 0)
