"""Every closed set of names, written once: interventions, regimes, methods, families, tasks, features, signals."""

from enum import StrEnum
from typing import TypeVar

from recover_nb.errors import InputError


class Intervention(StrEnum):
    """A bounded change to decoding (method.md section 4). ``none`` is the observed rollouts."""

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


class Regime(StrEnum):
    """What a failed problem needs (method.md section 6)."""

    STEERABLE_HARD = "steerable_hard"
    BEYOND_REACH = "beyond_reach"
    RESAMPLE = "resample"


class Family(StrEnum):
    """A lineage of architecture and tokenizer shipped with the package."""

    QWEN3 = "qwen3"
    NEOX = "neox"


class Method(StrEnum):
    """How a checkpoint came about: the ancestor, or a post-training method applied to it."""

    ANCESTOR = "ancestor"
    SFT = "sft"
    GRPO = "grpo"
    SELF_DISTILL = "self_distill"


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


class Feature(StrEnum):
    """Problem-level features of the failed rollouts (method.md section 3)."""

    SPREAD = "spread"
    CONCENTRATION = "concentration"
    LOGIT_DISPERSION = "logit_dispersion"


class Signal(StrEnum):
    """Per-token signals (method.md section 2)."""

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
    """Where an operator starts: fires online on the prefix, or replays a failed prefix to its junction."""

    ONLINE = "online"
    REPLAY = "replay"


class Continuation(StrEnum):
    """What follows the bounded act: sampling the specialist at T, or its argmax."""

    TEMPERATURE = "temperature"
    GREEDY = "greedy"


class Algorithm(StrEnum):
    """A way to cluster problems (method.md section 9)."""

    KMEANS = "kmeans"
    GAUSSIAN_MIXTURE = "gaussian_mixture"
    WARD = "ward"
    HDBSCAN = "hdbscan"


class Null(StrEnum):
    """Data without clusters: one Gaussian with the data's covariance, or a uniform box over their ranges."""

    GAUSSIAN = "gaussian"
    BOX = "box"


class Structure(StrEnum):
    """What the stability of a clustering says about clusters (method.md section 9)."""

    CLUSTERS = "clusters"
    UNSTABLE = "unstable"
    NOT_ABOVE_NULL = "not_above_null"
    NOT_FOUND = "not_found"


class Outcome(StrEnum):
    """What the checker says of a rollout."""

    CORRECT = "correct"
    WRONG = "wrong"
    NOT_RUN = "not run"


class Source(StrEnum):
    """Where a stepper's rollouts come from: a study, or the models, on problems of a study or on new ones."""

    RECORDED = "recorded"
    LIVE = "live"
    LIVE_DEV = "live_dev"


#: Specialist post-training methods, in the order of tables and charts.
SPECIALISTS = (Method.SFT, Method.GRPO, Method.SELF_DISTILL)

#: The interventions of the published profile table; regimes and routes are defined over these.
ROUTED_INTERVENTIONS = (
    Intervention.SPARSE_STEER,
    Intervention.SPARSE_STEER_RANDOM,
    Intervention.LOCAL_TEMPERATURE,
    Intervention.DENSE_STEER,
)

Name = TypeVar("Name", bound=StrEnum)


def parse(kind: type[Name], value: str) -> Name:
    """Return the member of `kind` called `value`, or raise an `InputError` that lists what is allowed."""
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(member.value for member in kind)
        word = kind.__name__.lower()
        raise InputError(f"unknown {word} {value!r}; allowed: {allowed}") from None
