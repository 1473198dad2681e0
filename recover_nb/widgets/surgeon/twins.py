"""Twins of a failed answer: made on its own pair, kept, and shown as rates and trees."""

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
import pandas as pd

from recover_nb.tables.inspection import Trace
from recover_nb.tables.twin_tree import HISTORY, diff_tree, rate_rows, say_rates
from recover_nb.widgets.parts.markup import history_html, note, rates_html, tree_html

if TYPE_CHECKING:
    from recover_nb.generation.surgery import Surgery

_HINT = (
    "Choose a token: click it, or press Enter on it. What comes before it is kept; retry and the"
    " operator then go on from there, with the same random numbers."
)


class Outcome(ipywidgets.VBox):
    """What came of the last branching, and of those before it."""

    def __init__(self) -> None:
        self.rates, self.trees, self.past = (ipywidgets.HTML() for _ in range(3))
        super().__init__([self.rates, self.trees, self.past])

    def show(
        self,
        made: Sequence["Surgery"],
        failed: Trace | None,
        history: pd.DataFrame,
        text_of: Callable[[Sequence[int]], str],
    ) -> None:
        """Show the branchings of one token side by side, and the history below.

        Parameters
        ----------
        made : sequence of Surgery
            Of the trace that is shown; none = a hint.
        failed : Trace or None
        history : DataFrame
        text_of : callable (token ids) -> str
        """
        self.past.value = history_html(history)
        if not made or failed is None:
            self.rates.value, self.trees.value = note(_HINT), ""
            return
        rates = rate_rows(pd.DataFrame([history_row(each) for each in made]))
        said = "; ".join(f"{one.operator}: {one.said}" for one in rates.itertuples())
        words = f"From token {made[0].position} on, {said}. {say_rates(rates)}"
        self.rates.value = (
            f'<p class="recover-nb-note" role="status">{html.escape(words)}</p>{rates_html(rates)}'
        )
        self.trees.value = "".join(_tree(each, failed, text_of) for each in reversed(made))


def _tree(done: "Surgery", failed: Trace, text_of: Callable[[Sequence[int]], str]) -> str:
    tree = diff_tree(failed.token_id.tolist(), done.traces, done.correct.tolist())
    title = html.escape(f"what the twins of {done.intervention} wrote")
    return (
        f'<details class="recover-nb-twins"><summary>{title}</summary>'
        f"{tree_html(tree, text_of, done.position)}</details>"
    )


def history_row(done: "Surgery") -> dict[str, Any]:
    """Return what `tables.twin_tree.HISTORY` keeps of a branching, except for its trace."""
    low, high = done.interval
    return {
        "position": done.position,
        "operator": done.intervention,
        "alpha": done.alpha,
        "continuation": done.continuation,
        "n": done.n,
        "rescued": done.rescued,
        "rate": done.rate,
        "low": low,
        "high": high,
        "deterministic": done.deterministic,
    }


def twin_rows(made: Sequence["Surgery"], text_of: Callable[[Sequence[int]], str]) -> pd.DataFrame:
    """Return the twins of the branchings of one token, one per row."""
    frames = [
        pd.DataFrame(
            {
                "operator": done.intervention,
                "twin": range(done.n),
                "correct": done.correct,
                "n_tokens": done.n_tokens,
                "fired_at": done.fired_at,
                "text": [text_of(tokens) for tokens in done.traces],
            }
        )
        for done in made
    ]
    return pd.concat(frames, ignore_index=True)


def as_history(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a history, the oldest first."""
    return pd.DataFrame(rows, columns=list(HISTORY))
