"""Controls of a `RoutingExplorer`, each with its name and what it does."""

import ipywidgets

from recover_nb.core.labels import Regime
from recover_nb.core.titles import named
from recover_nb.routing.budgets import BASES
from recover_nb.tables.routing import CHOICES
from recover_nb.widgets.parts.chips import Chips
from recover_nb.widgets.parts.controls import PolicyControl, or_none, sized
from recover_nb.widgets.parts.explorer import MAX_SEED
from recover_nb.widgets.parts.slider import Slider
from recover_nb.widgets.routing.data import RoutingData

#: Panel -> what it shows.
PANELS = {
    "comparators": "what routing rescues beyond each alternative",
    "estimators": "the lift by each estimator, beside what it reports without an effect",
    "budget": "what the same cost would have bought by asking again",
    "regimes": "how many failures an operator helps, asking again helps, or nothing helps",
    "routes": "which operator the rule chooses, in each cell",
}


def routing_controls(data: RoutingData) -> dict[str, ipywidgets.Widget]:
    """Return one control for each trait that has one."""
    wide, edge = sized(110, 300), sized(90, 220)
    bases = [(name.replace("_", " "), name) for name in BASES]
    return {
        "panel": Chips(
            options=list(PANELS), tooltips=list(PANELS.values()), single=True, label="show"
        ),
        "population": ipywidgets.Dropdown(
            options=[(named(name), name) for name in data.populations],
            description="whose",
            tooltip="which failures all figures are about",
            **sized(45, 230),
        ),
        "estimator": ipywidgets.Dropdown(
            options=[(named(name), name) for name in CHOICES],
            description="estimator",
            tooltip="published selects and scores on the same attempts; the others do not",
            **sized(65, 260),
        ),
        "min_gain": Slider(
            max=1.0,
            step=0.01,
            description="min gain",
            tooltip="an operator helps if it beats asking again by at least this share of attempts",
            layout={"width": "260px"},
        ),
        "min_failure": Slider(
            max=1.0,
            step=0.01,
            description="min failure",
            tooltip="and only where asking again fails at least this share of the time",
            layout={"width": "300px"},
        ),
        "cells": ipywidgets.SelectMultiple(
            options=data.cells,
            rows=6,
            description="cells",
            tooltip="models and tasks to look at; none chosen = all",
            **wide,
        ),
        "operators": PolicyControl(data.interventions),
        "fallback": ipywidgets.Dropdown(
            options=[(named(name), name) for name in data.interventions],
            description="fallback",
            tooltip="the operator where no feature is above its mean",
            **wide,
        ),
        "basis": ipywidgets.Dropdown(
            options=bases,
            description="equal cost in",
            tooltip="what the panel budget makes equal",
            **wide,
        ),
        "level": ipywidgets.BoundedFloatText(
            max=1.0,
            step=0.01,
            description="test level",
            tooltip="a test speaks where its p is below this",
            **edge,
        ),
        "seed": ipywidgets.BoundedIntText(
            max=MAX_SEED, description="seed", tooltip="of every resample", **edge
        ),
        "regime": ipywidgets.Dropdown(
            options=or_none("any", [each.value for each in Regime]),
            description="regime",
            tooltip="the table lists problems of this regime",
            **edge,
        ),
        "route": ipywidgets.Dropdown(
            options=or_none("any", data.interventions),
            description="route",
            tooltip="the table lists problems that the rule sends here",
            **edge,
        ),
    }
