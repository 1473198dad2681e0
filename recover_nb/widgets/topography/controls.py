"""Controls of a `TopographyExplorer`, each with its name and what it does."""

import ipywidgets

from recover_nb.core.titles import named
from recover_nb.prediction.transcripts import ROLLOUTS
from recover_nb.widgets.parts.chips import Chips
from recover_nb.widgets.parts.controls import or_none, sized
from recover_nb.widgets.parts.explorer import MAX_SEED
from recover_nb.widgets.topography.data import TopographyData

#: Panel -> what it shows.
SHOWN = {
    "fingerprints": "how each feature is distributed",
    "effects": "how far apart two classes are, feature by feature",
    "scores": "how often the features are right, beside their baselines",
    "confusion": "which class is taken for which",
    "coefficients": "what weighs how much in the prediction",
    "clusters": "whether clusters found on one model hold on another",
    "routing": "whether a rule fitted on one model holds on another",
    "reading": "whether the text of the answers tells as much",
}


def topography_controls(data: TopographyData) -> dict[str, ipywidgets.Widget]:
    """Return one control for each trait that has one."""
    wide = sized(110, 280)
    choices = {
        "target": (data.targets, "predict", "what the features are to name", sized(50, 190)),
        "within": (
            or_none("all together", data.partitions),
            "within each",
            "predict within each of these, so that differences between them count for nothing",
            sized(75, 220),
        ),
        "population": (
            [(named(name), name) for name in data.populations],
            "whose",
            "which failures all figures are about",
            sized(45, 230),
        ),
        "part": (
            or_none("all together", ()),
            "of these",
            "show one of those that are predicted apart",
            wide,
        ),
        "by": (data.sources, "transfer by", "panels clusters and routing: between which", wide),
        "rollouts": (ROLLOUTS, "read rollouts", "panel reading: which failed answers", wide),
    }
    return {
        "panel": Chips(
            options=list(SHOWN), tooltips=list(SHOWN.values()), single=True, label="show"
        ),
        **{
            name: ipywidgets.Dropdown(options=options, description=words, tooltip=what, **size)
            for name, (options, words, what, size) in choices.items()
        },
        "seed": ipywidgets.BoundedIntText(
            max=MAX_SEED, description="seed", tooltip="of every resample", **wide
        ),
        "features": ipywidgets.SelectMultiple(
            options=data.features,
            rows=4,
            description="features",
            tooltip="what is predicted from; none chosen = the published three",
            **wide,
        ),
    }
