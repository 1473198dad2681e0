"""The cost dial: a slider, a square of a hundred problems for each strategy, and a sentence."""

import html
from pathlib import Path
from typing import Any

from recover_nb.core.labels import Intervention
from recover_nb.core.visible import AS_TEXT
from recover_nb.pages.page import look, part, save_page, script
from recover_nb.pages.terms import term

#: Where the slider stands at first, in forward passes per problem.
START = 100
RETRY = Intervention.RETRY.value
BEST_FIXED = "best_fixed"


class CostDial:
    """What a budget buys: of a hundred failed problems, how many each strategy solves.

    As the last line of a cell it shows itself, and goes on doing so without a kernel.

    Attributes
    ----------
    told : dict
        What is shown, as plain data: `tables.cost_dial`.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told

    @property
    def start(self) -> int:
        """Where the slider stands at first, as a place in ``told["budgets"]``."""
        budgets = self.told["budgets"]
        return min(range(len(budgets)), key=lambda at: abs(budgets[at] - START))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        page = f'<div class="recover-nb-page"><style>{look()}</style>{self.html()}</div>'
        return {"text/html": page, "text/plain": self.told["sentences"][self.start]}

    def save(self, path: str | Path, *, replace: bool = False) -> Path:
        """Write a page of its own, which opens without a network.

        Raises
        ------
        InputError
            Something is at `path` already.
        """
        return save_page(
            path, "What does a budget buy?", self._repr_mimebundle_()["text/html"], replace=replace
        )

    def html(self) -> str:
        """Return the dial, to stand in an element of the class ``recover-nb-page``."""
        told, at = self.told, self.start
        budget, tries = (html.escape(str(told[name][at])) for name in ("budgets", "tries"))
        squares = "".join(_square(each, at, told["operators"][at]) for each in told["strategies"])
        head = (
            '<div class="dial-head"><h2>What does a budget buy?</h2><label class="dial-slider">'
            f'<input type="range" min="0" max="{len(told["budgets"]) - 1}" value="{at}"'
            ' aria-label="forward passes per problem"><span class="dial-budget">'
            f"<b>{budget}</b> {term('forward pass', 'forward passes')} per problem<br>"
            f'<small class="dial-tries">about {tries} tries of the model</small>'
            "</span></label></div>"
        )
        fine = "".join(f"<p>{html.escape(told[name])}</p>" for name in ("population", "free"))
        return (
            f'<style>{part("dial.css")}</style><section class="recover-nb-dial {AS_TEXT}"'
            f' aria-label="What does a budget buy?">{head}'
            f'<p class="dial-said" aria-live="polite">{html.escape(told["sentences"][at])}</p>'
            f'<div class="dial-squares">{squares}</div><label class="dial-count">'
            '<input type="checkbox"> also pay for the answers that are read before choosing</label>'
            f'<div class="dial-fine">{fine}</div></section>{script("dial", told)}'
        )


def _square(strategy: dict[str, Any], at: int, operator: str) -> str:
    n = strategy["solved"][at]
    kind = "retry" if strategy["key"] == RETRY else "operator"
    cells = '<i class="on"></i>' * n + "<i></i>" * (100 - n)
    about = html.escape(strategy["about"])
    if strategy["key"] == BEST_FIXED:
        about += f' Here mostly <span class="dial-operator">{html.escape(operator)}</span>.'
    return (
        f'<div class="dial-one dial-{kind}"><h3>{term(strategy["term"], strategy["name"])}</h3>'
        f'<p class="dial-about">{about}</p>'
        f'<div class="dial-square" role="img" aria-label="{html.escape(strategy["name"])}: {n} of'
        f' 100 solved">{cells}</div>'
        f'<p class="dial-number"><b>{n}</b>of 100 solved<span class="dial-against"></span></p>'
        "</div>"
    )
