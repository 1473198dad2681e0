"""What a decode is told: one frozen, validated value."""

from dataclasses import dataclass

from recover_nb.core import checks
from recover_nb.core.labels import Anchoring, Continuation

#: What the firing threshold is a quantile of: the scores themselves, or raw J_t as the authors'
#: toolkit has it.
THRESHOLDS = ("quantile", "authors")


@dataclass(frozen=True)
class Settings:
    """Constants of decoding.

    See docs/method.md#2-signals to docs/method.md#4-interventions.

    Every one has the published default.

    Parameters
    ----------
    temperature : float
        T of sampling and of the signals. 0 means greedy (``none`` and ``retry`` only, nothing
        recorded).
    top_k, k_cov : int
        Sizes of the specialist's and the ancestor's sets of likely tokens; ``k_cov=None`` lets the
        vocabulary decide.
    alpha : float
        The specialist's weight in both mixtures, in [0, 1].
    local_temperature, hot_temperature : float
        Temperature at the firing position (``local_temperature``), and everywhere
        (``temperature``).
    min_p : float
        Tokens below this share of the largest probability are removed (``min_p``), or not plausible
        (``contrastive``).
    contrast : float
        How far ``contrastive`` goes beyond the specialist, away from the ancestor; 0 or more.
    width : int
        How many tokens ``sparse_steer`` emits once it fires.
    window : int
        Half width of the junction window of the features.
    continuation, anchoring : str
        Members of `labels.Continuation` and `labels.Anchoring`.
    lag : int
        0 replaces the scored candidate itself; 1 replaces the token after it, as the authors'
        serving path does.
    threshold : str
        ``"quantile"`` of the scores, or ``"authors"``: quantile of raw J_t.
    quantile : float, optional
        Fixes the quantile; None lets the length of the traces decide.
    warmup : int, optional
        Fixes the first position that may fire; None lets the length of the traces decide.
    max_new_tokens, batch_size : int
        Longest trace, and rows decoded together.
    seed : int
        First half of the Philox key.
    logit_grid : float
        Logits are rounded to multiples of this before anything is computed from them, so that
        last-bit differences between batch shapes rarely reach a token. 0 turns rounding off.
    modulus : int, optional
        The ``calculator`` fills in results modulo this, unless the prompt says another with ``%``;
        None for plain integers.

    Raises
    ------
    InputError
        A value out of range, naming the setting, the value and what is allowed.

    Examples
    --------
    Settings are checked when they are made, and never change.

    >>> import recover_nb as rnb
    >>> settings = rnb.Settings(temperature=0.8, max_new_tokens=40)
    >>> settings.alpha, settings.temperature
    (0.7, 0.8)
    >>> rnb.Settings(alpha=1.5)
    Traceback (most recent call last):
        ...
    recover_nb.core.errors.InputError: alpha must be a weight in [0, 1], got 1.5
    """

    temperature: float = 0.6
    top_k: int = 100
    k_cov: int | None = None
    alpha: float = 0.7
    local_temperature: float = 1.0
    hot_temperature: float = 1.0
    min_p: float = 0.1
    contrast: float = 0.5
    width: int = 1
    window: int = 8
    continuation: str = Continuation.TEMPERATURE
    anchoring: str = Anchoring.ONLINE
    lag: int = 0
    threshold: str = "quantile"
    quantile: float | None = None
    warmup: int | None = None
    max_new_tokens: int = 80
    batch_size: int = 256
    seed: int = 0
    logit_grid: float = 2**-10
    modulus: int | None = 100

    def __post_init__(self) -> None:
        """Check every value."""
        checks.settle(self, **_KINDS)


_WHOLE = checks.whole(1, 1_000_000)
_KINDS = {
    "continuation": checks.one_of(Continuation),
    "anchoring": checks.one_of(Anchoring),
    "temperature": checks.number(0, 1000, what="0 (greedy) or a positive number"),
    "local_temperature": checks.POSITIVE,
    "hot_temperature": checks.POSITIVE,
    "alpha": checks.number(0, 1, what="a weight in [0, 1]"),
    "min_p": checks.SHARE,
    "contrast": checks.number(0, what="0 or a positive number"),
    "top_k": _WHOLE,
    "width": _WHOLE,
    "max_new_tokens": _WHOLE,
    "batch_size": _WHOLE,
    "window": checks.whole(0, 1_000_000),
    "seed": checks.SEED,
    "k_cov": _WHOLE,
    "warmup": checks.whole(0, 1_000_000),
    "modulus": checks.either(
        checks.whole(1), checks.NOTHING, "a whole number of at least 1, or None"
    ),
    "lag": checks.whole(0, 1, what="0 or 1"),
    "threshold": checks.one_of(THRESHOLDS),
    "quantile": checks.number(0, 1, what="a number in [0, 1]"),
    "logit_grid": checks.number(0, what="0 (no rounding) or a positive step such as 2**-10"),
}

#: The settings that a function asks for.
SETTINGS = checks.instance(
    Settings, "settings of decoding", "write them as rnb.Settings(temperature=0.6)"
)
