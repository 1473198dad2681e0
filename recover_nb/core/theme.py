"""One meaning a colour, words, and the one theme of every chart.

Every colour of the package is here and nowhere else; what is shown as HTML gets them as properties
of CSS from `colours_css`. A colour means one thing wherever it is seen, and what it says, a shape,
a dash, a sign or a place says too. What has no colour of its own is drawn in `INK`, the colour of
the page's text.

A mark has one value, at least 3:1 against white and against both dark grounds of JupyterLab, so
that one chart, and its picture on white, serve light and dark. Words need 4.5:1, which no single
value has on both: `TEXT` holds one for each.
"""

from collections.abc import Iterable
from typing import Any

from recover_nb.core.labels import Feature, Intervention, Outcome, Regime

#: What charts are read on: a white page, and JupyterLab's dark page and the cells on it.
LIGHT_PAGES, DARK_PAGES = ("#ffffff",), ("#111111", "#212121")
#: The text's own colour, on any page.
INK = "currentColor"

RIGHT, WRONG = "#009e73", "#d55e00"
#: An answer that was cut off is wrong as well, and is told apart from a wrong result.
CUT_OFF, NOT_RUN = "#c1805a", "#8a94a6"
RETRY, OPERATOR = "#808080", "#2a7fc9"
#: Blues for operators that share a chart: a shade for each, and a dash where they are lines.
OPERATOR_SHADES = (OPERATOR, "#4f9bc4", "#5d7fe6", "#5c869f")
OPERATOR_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 3])
OPERATOR_SHAPES = ("circle", "diamond", "triangle-up", "square", "cross", "triangle-down")

REGIME_COLOURS = {
    Regime.STEERABLE_HARD: "#c958c2",
    Regime.BEYOND_REACH: "#9f8d0e",
    Regime.RESAMPLE: "#8e71f5",
}
REGIME_SHAPES = {
    Regime.STEERABLE_HARD: "circle",
    Regime.BEYOND_REACH: "cross",
    Regime.RESAMPLE: "triangle-up",
}
#: Six colours and seven shapes: their pairs tell 42 clusters apart.
CLUSTER_COLOURS = ("#ce5276", "#5e8a21", "#9167a3", "#ae6161", "#7a966b", "#b3788f")
CLUSTER_SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-left",
)
#: How much: zero is the colour of the page, the most is this. `BELOW` is for less than zero.
HEAT, BELOW = "#14818c", "#9c6b3d"
#: Opacity of the most, as two digits: black text and white text are read on it.
_MOST = 0xE6

#: Of words, on a light page and on a dark one.
TEXT = {
    "right": ("#007a5a", "#3ccf9e"),
    "wrong": ("#b34a00", "#ff9a57"),
    "retry": ("#5b6472", "#a8b0bd"),
    "operator": ("#0060a8", "#6cbcff"),
}

OUTCOME_COLOURS = {
    Outcome.CORRECT: RIGHT,
    Outcome.WRONG: WRONG,
    Outcome.CUT_OFF: CUT_OFF,
    Outcome.NOT_RUN: NOT_RUN,
}
#: All kinds are routed less something: one colour, told apart by shape; a null has no operator.
KIND_COLOURS = {"measured": OPERATOR, "null": INK, "excess": OPERATOR}
KIND_SHAPES = {"measured": "circle", "null": "square", "excess": "diamond"}
STRATEGY_COLOURS = {"routed": OPERATOR, "retry": RETRY}
STRATEGY_SHAPES = {"routed": "circle", "retry": "square"}
BASIS_TITLES = {
    "attempts": "attempts per problem",
    "generated_tokens": "generated tokens per problem",
    "forward_passes": "forward passes of both models, per problem",
}
SIGNAL_TITLES = {
    "path_deformation": "path deformation (nat)",
    "coverage_deformation": "coverage deformation (nat)",
    "demotion_pressure": "demotion pressure (nat)",
    "logit_variance": "logit variance (logit\u00b2)",
    "kl_divergence": "KL(S, A) (nat)",
    "entropy": "entropy (nat)",
}
FEATURE_TITLES = {
    Feature.SPREAD: "spread (share of tokens)",
    Feature.CONCENTRATION: "concentration (log10 peak / mean)",
    Feature.LOGIT_DISPERSION: "logit dispersion (log10 variance)",
}
#: Colour of text on a coloured bar: every colour used for bars is light enough for it.
ON_BAR = "#000000"


def operator_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each way of answering again: grey for retry, a blue for an operator."""
    found: dict[str, str] = {}
    for name in map(str, names):
        place = sum(colour != RETRY for colour in found.values())
        blue = OPERATOR_SHADES[place % len(OPERATOR_SHADES)]
        found[name] = RETRY if name == Intervention.RETRY else blue
    return found


def heat(share: float, *, below: bool = False) -> str:
    """Return the colour of a share of the most, ``#rrggbbaa``: at 0 nothing is painted."""
    return f"{BELOW if below else HEAT}{round(_MOST * min(max(share, 0.0), 1.0)):02x}"


def contrast(first: str, second: str) -> float:
    """Return how far apart two colours are in light, from 1 to 21 (WCAG 2, 1.4.3 and 1.4.11)."""
    dark, light = sorted(map(_luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def over(colour: str, page: str) -> str:
    """Return what is seen of a colour ``#rrggbbaa`` over a page."""
    opacity = int(colour[7:9] or "ff", 16) / 255
    parts = zip(_parts(colour), _parts(page), strict=True)
    return "#" + "".join(f"{round(255 * (opacity * a + (1 - opacity) * b)):02x}" for a, b in parts)


def _parts(colour: str) -> list[float]:
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def _luminance(colour: str) -> float:
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in _parts(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrasts() -> list[tuple[str, str, float, float]]:
    """Return every colour that means something, with its least contrast on light and dark pages.

    Returns
    -------
    list of (name, colour, float, float)
        Words have two colours, written ``light/dark``.
    """
    marks = {
        "right": RIGHT,
        "wrong": WRONG,
        "cut off": CUT_OFF,
        "not run": NOT_RUN,
        "retry": RETRY,
        **{f"operator {place}": each for place, each in enumerate(OPERATOR_SHADES, 1)},
        **{str(name): each for name, each in REGIME_COLOURS.items()},
        **{f"cluster {place}": each for place, each in enumerate(CLUSTER_COLOURS)},
        "much": heat(1),
        "much below zero": heat(1, below=True),
    }
    rows = [(name, each, *_least(each, each)) for name, each in marks.items()]
    words = [(f"text: {name}", "/".join(both), *_least(*both)) for name, both in TEXT.items()]
    return [*rows, *words]


def _least(light: str, dark: str) -> tuple[float, float]:
    on = ((light, LIGHT_PAGES), (dark, DARK_PAGES))
    first, second = (
        min(contrast(over(colour, page), page) for page in pages) for colour, pages in on
    )
    return first, second


def colours_css() -> str:
    """Return the colours as properties of CSS: ``--rnb-right``, and ``--rnb-right-text`` for words.

    They hold on the whole page, in the colours of JupyterLab's theme, of the documentation's, or of
    the system, whichever says.
    """
    marks = {
        "right": RIGHT,
        "wrong": WRONG,
        "cut-off": CUT_OFF,
        "not-run": NOT_RUN,
        "retry": RETRY,
        "operator": OPERATOR,
        "heat": HEAT,
        "below": BELOW,
        "on-bar": ON_BAR,
    }
    light, dark = (
        "".join(f"--rnb-{name}-text:{both[place]};" for name, both in TEXT.items())
        for place in (0, 1)
    )
    same = "".join(f"--rnb-{name}:{each};" for name, each in marks.items())
    chosen = ('[data-jp-theme-light="{}"]', '[data-theme="{}"]')
    return (
        f":root{{{same}{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media print{{:root{{{light}}}}}"
        f"{chosen[0].format('true')},{chosen[1].format('light')}{{{light}}}"
        f"{chosen[0].format('false')},{chosen[1].format('dark')}{{{dark}}}"
    )


def theme() -> dict[str, Any]:
    """Return the Vega-Lite configuration every chart here carries.

    Returns
    -------
    dict
        Transparent background, text in the colour of the page, thin faint grid. To give it to a
        chart of your own: ``chart.configure(**theme())``.
    """
    text = {"labelColor": INK, "titleColor": INK}
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **text,
            "domainColor": INK,
            "domainOpacity": 0.6,
            "tickColor": INK,
            "tickOpacity": 0.6,
            "gridColor": INK,
            "gridOpacity": 0.15,
            "labelFontSize": 12,
            "labelLimit": 330,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
        },
        "legend": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelLimit": 330,
        },
        "header": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "labelFontWeight": "bold",
            "labelLimit": 400,
        },
        "title": {
            "color": INK,
            "subtitleColor": INK,
            "anchor": "start",
            "fontSize": 14,
            "fontWeight": 600,
            "subtitleFontSize": 12,
            "offset": 12,
        },
        "text": {"fontSize": 12},
    }
