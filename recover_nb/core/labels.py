"""Every closed set of names, written once.

These are interventions, regimes, methods, families, tasks, features and signals.
"""

from enum import StrEnum
from typing import TypeVar

from recover_nb.core.checks import check_name

#: Outcome of a problem that did not fail, and so has no regime, where two studies of it are
#: compared.
SOLVED = "solved"


#: All cells, or all problems, together: the label beside theirs.
ALL = "all"


class Method(StrEnum):
    """How a checkpoint came about: the ancestor, or a post-training method applied to it."""

    ANCESTOR = "ancestor"
    SFT = "sft"
    GRPO = "grpo"
    SELF_DISTILL = "self_distill"
    CUED = "cued"


#: Specialist post-training methods of the study, in the order of tables and charts.
SPECIALISTS = (Method.SFT, Method.GRPO, Method.SELF_DISTILL)

#: Every specialist that is shipped: `cued` says what it is about to do, and stands beside the
#: study (docs/method.md#20-cues).
SHIPPED_SPECIALISTS = (*SPECIALISTS, Method.CUED)


class Cue(StrEnum):
    """What a specialist trained with cues says before a step (docs/method.md#20-cues)."""

    RECALL = "recall"
    COMPUTE = "compute"
    ANSWER = "answer"
    DOUBT = "doubt"


class Intervention(StrEnum):
    """A bounded change to decoding. ``none`` is the observed rollouts.

    See docs/method.md#4-interventions.
    """

    NONE = "none"
    RETRY = "retry"
    TEMPERATURE = "temperature"
    LOCAL_TEMPERATURE = "local_temperature"
    SPARSE_STEER = "sparse_steer"
    SPARSE_STEER_WRONG = "sparse_steer_wrong"
    SPARSE_STEER_RANDOM = "sparse_steer_random"
    DENSE_STEER = "dense_steer"
    DENSE_SAMPLE = "dense_sample"
    CALCULATOR = "calculator"
    ANCESTOR = "ancestor"
    GREEDY = "greedy"
    CONTRASTIVE = "contrastive"
    MIN_P = "min_p"


#: The interventions of the published profile table; regimes and routes are defined over these.
ROUTED_INTERVENTIONS = (
    Intervention.SPARSE_STEER,
    Intervention.SPARSE_STEER_RANDOM,
    Intervention.LOCAL_TEMPERATURE,
    Intervention.DENSE_STEER,
)


Name = TypeVar("Name", bound=StrEnum)


#: Interventions that draw nothing: their attempts are no twins of a retry and may repeat one
#: another.
DETERMINISTIC = (Intervention.DENSE_STEER.value, Intervention.GREEDY.value)
#: Attempts that say all there is to say about one: one a mixture type for `dense_steer`.
FIXED_ATTEMPTS = {Intervention.DENSE_STEER.value: 2, Intervention.GREEDY.value: 1}

#: Interventions that fire: both models have to read failed answers before they can run.
FIRING = (
    Intervention.LOCAL_TEMPERATURE.value,
    Intervention.SPARSE_STEER.value,
    Intervention.SPARSE_STEER_WRONG.value,
    Intervention.SPARSE_STEER_RANDOM.value,
)


class Feature(StrEnum):
    """Problem-level features of the failed rollouts (docs/method.md#three-features)."""

    SPREAD = "spread"
    CONCENTRATION = "concentration"
    LOGIT_DISPERSION = "logit_dispersion"


FEATURES = tuple(feature.value for feature in Feature)


class Outcome(StrEnum):
    """What the checker says of a rollout."""

    CORRECT = "correct"
    WRONG = "wrong"
    #: Wrong, because it reached the length limit: no failure of reasoning.
    CUT_OFF = "cut off"
    NOT_RUN = "not run"


#: What colour says of a rollout, said again: check mark, cross, ellipsis, dash.
OUTCOME_SIGNS = {
    Outcome.CORRECT: "\u2713",
    Outcome.WRONG: "\u2717",
    Outcome.CUT_OFF: "\u2026",
    Outcome.NOT_RUN: "\u2013",
}


class Origin(StrEnum):
    """Where a failed answer went wrong (docs/method.md#origins), by a task that can tell."""

    #: An answer without a step.
    GUESS = "guess"
    #: The first wrong step is a wrong result.
    SLIP = "slip"
    #: The first wrong step is about a number, name or operation other than the problem has there.
    MISREAD = "misread"
    #: Every step is right, but one is left out, or one too many is written.
    LOST = "lost"
    #: It ended by itself, and no answer can be read.
    FORMAT = "format"
    #: It was cut off at the length limit.
    CUT_OFF = "cut off"


class Slip(StrEnum):
    """What kind of wrong result a slip is."""

    CARRY = "carry"
    BORROW = "borrow"
    #: A product read off the row before.
    ROW = "row"
    #: The mother for the father, or the other way round.
    PARENT = "parent"
    #: The person named last.
    LAST_NAMED = "last named"
    OTHER = "other"


class Regime(StrEnum):
    """What a failed problem needs (docs/method.md#6-regimes)."""

    STEERABLE_HARD = "steerable_hard"
    BEYOND_REACH = "beyond_reach"
    RESAMPLE = "resample"


class Family(StrEnum):
    """A lineage of architecture and tokenizer shipped with the package."""

    QWEN3 = "qwen3"
    NEOX = "neox"


class Task(StrEnum):
    """A verifiable family of problems."""

    ARITHMETIC = "arithmetic"
    PROGRAM = "program"
    DEDUCTION = "deduction"


class Split(StrEnum):
    """Disjoint sets of problems: training, choosing strengths, and the study."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


class Signal(StrEnum):
    """Per-token signals (docs/method.md#2-signals)."""

    PATH_DEFORMATION = "path_deformation"
    COVERAGE_DEFORMATION = "coverage_deformation"
    DEMOTION_PRESSURE = "demotion_pressure"
    LOGIT_VARIANCE = "logit_variance"
    KL_DIVERGENCE = "kl_divergence"
    ENTROPY = "entropy"


class Mixture(StrEnum):
    """How specialist and ancestor are combined: e-geodesic (path) or m-geodesic (coverage)."""

    PATH = "path"
    COVERAGE = "coverage"


class Anchoring(StrEnum):
    """Where an operator starts: firing online on the prefix, or at a failed prefix's junction.

    A failed prefix is replayed to its junction.
    """

    ONLINE = "online"
    REPLAY = "replay"


class Continuation(StrEnum):
    """What follows the bounded act: sampling the specialist at T, or its argmax."""

    TEMPERATURE = "temperature"
    GREEDY = "greedy"


class Algorithm(StrEnum):
    """A way to cluster problems (docs/method.md#algorithms)."""

    KMEANS = "kmeans"
    GAUSSIAN_MIXTURE = "gaussian_mixture"
    WARD = "ward"
    HDBSCAN = "hdbscan"


class Null(StrEnum):
    """Data without clusters: a Gaussian with the data's covariance, or a box of their ranges.

    The box is uniform.
    """

    GAUSSIAN = "gaussian"
    BOX = "box"


class Planted(StrEnum):
    """What simulated points are made of: one Gaussian, a uniform box, or three blobs apart."""

    GAUSSIAN = "gaussian"
    BOX = "box"
    BLOBS = "blobs"


class Structure(StrEnum):
    """What the stability of a clustering says about clusters (docs/method.md#stability-verdict)."""

    CLUSTERS = "clusters"
    UNSTABLE = "unstable"
    NOT_ABOVE_NULL = "not_above_null"
    NOT_FOUND = "not_found"


class Companion(StrEnum):
    """A second study of the same problems, with other numbers or drawn again.

    See docs/method.md#companions.
    """

    REMAPPED = "remapped"
    REDRAWN = "redrawn"
    #: Drawn again once more, every attempt kept, for rules to be judged on.
    FRESH = "fresh"
    #: Other problems, every attempt kept, for what was chosen on the study to be judged on.
    UNSEEN = "unseen"


#: Companions over which a regime has to survive (docs/method.md#regime-survival).
SURVIVAL_COMPANIONS = (Companion.REMAPPED, Companion.REDRAWN)


class Depth(StrEnum):
    """What kind of failure a ``beyond_reach`` problem is, by its two companions.

    See docs/method.md#regime-survival.
    """

    #: Beyond reach again, with the same numbers and with others.
    STRUCTURAL = "structural"
    #: Beyond reach again with the same numbers, not with others.
    SHALLOW = "shallow"
    #: Not beyond reach when drawn again: the label itself was chance.
    UNSETTLED = "unsettled"


class Scope(StrEnum):
    """Over which problems halves are correlated: all, or each around the mean of its cell."""

    POOLED = "pooled"
    WITHIN = "within"


class Source(StrEnum):
    """Where a stepper's rollouts come from: a study, or models on a study's or new problems."""

    RECORDED = "recorded"
    LIVE = "live"
    LIVE_DEV = "live_dev"


class Router(StrEnum):
    """A rule that chooses an operator and is learned on other problems (docs/method.md#routers)."""

    #: By how many of the observed rollouts failed.
    COUNT = "count"
    #: By everything that is known before the first attempt.
    LEARNT = "learnt"


class Factor(StrEnum):
    """What an ablation changes; ``reference`` is what it is compared with."""

    REFERENCE = "reference"
    FEATURE_ALONE = "feature_alone"
    FEATURE_LEFT_OUT = "feature_left_out"
    MAPPING = "mapping"
    FALLBACK = "fallback"
    STANDARDISATION = "standardisation"
    MIN_GAIN = "min_gain"
    MIN_FAILURE = "min_failure"
    ATTEMPTS = "attempts"
    FAILED_ROLLOUTS = "failed_rollouts"
    WINDOW = "window"
    TEMPERATURE = "temperature"
    K_COV = "k_cov"
    ALPHA = "alpha"
    WARMUP = "warmup"


class Standardisation(StrEnum):
    """Over which problems the rule takes z-scores."""

    #: The problems scored, in their cell: the published way, and the reference.
    SCORED = "scored"
    #: Every failed problem of the cell, scored or not.
    FAILED = "failed"
    #: The problems scored, over all cells together.
    POOLED = "pooled"


class Conclusion(StrEnum):
    """What an ablation may move: routing against a comparator by one estimator.

    See docs/method.md#ablations.
    """

    PUBLISHED_EXCEEDS_NULL = "published_exceeds_null"
    BEATS_RETRY_SPLIT = "beats_retry_split"
    BEATS_RETRY_ALL = "beats_retry_all"
    BEATS_BEST_FIXED_SPLIT = "beats_best_fixed_split"
    BEATS_BEST_FIXED_ALL = "beats_best_fixed_all"
    BEATS_PERMUTED_SPLIT = "beats_permuted_split"
    BEATS_PERMUTED_ALL = "beats_permuted_all"


class Move(StrEnum):
    """What an ablation does to a conclusion, by the 95 % intervals before and after."""

    STAYS = "stays"
    #: One of the two intervals holds 0, the other does not.
    SIGNIFICANCE = "significance"
    #: Neither interval leaves out 0, and the values lie on different sides of it.
    SIGN = "sign"
    #: Both leave out 0, on different sides.
    REVERSED = "reversed"


class Verdict(StrEnum):
    """What figures say of a claim."""

    SUPPORTED = "supported"
    NOT_SHOWN = "not shown"
    CONTRADICTED = "contradicted"
    NOT_TESTABLE = "not testable"


class HoldOut(StrEnum):
    """What a router has not learned from: the questions, cell or family that it is judged on."""

    QUESTION = "question"
    CELL = "cell"
    FAMILY = "family"


class Reply(StrEnum):
    """How a completions server is asked for the log-probabilities of a prompt."""

    ECHO = "echo"
    #: As echo, from a server that lists beside each token what may follow it: llama-cpp-python.
    ECHO_LATE = "echo_late"
    PROMPT_LOGPROBS = "prompt_logprobs"


def parse(kind: type[Name], value: str) -> Name:
    """Return the member of `kind` called `value`, or raise an `InputError`.

    The error lists what is allowed.
    """
    return kind(check_name(kind.__name__.lower(), value, kind))
