"""Colours, words and the one theme of every chart.

Colours are Okabe and Ito's, told apart with any colour vision. Text takes the colour of the page (``currentColor``) on
a transparent background, so that one chart serves light and dark.
"""

from typing import Any

from recover_nb.labels import Feature, Intervention, Regime

#: Okabe and Ito's palette without black, which a dark page would swallow.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#999999"

REGIME_COLOURS = {Regime.STEERABLE_HARD: GREEN, Regime.BEYOND_REACH: ORANGE, Regime.RESAMPLE: SKY}
REGIME_SHAPES = {Regime.STEERABLE_HARD: "circle", Regime.BEYOND_REACH: "cross", Regime.RESAMPLE: "triangle-up"}
ROUTE_COLOURS = {
    Intervention.SPARSE_STEER: SKY,
    Intervention.SPARSE_STEER_RANDOM: YELLOW,
    Intervention.LOCAL_TEMPERATURE: ORANGE,
    Intervention.DENSE_STEER: GREEN,
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


def theme() -> dict[str, Any]:
    """Return the Vega-Lite configuration every chart here carries.

    Returns
    -------
    dict
        Transparent background, text in the colour of the page, thin grey grid. To give it to a chart of your own:
        ``chart.configure(**theme())``.
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
        "legend": {**text, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 240},
        "header": {**text, "labelFontSize": 12, "titleFontSize": 12, "labelFontWeight": "bold", "labelLimit": 400},
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
