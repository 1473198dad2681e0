"""What an operator sees: the batch it was made for, and one step of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from recover_nb.features.signals import signals_from_logits
from recover_nb.generation.decoding.pair import Pair
from recover_nb.generation.decoding.sampling import draw_tempered, inverse_cdf, to_grid
from recover_nb.generation.decoding.settings import Settings


@dataclass(frozen=True)
class Batch:
    """The B rows decoded together. All tensors are on the pair's device.

    Attributes
    ----------
    pair, settings : Pair, Settings
    problem, rollout : (B,) int64
        Places in the lists of problems and rollouts.
    rollout_number : (B,) int64
        The rollouts themselves.
    u : (B, max_new_tokens) float64
        The uniform of each position.
    own_u : (B, 2) float64
        What an operator may draw for itself (stream 2): sharing `u` would tie its choices to the
        tokens.
    start : (B,) int64
        First position to be decoded; 0 unless a prefix is replayed.
    token_id : (B, max_new_tokens) int64
        The replayed prefix, then what has been emitted; -1 beyond. Filled by the loop.
    calibration : dict of str to (B, ...) tensor
        The rows of a `firing.Calibration`; empty when none was given.
    follow : (B, max_new_tokens) int64 or None
        Twins to follow until the operator acts.
    prompts : sequence of list of int
        The prompts' tokens, by `problem`.
    """

    pair: Pair
    settings: Settings
    problem: torch.Tensor
    rollout: torch.Tensor
    rollout_number: torch.Tensor
    u: torch.Tensor
    own_u: torch.Tensor
    start: torch.Tensor
    token_id: torch.Tensor
    calibration: dict[str, torch.Tensor] = field(default_factory=dict)
    follow: torch.Tensor | None = None
    prompts: Sequence[list[int]] = ()

    def __len__(self) -> int:
        """Return B."""
        return len(self.problem)


@dataclass(frozen=True)
class Proposal:
    """One step as an operator sees it: the n rows still in play, each with its candidate token.

    Attributes
    ----------
    batch : Batch
    rows : (n,) int64
        Places in the batch; index any per-row state of an operator with it.
    position : (n,) int64
        Place of the token in the trace, counted from 0.
    fired_at : (n,) int64
        Where the operator first acted, -1 = not yet.
    """

    batch: Batch
    rows: torch.Tensor
    position: torch.Tensor
    fired_at: torch.Tensor
    _read_specialist: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    _read_ancestor: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)

    def __len__(self) -> int:
        """Return n."""
        return len(self.rows)

    @property
    def settings(self) -> Settings:
        """Settings of the batch."""
        return self.batch.settings

    @cached_property
    def u(self) -> torch.Tensor:
        """Uniform of each row at this position, (n,) float64, the same for every intervention."""
        return self.batch.u[self.rows, self.position]

    @cached_property
    def candidate(self) -> torch.Tensor:
        """Token emitted unless the operator acts, (n,) int64.

        It is S at T, or the continuation after the operator has fired.
        """
        token = self.sample(self.settings.temperature)
        fired = self.fired_at >= 0
        if self.batch.follow is not None:
            twin = self.batch.follow[self.rows, self.position]
            token = torch.where(fired | (twin < 0), token, twin)
        if self.settings.continuation == "greedy":
            token = torch.where(fired, self.grid_logits.argmax(-1), token)
        return token

    @cached_property
    def logits(self) -> torch.Tensor:
        """The specialist's raw logits, (n, V) float32. Its model runs only when this is read.

        Signals come from these; tokens from `grid_logits`.
        """
        return self._read_specialist(self.rows)

    @property
    def has_logits(self) -> bool:
        """Whether `logits` has been read."""
        return "logits" in self.__dict__

    @cached_property
    def grid_logits(self) -> torch.Tensor:
        """`logits` rounded to the grid, (n, V) float32: what every token is chosen from."""
        return to_grid(self.logits, self.settings.logit_grid)

    @cached_property
    def ancestor_logits(self) -> torch.Tensor:
        """The ancestor's raw logits, (n, V) float32. Its model runs only when this is read."""
        return self._read_ancestor(self.rows)

    @property
    def grid_ancestor_logits(self) -> torch.Tensor:
        """`ancestor_logits` rounded to the grid, (n, V) float32."""
        return to_grid(self.ancestor_logits, self.settings.logit_grid)

    @cached_property
    def signals(self) -> dict[str, torch.Tensor]:
        """Signals of the candidate, each (n,): see `recover_nb.signals_from_logits`."""
        return self.signals_of(self.candidate)

    def signals_of(self, token: torch.Tensor) -> dict[str, torch.Tensor]:
        """Signals of any token (n,) of this step."""
        settings = self.settings
        return signals_from_logits(
            self.logits,
            self.ancestor_logits,
            token,
            temperature=settings.temperature,
            top_k=settings.top_k,
            k_cov=settings.k_cov,
        )

    def sample(self, temperature: float) -> torch.Tensor:
        """Draw from the specialist at `temperature` with this step's uniforms, (n,) int64."""
        return draw_tempered(self.logits, temperature, self.u, self.settings.logit_grid)

    def draw(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Draw from `probabilities` (n, V) with this step's uniforms, (n,) int64."""
        return inverse_cdf(probabilities, self.u)

    def calibrated(self, name: str) -> torch.Tensor:
        """Field `name` of the calibration for these rows."""
        return self.batch.calibration[name][self.rows]

    def take(self, mask: torch.Tensor) -> "Proposal":
        """Return the same step for the rows where `mask` (n,) bool holds."""
        part = replace(
            self, **{name: getattr(self, name)[mask] for name in ("rows", "position", "fired_at")}
        )
        for name in ("candidate", "logits", "ancestor_logits", "u"):
            if name in self.__dict__:
                part.__dict__[name] = self.__dict__[name][mask]
        return part


@dataclass(frozen=True)
class Step:
    """What one step emitted, for the n rows still in play: the unit `steps` yields.

    Attributes
    ----------
    batch : Batch
    rows : (n,) int64
        Places in the batch.
    problem, rollout : (n,) int64
        Places in the lists given to `steps`.
    position : (n,) int64
    token_id : (n,) int64
        The token emitted.
    acted : (n,) bool
        Whether the operator chose it.
    last, stopped : (n,) bool
        Whether the row ends here, and whether it ended by itself (an end-of-sequence token).
    forward_specialist, forward_ancestor : (n,) int32
        Positions evaluated so far by each model (the prompt counts once).
    logits : (n, V) float32, or None
        The specialist's, raw; None where an operator did without it.
    signals : dict of str to (n,), or None
        Signals of the emitted token, when recorded.
    ancestor_logits : (n, V) float32, or None
        The ancestor's, raw, when recorded.
    """

    batch: Batch = field(repr=False)
    rows: torch.Tensor
    problem: torch.Tensor
    rollout: torch.Tensor
    position: torch.Tensor
    token_id: torch.Tensor
    acted: torch.Tensor
    last: torch.Tensor
    stopped: torch.Tensor
    forward_specialist: torch.Tensor
    forward_ancestor: torch.Tensor
    logits: Any = field(repr=False)
    signals: dict[str, torch.Tensor] | None = field(repr=False)
    ancestor_logits: torch.Tensor | None = field(default=None, repr=False)

    @property
    def trace(self) -> torch.Tensor:
        """Tokens of the rows so far, a replayed prefix included, (n, max_new_tokens), then -1.

        Their dtype is int64.
        """
        return self.batch.token_id[self.rows]
