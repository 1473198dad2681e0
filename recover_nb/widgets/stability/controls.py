"""Controls of a `StabilityExplorer`, each with its name and what it does."""

import ipywidgets

from recover_nb.clustering.grid import ALGORITHMS, KS
from recover_nb.core.labels import Feature
from recover_nb.core.titles import named
from recover_nb.tables.problem_list import cell_words
from recover_nb.widgets.parts.chips import Chips
from recover_nb.widgets.parts.controls import sized
from recover_nb.widgets.parts.explorer import MAX_SEED
from recover_nb.widgets.parts.slider import Slider

FEATURES = tuple(each.value for each in Feature)
MAX_RESAMPLES = 1000
#: Panel -> what it shows.
PANELS = {
    "figures": "how stable the clusters are, beside data that have none",
    "consensus": "how often two problems were put together",
    "grid": "every algorithm and number of clusters, corrected for one another",
}


def stability_controls(cells: tuple[str, ...]) -> dict[str, ipywidgets.Widget]:
    """Return one control for each trait that has one."""
    wide, features = sized(110, 280), [(named(name), name) for name in FEATURES]
    one_cell = [("all cells", ()), *((cell_words(name), (name,)) for name in cells)]
    return {
        "panel": Chips(
            options=list(PANELS), tooltips=list(PANELS.values()), single=True, label="show"
        ),
        "cells": ipywidgets.Dropdown(
            options=one_cell,
            description="whose",
            tooltip="the failures of all models and tasks, or of one of each",
            **sized(45, 300),
        ),
        "algorithm": ipywidgets.Dropdown(
            options=[(named(name), name) for name in ALGORITHMS],
            description="algorithm",
            tooltip="how problems are put together",
            **sized(65, 230),
        ),
        "k": Slider(
            min=KS[0],
            max=KS[-1],
            description="clusters",
            tooltip="how many clusters; HDBSCAN finds its own number",
            layout={"width": "230px"},
        ),
        "x": ipywidgets.Dropdown(
            options=features,
            description="across",
            tooltip="the feature along the picture's width",
            **wide,
        ),
        "y": ipywidgets.Dropdown(
            options=features,
            description="upwards",
            tooltip="the feature along the picture's height",
            **wide,
        ),
        "within_cells": ipywidgets.Checkbox(
            description="standardise each cell by itself",
            indent=False,
            tooltip="so that differences between models and tasks count for nothing",
        ),
        "ranks": ipywidgets.Checkbox(
            description="use ranks",
            indent=False,
            tooltip="so that no outlier and no skew makes a cluster",
        ),
        "n_resamples": ipywidgets.BoundedIntText(
            min=2,
            max=MAX_RESAMPLES,
            description="resamples",
            tooltip="how often the button draws the problems again",
            **wide,
        ),
        "seed": ipywidgets.BoundedIntText(
            max=MAX_SEED, description="seed", tooltip="of every resample", **wide
        ),
    }


def several_cells(cells: tuple[str, ...]) -> ipywidgets.SelectMultiple:
    """Return a control to choose more than one cell."""
    return ipywidgets.SelectMultiple(
        options=cells,
        rows=6,
        description="cells",
        tooltip="several models and tasks; none chosen = all",
        **sized(50, 280),
    )
