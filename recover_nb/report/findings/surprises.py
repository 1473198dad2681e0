"""What nobody expected, in words, each on the page only while the verdicts behind it hold."""

from collections.abc import Mapping

from recover_nb.report.findings.judgement import Judgement
from recover_nb.tables.verdicts import CONTRADICTED, NOT_SHOWN, SUPPORTED

#: Verdicts on the bundled study -> what they amount to together.
_SURPRISES: tuple[tuple[dict[str, str], str], ...] = (
    (
        {"steering": SUPPORTED, "choice": CONTRADICTED},
        (
            "Steering works, but choosing does not pay. Operators that mix in the ancestor rescue"
            " more than retrying; using the same one everywhere in a cell rescues more than the"
            " rule that picks among them."
        ),
    ),
    (
        {"steering": SUPPORTED, "more_than_ancestor": CONTRADICTED},
        (
            "Where the first answer failed, the ancestor alone rescues more than any mixture of"
            " the two. Training took away what these failures lack, and the simplest way to get"
            " it back is to ask the checkpoint before training."
        ),
    ),
    (
        {"published": SUPPORTED, "permutation": NOT_SHOWN},
        (
            "The published lift is more than luck in picking problems. But it does not come from"
            " the features: the same routes, shuffled within a cell, rescue about as much."
        ),
    ),
    (
        {"steering": SUPPORTED, "mixture": NOT_SHOWN},
        (
            "It makes no visible difference which of the two mixtures steers: the opposite of the"
            " one that fired does as well."
        ),
    ),
    (
        {"all": SUPPORTED, "budget_forward_passes": CONTRADICTED},
        (
            "Attempt for attempt, routing beats retrying; at equal forward passes it loses. The"
            " ancestor that runs beside the specialist costs passes too, and what the features"
            " need beforehand is not even counted."
        ),
    ),
    (
        {"not_by_reading": CONTRADICTED},
        (
            "The paper's title does not hold here. The text of the failed rollouts says more"
            " about the regime than the three features, and the plain number of failed rollouts"
            " says most: a regime depends in part on how often retrying fails, which that number"
            " shows."
        ),
    ),
    (
        {"clusters": SUPPORTED, "clusters_robust": NOT_SHOWN},
        (
            "Clusters that pass every null with all cells pooled disappear by ranks within cells."
            " Only skewed features and differences between cells were stable."
        ),
    ),
    (
        {"tells": SUPPORTED, "predicts": NOT_SHOWN},
        (
            "Within a cell, the features rank problems by regime better than chance, but they are"
            " not shown to beat always naming the commonest regime."
        ),
    ),
    (
        {"survives": CONTRADICTED, "program": NOT_SHOWN},
        (
            "A regime belongs to the numbers of a problem, not to its reasoning. With new draws"
            " it mostly comes back; with new numbers it agrees hardly more than with another"
            " problem of the same cell and level."
        ),
    ),
    (
        {"out_of_reach": CONTRADICTED},
        ("Much of what no intervention reaches is arithmetic: a calculator rescues it."),
    ),
    (
        {"steering": SUPPORTED, "routers": NOT_SHOWN},
        (
            "At equal passes, choosing the operator by how often a problem failed is not shown to"
            " beat one operator for all."
        ),
    ),
    (
        {"recovers": SUPPORTED},
        (
            "One answer was wrong, and seven passes are left: one more try and then the ancestor"
            " alone rescues more than asking again, on problems that nobody had seen."
        ),
    ),
    (
        {"permutation": SUPPORTED, "robust_retry": SUPPORTED, "robust_permuted": NOT_SHOWN},
        (
            "Routing beats retry whatever is changed. Whether the features choose the operator"
            " depends on the features, the mapping, the temperature, the strength and the number"
            " of attempts."
        ),
    ),
)


def surprises(judged: Mapping[str, Judgement]) -> list[str]:
    """Return the sentences whose verdicts all hold.

    Parameters
    ----------
    judged : mapping of str to Judgement
        Of the bundled study, from `judge`.

    Returns
    -------
    list of str
    """
    return [
        text
        for needed, text in _SURPRISES
        if all(
            name in judged and judged[name].verdict == verdict for name, verdict in needed.items()
        )
    ]
