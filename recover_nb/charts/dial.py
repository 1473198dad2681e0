"""The cost dial: a slider, a square of a hundred problems for each strategy, and a sentence."""

import html
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.charts.escaping import ScriptSafe
from recover_nb.charts.terms import term
from recover_nb.core.labels import Intervention
from recover_nb.core.places import check_free, placed
from recover_nb.tables.dial import cost_dial as figures

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
        page = f'<div class="recover-nb-page"><style>{part("look.css")}</style>{self.html()}</div>'
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
        squares = "".join(_square(each, at, told["operators"][at]) for each in told["strategies"])
        head = (
            '<div class="dial-head"><h2>What does a budget buy?</h2><label class="dial-slider">'
            f'<input type="range" min="0" max="{len(told["budgets"]) - 1}" value="{at}"'
            ' aria-label="forward passes per problem"><span class="dial-budget">'
            f"<b>{told['budgets'][at]}</b> {term('forward pass', 'forward passes')} per problem<br>"
            f'<small class="dial-tries">about {told["tries"][at]} tries of the model</small>'
            "</span></label></div>"
        )
        fine = "".join(f"<p>{html.escape(told[name])}</p>" for name in ("population", "free"))
        return (
            f'<style>{part("dial.css")}</style><section class="recover-nb-dial"'
            f' aria-label="What does a budget buy?">{head}'
            f'<p class="dial-said" aria-live="polite">{html.escape(told["sentences"][at])}</p>'
            f'<div class="dial-squares">{squares}</div><label class="dial-count">'
            '<input type="checkbox"> pay for the answers that are read before the choice</label>'
            f'<div class="dial-fine">{fine}</div></section>{script("dial", told)}'
        )


def cost_dial(ds: xr.Dataset | None = None) -> CostDial:
    """Show what a budget buys: trying again, routing, and what else might help, at equal cost.

    Parameters
    ----------
    ds : Dataset, optional
        A study with attempts and their forward passes; what is recorded of the bundled one unless
        given.

    Returns
    -------
    CostDial

    Raises
    ------
    InputError
        The study does not store what is needed.

    See Also
    --------
    evaluate_routing : Budget curves with their intervals.
    compare_routers : Routers with theirs.

    Notes
    -----
    docs/method.md#cost-dial.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> [each["name"] for each in rnb.cost_dial().told["strategies"]][:2]
    ['Try again', 'The published rule']
    """
    if ds is not None:
        return CostDial(figures(ds))
    from recover_nb.charts.front_door import recorded

    return CostDial(recorded()["dial"])


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


def script(name: str, told: Any) -> str:
    """Return a script that calls the function of ``name.js`` on the element before it."""
    code = part(f"{name}.js").replace("export function", "function")
    data = json.dumps(told, cls=ScriptSafe, ensure_ascii=False, separators=(",", ":"))
    call = f"{name}(document.currentScript.previousElementSibling, {data});"
    return f"<script>(() => {{ {code} {call} }})();</script>"


def save_page(path: str | Path, title: str, body: str, *, replace: bool = False) -> Path:
    """Write a page that asks no host for anything.

    Raises
    ------
    InputError
        Something is at `path` already.
    """
    path = Path(path)
    check_free(path, replace=replace)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title></head>"
        '<body style="margin:0;padding:clamp(16px,3vw,36px)"><main style="max-width:1120px;'
        f'margin:auto">{body}</main></body></html>'
    )
    with placed(path, replace=replace) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


@cache
def part(name: str) -> str:
    """Return a file that lies beside this one."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")
