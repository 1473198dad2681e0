"""What a decode is told: one frozen, validated value."""

from dataclasses import dataclass

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Anchoring, Continuation, parse

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
    recover_nb.core.errors.InputError: setting alpha=1.5 cannot be used; allowed: a weight in [0, 1]
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
        object.__setattr__(self, "continuation", parse(Continuation, self.continuation))
        object.__setattr__(self, "anchoring", parse(Anchoring, self.anchoring))
        self._need("temperature", self.temperature >= 0, "0 (greedy) or a positive number")
        for name in ("local_temperature", "hot_temperature"):
            self._need(name, getattr(self, name) > 0, "a positive number")
        self._need("alpha", 0 <= self.alpha <= 1, "a weight in [0, 1]")
        self._need("min_p", 0 <= self.min_p <= 1, "a share in [0, 1]")
        self._need("contrast", 0 <= self.contrast < float("inf"), "0 or a positive number")
        for name in ("top_k", "width", "max_new_tokens", "batch_size"):
            self._need(name, _is_whole(getattr(self, name), 1), "a whole number of at least 1")
        for name in ("window", "seed"):
            self._need(name, _is_whole(getattr(self, name), 0), "a whole number of at least 0")
        for name, least in (("k_cov", 1), ("warmup", 0), ("modulus", 1)):
            value = getattr(self, name)
            allowed = f"None or a whole number of at least {least}"
            self._need(name, value is None or _is_whole(value, least), allowed)
        self._need("lag", self.lag in (0, 1), "0 or 1")
        self._need("threshold", self.threshold in THRESHOLDS, " or ".join(THRESHOLDS))
        self._need(
            "quantile",
            self.quantile is None or 0 <= self.quantile <= 1,
            "None or a number in [0, 1]",
        )
        self._need(
            "logit_grid", self.logit_grid >= 0, "0 (no rounding) or a positive step such as 2**-10"
        )

    def _need(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise InputError(
                f"setting {name}={getattr(self, name)!r} cannot be used; allowed: {allowed}"
            )


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
