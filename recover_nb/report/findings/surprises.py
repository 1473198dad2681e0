"""What nobody expected, in words, each on the page only while the verdicts behind it hold."""

from collections.abc import Mapping

from recover_nb.report.findings.judgement import Judgement
from recover_nb.tables.verdicts import CONTRADICTED, NOT_SHOWN, SUPPORTED

#: Verdicts on the bundled study -> what they amount to together.
_SURPRISES: tuple[tuple[dict[str, str], str], ...] = (
    (
        {"steering": SUPPORTED, "choice": CONTRADICTED},
        (
            "Steering works and choosing does not pay: operators that mix in the ancestor rescue"
            " more than retrying, and doing the same one everywhere in a cell rescues more than the"
            " rule that picks among them."
        ),
    ),
    (
        {"steering": SUPPORTED, "more_than_ancestor": CONTRADICTED},
        (
            "Where the first answer failed the ancestor alone rescues more than any mixture of the"
            " two: what these failures lack is what training took away, and the simplest way to get"
            " it back is to ask the checkpoint before it."
        ),
    ),
    (
        {"published": SUPPORTED, "permutation": NOT_SHOWN},
        (
            "The published lift is no luck in selection, and still the features do not earn it: the"
            " same routes dealt out at random within a cell rescue about as much."
        ),
    ),
    (
        {"steering": SUPPORTED, "mixture": NOT_SHOWN},
        (
            "Which of the two mixtures steers makes no difference that can be seen: the opposite of"
            " the one that fired does as well."
        ),
    ),
    (
        {"all": SUPPORTED, "budget_forward_passes": CONTRADICTED},
        (
            "Routing beats retrying attempt for attempt and loses to it at equal forward passes: an"
            " ancestor that runs beside the specialist is not free, and what the features need up"
            " front is not even counted."
        ),
    ),
    (
        {"not_by_reading": CONTRADICTED},
        (
            "The title does not stand here: the text of the failed rollouts says more about the"
            " regime than the three features, and the bare number of failed rollouts says most. A"
            " regime is defined in part by how often retrying fails, and that number tells it."
        ),
    ),
    (
        {"clusters": SUPPORTED, "clusters_robust": NOT_SHOWN},
        (
            "Clusters that pass every null when all cells are pooled are gone by ranks within"
            " cells: what was stable was the skew of the features and the difference between cells."
        ),
    ),
    (
        {"tells": SUPPORTED, "predicts": NOT_SHOWN},
        (
            "Within a cell the features rank problems by regime better than chance and still never"
            " beat saying the commonest regime each time."
        ),
    ),
    (
        {"survives": CONTRADICTED, "program": NOT_SHOWN},
        (
            "A regime belongs to the numbers of a problem, not to its reasoning: over new numbers"
            " it is hardly more that of the same problem than of any other of its cell and level,"
            " while drawn again it mostly comes back."
        ),
    ),
    (
        {"out_of_reach": CONTRADICTED},
        (
            "Much of what is beyond reach of every intervention is arithmetic: a calculator"
            " rescues it."
        ),
    ),
    (
        {"steering": SUPPORTED, "routers": NOT_SHOWN},
        (
            "At equal passes, how often a problem failed does not tell which operator it needs"
            " better than doing the same with all of them."
        ),
    ),
    (
        {"permutation": SUPPORTED, "robust_retry": SUPPORTED, "robust_permuted": NOT_SHOWN},
        (
            "That routing beats retry stands whatever is changed; that the features choose the"
            " operator hangs on which features, which mapping, which temperature, strength and"
            " number of attempts one takes."
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
