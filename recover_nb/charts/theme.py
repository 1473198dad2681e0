"""Colours, words and the one theme of every chart.

Colours are Okabe and Ito's, told apart with any colour vision. Text takes the colour of the page
(``currentColor``) on a transparent background, so that one chart serves light and dark.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recover_nb.core.labels import Feature, Intervention, Outcome, Regime

#: Okabe and Ito's palette without black, which a dark page would swallow.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#999999"
#: In the order in which they are given to things without a colour of their own.
PALETTE = (SKY, ORANGE, GREEN, VERMILION, PURPLE, BLUE, YELLOW)

REGIME_COLOURS = {Regime.STEERABLE_HARD: GREEN, Regime.BEYOND_REACH: ORANGE, Regime.RESAMPLE: SKY}
REGIME_SHAPES = {
    Regime.STEERABLE_HARD: "circle",
    Regime.BEYOND_REACH: "cross",
    Regime.RESAMPLE: "triangle-up",
}
#: None of the colours of regimes, which are drawn beside them.
ROUTE_COLOURS = {
    Intervention.SPARSE_STEER: PURPLE,
    Intervention.SPARSE_STEER_RANDOM: YELLOW,
    Intervention.LOCAL_TEMPERATURE: VERMILION,
    Intervention.DENSE_STEER: GREY,
}
OUTCOME_COLOURS = {
    Outcome.CORRECT: GREEN,
    Outcome.WRONG: ORANGE,
    Outcome.CUT_OFF: YELLOW,
    Outcome.NOT_RUN: GREY,
}
KIND_COLOURS = {"measured": SKY, "null": GREY, "excess": ORANGE}
KIND_SHAPES = {"measured": "circle", "null": "square", "excess": "diamond"}
STRATEGY_COLOURS = {"routed": ORANGE, "retry": SKY}
BASIS_TITLES = {
    "attempts": "attempts a problem",
    "generated_tokens": "generated tokens a problem",
    "forward_passes": "forward passes of both models a problem",
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


#: Stops of the two scales of token backgrounds: cividis from light to dark, and blue over white to
#: orange.
_SEQUENTIAL = ("#fee838", "#c8b866", "#9b9470", "#6e7071", "#414d6b", "#00224e")
_DIVERGING = ("#0072b2", "#7fb8d8", "#f7f7f7", "#f2cf80", "#e69f00")


def shade(values: Sequence[float], *, diverging: bool = False) -> list[str]:
    """Return a background colour for each value, ``#rrggbb``.

    Parameters
    ----------
    values : sequence of n float
        NaN is drawn without colour.
    diverging : bool
        Blue below zero, white at zero, orange above, symmetric about zero. Otherwise from the least
        to the largest value, light to dark.

    Returns
    -------
    list of n str
        Empty text for NaN.
    """
    values = np.asarray(values, float)
    known = values[~np.isnan(values)]
    stops = _DIVERGING if diverging else _SEQUENTIAL
    if not len(known):
        return [""] * len(values)
    low, high = (
        (-np.abs(known).max(), np.abs(known).max()) if diverging else (known.min(), known.max())
    )
    middle = 0.5 if diverging else 0.0
    share = (values - low) / (high - low) if high > low else np.full(len(values), middle)
    levels = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], float)
    place = np.linspace(0, 1, len(stops))
    rgb = np.stack(
        [np.interp(np.nan_to_num(share), place, levels[:, c]) for c in range(3)], axis=-1
    )
    return [
        "" if np.isnan(value) else "#{:02x}{:02x}{:02x}".format(*map(round, colour))
        for value, colour in zip(values, rgb, strict=True)
    ]


def theme() -> dict[str, Any]:
    """Return the Vega-Lite configuration every chart here carries.

    Returns
    -------
    dict
        Transparent background, text in the colour of the page, thin grey grid. To give it to a
        chart of your own: ``chart.configure(**theme())``.
    """
    text = {"labelColor": "currentColor", "titleColor": "currentColor"}
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **text,
            "domainColor": GREY,
            "tickColor": GREY,
            "gridColor": GREY,
            "gridOpacity": 0.25,
            "labelFontSize": 12,
            "labelLimit": 260,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
        },
        "legend": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelLimit": 240,
        },
        "header": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "labelFontWeight": "bold",
            "labelLimit": 400,
        },
        "title": {
            "color": "currentColor",
            "subtitleColor": "currentColor",
            "anchor": "start",
            "fontSize": 14,
            "fontWeight": 600,
            "subtitleFontSize": 12,
            "offset": 12,
        },
        "text": {"fontSize": 12},
    }
