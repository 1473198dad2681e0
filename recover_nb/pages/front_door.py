"""The front door: watch one failure, explore, bring your own, and what a budget buys."""

import html
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recover_nb.core.shipped import data_folder, shipped_folder
from recover_nb.pages.dial import CostDial
from recover_nb.pages.page import look, part, save_page, script
from recover_nb.pages.story import story_card
from recover_nb.pages.terms import terms_html

#: What the door shows of the bundled study, in the folder of shipped data: ``make door``.
RECORDED = "front_door.json"
TITLE = "Which failed answers can be saved, and by what?"
LEAD = "Small real models that really fail. Watch one failure, explore them all, or bring your own."


@dataclass(frozen=True)
class View:
    """A view that can be explored.

    Attributes
    ----------
    key : str
        Of its thumbnail.
    asks : str
        What it answers, for people.
    notebook : str
        Where it is, without its ending.
    call : str
        What its cell calls: the section with it is opened.
    """

    key: str
    asks: str
    notebook: str
    call: str


VIEWS = (
    View(
        "inspector",
        "What did the model write, and what would its ancestor have said?",
        "00_tour",
        "TraceInspector(",
    ),
    View("regimes", "What does each failure need?", "00_tour", "plot_regimes("),
    View("estimators", "How much of a gain is luck?", "00_tour", "evaluate_routing(ds,"),
    View("rescue", "Who rescues how many?", "01_generation", "plot_rescue("),
    View("value", "At which token was the answer lost?", "02_features", "plot_value("),
    View("features", "Do three numbers tell failures apart?", "02_features", "plot_features("),
    View(
        "clusters", "Do failures fall into groups?", "03_clustering_stability", "StabilityExplorer("
    ),
    View(
        "stability",
        "Would a cloud without groups look the same?",
        "03_clustering_stability",
        "rnb.cluster_stability(",
    ),
    View("budget", "Who wins at equal cost?", "04_routing_evaluation", "plot_budget("),
    View(
        "effects",
        "How far apart do ways of training lie?",
        "05_topography_and_transfer",
        "plot_effects(",
    ),
    View(
        "confusion",
        "Which training is taken for which?",
        "05_topography_and_transfer",
        "TopographyExplorer(",
    ),
    View("reading", "Could one tell by reading them?", "06_not_by_reading", "pooled.to_dataframe("),
)

#: What can be brought: heading, words, the call, where more is said.
WAYS = (
    (
        "Two checkpoints",
        "A model and the one it was trained from, with one tokenizer.",
        "pair = rnb.load_pair(specialist, ancestor)",
        "07_your_own_models",
    ),
    (
        "A log of another tool",
        "lm-eval, Inspect, vLLM, OpenAI, TRL, verl, or JSON lines.",
        "recover-nb import lm_eval LOG.jsonl --out log.zarr",
        "formats",
    ),
    (
        "A table",
        "One row per attempt, or one per problem with its rescue rates.",
        'ds = rnb.from_table("attempts.csv")',
        "formats",
    ),
    (
        "Models behind a server",
        "Their log-probabilities are enough for the signals.",
        "rnb.score_with_server(ds, endpoint)",
        "scaling",
    ),
)


class Links:
    """Where notebooks and pages lie, seen from the front door.

    Parameters
    ----------
    notebooks : str or None
        ``"{}.ipynb"`` beside the notebooks; ``"docs/notebooks/{}.html"`` from a page over the site.
        None: they cannot be opened from here.
    pages : str or None
        The same for pages of the documentation.
    """

    def __init__(self, notebooks: str | None, pages: str | None) -> None:
        self.notebooks, self.pages = notebooks, pages

    @classmethod
    def beside(cls) -> "Links":
        """Return the links of a notebook: copied ones have the pages in a folder of theirs."""
        copied = Path("docs", "glossary.md").is_file()
        return cls("{}.ipynb", "docs/{}.md" if copied else "../docs/{}.md")

    def to(self, name: str, heading: str = "") -> str:
        """Return where a notebook or page lies, "" where it cannot be opened."""
        place = self.notebooks if name[:1].isdigit() else self.pages
        if place is None:
            return ""
        # JupyterLab and Voila write a hyphen for each space; a site writes small letters, too.
        mark = quote(heading.replace(" ", "-"))
        if place.endswith(".html"):
            mark = re.sub(r"[^\w-]", "", heading.replace(" ", "-").lower())
        return place.format(name) + (f"#{mark}" if mark else "")


class FrontDoor:
    """Three doors and a dial. As the last line of a cell it shows itself.

    Attributes
    ----------
    stories : list of dict
        What can be watched: `tables.story.stories`.
    overall : str
        What holds over every failure.
    dial : CostDial
    """

    def __init__(self) -> None:
        told = recorded()
        self.stories, self.overall = told["story"]["stories"], told["story"]["overall"]
        self.dial = CostDial(told["dial"])
        self._thumbnails = told["views"]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": f"{TITLE} {LEAD}"}

    def save(self, path: str | Path, *, links: Links | None = None, replace: bool = False) -> Path:
        """Write a page of its own, which opens without a network.

        Parameters
        ----------
        path : str or Path
        links : Links, optional
            Where notebooks lie, seen from `path`; by default the page says how to open them.
        replace : bool
            Whether a file may be there.

        Raises
        ------
        InputError
            Something is at `path` already.
        """
        head = (
            '<header class="recover-nb-page" style="margin-bottom:22px"><h1 style="font-size:'
            f'clamp(26px,3.2vw,36px);line-height:1.2;margin:0 0 6px">{html.escape(TITLE)}</h1>'
            f'<p style="font-size:17px;color:var(--quiet)">{html.escape(LEAD)}</p></header>'
        )
        body = f"<style>{look()}{PAGE}</style>{head}" + self.html(links or Links(None, None))
        return save_page(path, TITLE, body, replace=replace)

    def html(self, links: Links | None = None) -> str:
        """Return the door as HTML; `links` say where notebooks lie, beside it by default."""
        links = links or Links.beside()
        doors = "".join(
            _door(*each)
            for each in (
                (
                    _staircase(self.stories[0]),
                    "Watch one failure",
                    "One minute, no code: where it went wrong, and what saves it.",
                    "Start the story",
                ),
                (
                    f'<span class="door-mosaic">{self._mosaic()}</span>',
                    "Explore",
                    "Twelve views: rollouts, features, groups, routing, and what luck can do.",
                    "See the views",
                ),
                (
                    _files(),
                    "Your own models and logs",
                    "Checkpoints, logs of other tools, tables, models behind a server.",
                    "Bring a file",
                ),
            )
        )
        views = "".join(self._view(each, links) for each in VIEWS)
        panels = (
            f'<div class="door-panel">{story_card(self.stories, self.overall)}</div>'
            '<div class="door-panel"><h2>Twelve views</h2>'
            f"<p>{_how(links)}</p>"
            f'<div class="door-views">{views}</div></div>'
            '<div class="door-panel"><h2>Your own models and logs</h2>'
            "<p>Whatever you bring becomes a study, and every view takes one.</p>"
            f'<div class="door-ways">{"".join(_way(*each, links) for each in WAYS)}</div></div>'
        )
        return (
            f"<style>{look()}{part('front_door.css')}</style>"
            f'<div class="recover-nb-page recover-nb-door"><div class="door-doors">{doors}</div>'
            f"{panels}{self.dial.html()}</div>{script('front_door', {})}{terms_html()}"
        )

    def _mosaic(self) -> str:
        return "".join(_image(self._thumbnails[each.key]) for each in VIEWS)

    def _view(self, view: View, links: Links) -> str:
        target = links.to(view.notebook, section(view.notebook, view.call))
        tag = f'a href="{html.escape(target)}"' if target else "div"
        return (
            f'<{tag} class="door-view"><span class="door-thumb" aria-hidden="true">'
            f"{_image(self._thumbnails[view.key])}</span>"
            f'<span class="door-asks">{html.escape(view.asks)}</span>'
            f'<span class="door-where">{view.notebook}</span></{tag.partition(" ")[0]}>'
        )


#: Of a page that is nothing but the door.
PAGE = (
    "body{background:#fff}@media(prefers-color-scheme:dark){body{background:#16181d}}"
    ".recover-nb-page{margin:auto}"
)


def front_door() -> FrontDoor:
    """Show where to begin: one failure to watch, views to explore, your own models, and a dial.

    Returns
    -------
    FrontDoor

    See Also
    --------
    story : The failure to watch.
    cost_dial : What a budget buys.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> door = rnb.front_door()
    >>> door.dial.told["strategies"][0]["name"], len(door.stories)
    ('Try again', 6)
    """
    return FrontDoor()


@cache
def recorded() -> dict[str, Any]:
    """Return what was recorded of the bundled study for the front door."""
    return json.loads((data_folder() / RECORDED).read_text("utf-8"))


@cache
def section(notebook: str, call: str) -> str:
    """Return the heading over the first cell of a notebook that calls something, "" for none."""
    path = shipped_folder("notebooks") / f"{notebook}.ipynb"
    heading = ""
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and call in source:
            return heading
        found = re.findall(r"^##+ (.+)$", source, re.MULTILINE)
        heading = found[-1] if cell["cell_type"] == "markdown" and found else heading
    return ""


def _door(picture: str, name: str, about: str, go: str) -> str:
    return (
        '<button type="button" class="door" aria-expanded="true">'
        f'<span class="door-picture" aria-hidden="true">{picture}</span><span class="door-words">'
        f'<span class="door-name">{name}</span><span class="door-about">{about}</span>'
        f'<span class="door-go">{go} \u2192</span></span></button>'
    )


def _image(address: str) -> str:
    """Return a picture; one that is not in the page itself is left out."""
    if not address.startswith("data:image/png;base64,"):
        return ""
    return f'<img alt="" src="{html.escape(address)}">'


def _how(links: Links) -> str:
    if links.notebooks is None:
        return (
            "Drawn from the bundled study. To open one: <code>make lab</code>, then the notebook"
            " that is named."
        )
    return "Drawn from the bundled study. Each opens its notebook where it stands in it."


def _way(name: str, about: str, call: str, more: str, links: Links) -> str:
    target = links.to(more)
    words = more if more[:1].isdigit() else f"the page on {more}"
    link = f'<a href="{html.escape(target)}">{words}</a>' if target else words
    return (
        f'<div class="door-way"><h3>{name}</h3><p>{about}</p>'
        f"<pre>{html.escape(call)}</pre><p>More: {link}</p></div>"
    )


#: Tokens of the story's answer that the door shows on either side of the one that decides.
AROUND = 6


def _staircase(story: dict[str, Any]) -> str:
    """Return the value of an answer's beginnings, falling, over its tokens."""
    turn, value, tokens = story["turn"], story["value"], story["tokens"]
    first = max(0, min(turn - AROUND, len(tokens) - 2 * AROUND - 1))
    shown = range(first, min(len(tokens), first + 2 * AROUND + 1))
    wide = 360 / len(shown)
    top = max(max(value), 0.01)
    steps = ((wide * (at - first), 100 - 78 * value[at + 1] / top) for at in shown)
    line = "M" + "L".join(f"{x:.1f} {y:.1f}h{wide:.1f}" for x, y in steps)
    words = "".join(
        f'<text x="{wide * (at - first + 0.5):.1f}" y="130" text-anchor="middle"'
        f' fill="var({"--wrong" if at == turn else "--ink"})"'
        f' font-weight="{700 if at == turn else 400}">{html.escape(_seen(tokens[at]))}</text>'
        for at in shown
    )
    x = wide * (turn - first + 0.5)
    return (
        '<svg viewBox="-14 0 388 150" font-family="ui-monospace, monospace" font-size="17">'
        f'<path d="M{x:.1f} 8V110" stroke="var(--wrong)" stroke-width="2" stroke-dasharray="5 5"/>'
        f'<path d="{line}" fill="none" stroke="var(--operator)" stroke-width="4"'
        f' stroke-linejoin="round"/>{words}</svg>'
    )


def _seen(token: str) -> str:
    return token.replace("\n", "\u21b5").replace(" ", "\u00b7").replace("<eos>", "\u25a0")


def _files() -> str:
    """Return a few files, by their endings."""
    sheets = "".join(
        f'<g transform="translate({12 + 90 * at} {22 + 9 * (at % 2)})"><path d="M0 6a6 6 0 0 1 6-6'
        'h42l18 18v64a6 6 0 0 1-6 6H6a6 6 0 0 1-6-6z" fill="var(--back)" stroke="var(--quiet)"'
        ' stroke-width="1.5"/><path d="M48 0v18h18" fill="none" stroke="var(--quiet)"'
        f' stroke-width="1.5"/><text x="33" y="58" text-anchor="middle" fill="var(--ink)">{name}'
        "</text></g>"
        for at, name in enumerate((".jsonl", ".eval", "LoRA", ".csv"))
    )
    return (
        f'<svg viewBox="0 0 360 150" font-family="system-ui, sans-serif" font-size="16">{sheets}'
        "</svg>"
    )
