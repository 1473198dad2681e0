"""Views for notebooks: state in traits, thin on the screen, the maths elsewhere."""

import gc

from recover_nb.widgets.inspector import TraceInspector
from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.later import Later
from recover_nb.widgets.parts.predict import Predict
from recover_nb.widgets.parts.press import Press
from recover_nb.widgets.parts.rollout_grid import RolloutGrid
from recover_nb.widgets.parts.score import Score
from recover_nb.widgets.parts.selection import Selection
from recover_nb.widgets.parts.table_view import TableView
from recover_nb.widgets.parts.token_view import TokenView
from recover_nb.widgets.routing import RoutingExplorer
from recover_nb.widgets.stability import StabilityExplorer
from recover_nb.widgets.stepper import RolloutStepper
from recover_nb.widgets.surgeon import TraceSurgeon
from recover_nb.widgets.topography import TopographyExplorer

__all__ = [
    "ChartPanel",
    "Later",
    "Predict",
    "Press",
    "RolloutGrid",
    "RolloutStepper",
    "RoutingExplorer",
    "Score",
    "Selection",
    "StabilityExplorer",
    "TableView",
    "TokenView",
    "TopographyExplorer",
    "TraceInspector",
    "TraceSurgeon",
    "View",
]

# What is loaded by now (Altair's classes, pandas, xarray: 300,000 objects) stays to the end. A
# collection that goes through all of it takes a fifth of a second, and comes while somebody moves a
# slider.
gc.freeze()
