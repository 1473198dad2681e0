"""The interventions of docs/method.md#4-interventions, one small class each."""

from typing import ClassVar

import torch

from recover_nb.core.labels import Anchoring
from recover_nb.generation.decoding.batch import Batch, Proposal
from recover_nb.generation.decoding.firing import firing_score
from recover_nb.generation.decoding.mixtures import best_of_rows, contrast, mix_by_rows, plausible
from recover_nb.generation.decoding.operators import Operator, register
from recover_nb.generation.decoding.sampling import Stream, temper

Fired = tuple[torch.Tensor, torch.Tensor]


@register("none")
class Observed(Operator):
    """The observed rollouts: S at T, on a stream of their own: attempts get fresh numbers."""

    stream = Stream.OBSERVED


@register("retry")
class Retry(Operator):
    """Fresh resampling: S at T."""


@register("temperature")
class Temperature(Operator):
    """S at `hot_temperature` everywhere, a control: reweights modes, never inverts a ranking."""

    def act(self, step: Proposal) -> Fired:
        """Draw every token at the other temperature."""
        return step.sample(step.settings.hot_temperature), _all(step)


@register("greedy")
class Greedy(Operator):
    """The argmax of S everywhere, a control: `dense_steer` is an argmax too."""

    def act(self, step: Proposal) -> Fired:
        """Take the argmax."""
        return step.grid_logits.argmax(-1), _all(step)


@register("min_p")
class MinP(Operator):
    """S at T without its unlikely tokens: those below `min_p` of the largest probability.

    Source: Nguyen et al., Turning Up the Heat: Min-p Sampling (2024).
    """

    def act(self, step: Proposal) -> Fired:
        """Draw from what is left with this step's uniforms."""
        settings = step.settings
        probabilities = temper(step.grid_logits, settings.temperature)
        kept = plausible(probabilities, settings.min_p)
        return step.draw(torch.where(kept, probabilities, 0.0)), _all(step)


@register("ancestor")
class Ancestor(Operator):
    """A at T: what the ancestor does alone, which nobody may claim for steering."""

    def may_ask_ancestor(self, step: Proposal) -> torch.Tensor:
        """Every row, always."""
        return _all(step)

    def act(self, step: Proposal) -> Fired:
        """Draw from the ancestor with this step's uniforms; the specialist does not run."""
        probabilities = temper(step.grid_ancestor_logits, step.settings.temperature)
        return step.draw(probabilities), _all(step)


@register("contrastive")
class Contrastive(Operator):
    """Away from A: S's plausible tokens, each the likelier the more S favours it over A.

    Source: Li et al., Contrastive Decoding (2022); `contrast` is its weight.
    """

    def may_ask_ancestor(self, step: Proposal) -> torch.Tensor:
        """Every row, always."""
        return _all(step)

    def act(self, step: Proposal) -> Fired:
        """Draw from the contrast with this step's uniforms."""
        settings = step.settings
        mixed = contrast(
            step.grid_logits,
            step.grid_ancestor_logits,
            settings.contrast,
            settings.min_p,
            settings.temperature,
        )
        return step.draw(mixed.exp()), _all(step)


class FiresOnce(Operator):
    """Base of the operators that act once, where the firing rule says, and then let go.

    A subclass says what it does there (`treat`); one that fires elsewhere overrides `fires`.
    """

    needs_calibration: ClassVar[bool] = True
    #: Whether `treat` reads the ancestor, or only the firing rule does.
    treats_with_ancestor: ClassVar[bool] = True

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        none = torch.zeros(len(batch), dtype=torch.bool, device=batch.pair.device)
        self.is_coverage, self._due, self._due_coverage = none.clone(), none.clone(), none.clone()
        self._replays = batch.settings.anchoring == Anchoring.REPLAY

    @property
    def width(self) -> int:
        """How many tokens the operator emits once it fires."""
        return 1

    def treat(self, step: Proposal, is_coverage: torch.Tensor) -> torch.Tensor:
        """Return the tokens (n,) to emit at firing rows; `is_coverage` (n,) bool is what fired."""
        raise NotImplementedError

    def fires(self, step: Proposal) -> Fired:
        """Return rows (n,) bool that fire here if they never did, and which type fired."""
        if self._replays:
            at_junction = step.position == step.calibrated("junction")
            return at_junction, step.calibrated("junction_is_coverage")
        hit, is_coverage = self._scored(step)
        if not self.batch.settings.lag:
            return hit, is_coverage
        # One step late: this step's verdict is kept for the next, last step's decides now.
        due, due_coverage = self._due[step.rows], self._due_coverage[step.rows]
        self._due[step.rows], self._due_coverage[step.rows] = hit, is_coverage
        return due, due_coverage

    def _scored(self, step: Proposal) -> Fired:
        """Score the candidates of rows past their warm-up, and compare with the threshold."""
        hit, is_coverage = ~_all(step), ~_all(step)
        eligible = (step.fired_at < 0) & (step.position >= step.calibrated("warmup"))
        if not bool(eligible.any()):
            return hit, is_coverage
        part = step.take(eligible)
        signals = part.signals
        score, is_coverage[eligible] = firing_score(
            signals["path_score"],
            signals["coverage_deformation"],
            part.calibrated("coverage_mean"),
            part.calibrated("coverage_sd"),
        )
        hit[eligible] = score > part.calibrated("threshold")
        return hit, is_coverage

    def may_ask_ancestor(self, step: Proposal) -> torch.Tensor:
        """Rows that have yet to fire, or are still being steered."""
        if self._replays and not self.treats_with_ancestor:
            return ~_all(step)
        return (step.fired_at < 0) | (step.position < step.fired_at + self.width)

    def act(self, step: Proposal) -> Fired:
        """Replace the candidates of rows that fire here, and of the rest of their `width`."""
        waiting = step.fired_at < 0
        fire, is_coverage = self.fires(step)
        fire = fire & waiting
        self.is_coverage[step.rows[fire]] = is_coverage[fire]
        acted = fire | (~waiting & (step.position < step.fired_at + self.width))
        token = step.candidate.clone()
        if bool(acted.any()):
            token[acted] = self.treat(step.take(acted), self.is_coverage[step.rows[acted]])
        return token, acted


@register("local_temperature")
class LocalTemperature(FiresOnce):
    """At the firing position only, S at `local_temperature`, with the uniform it had anyway."""

    treats_with_ancestor: ClassVar[bool] = False

    def treat(self, step: Proposal, is_coverage: torch.Tensor) -> torch.Tensor:
        """Draw from S at the local temperature."""
        return step.sample(step.settings.local_temperature)


@register("sparse_steer")
class SparseSteer(FiresOnce):
    """From the firing position, the argmax of the mixture whose score fired, for `width` tokens."""

    @property
    def width(self) -> int:
        """As set."""
        return self.batch.settings.width

    def treat(self, step: Proposal, is_coverage: torch.Tensor) -> torch.Tensor:
        """Take the argmax of the mixture that fired."""
        return _best(step, is_coverage)


@register("sparse_steer_wrong")
class SparseSteerWrong(SparseSteer):
    """As `sparse_steer`, with the opposite mixture (a control for the type)."""

    def treat(self, step: Proposal, is_coverage: torch.Tensor) -> torch.Tensor:
        """Take the argmax of the other mixture."""
        return super().treat(step, ~is_coverage)


@register("sparse_steer_random")
class SparseSteerRandom(SparseSteer):
    """The same steer at a random position and of a random type (a control for the position).

    The position is uniform in [warmup, median length) of the failed traces. A trace that ends
    before it is left as ``retry`` has it.
    """

    def fires(self, step: Proposal) -> Fired:
        """Fire at the row's own random position, of its own random type."""
        own_u = self.batch.own_u[step.rows]
        fields = {name: step.calibrated(name) for name in ("warmup", "median_length")}
        return step.position == _random_position(fields, own_u), own_u[:, 1] >= 0.5

    @classmethod
    def first_position(
        cls, junction: torch.Tensor, calibration: dict[str, torch.Tensor], own_u: torch.Tensor
    ) -> torch.Tensor:
        """Return the junction, or the random position where that comes first."""
        # Never beyond the junction, where its twin under `retry` takes over from the failed trace.
        return torch.minimum(junction, _random_position(calibration, own_u))


@register("dense_steer")
class DenseSteer(Operator):
    """The argmax of the mixture at every position: even rollouts path, odd rollouts coverage."""

    def may_ask_ancestor(self, step: Proposal) -> torch.Tensor:
        """Every row, always."""
        return _all(step)

    def act(self, step: Proposal) -> Fired:
        """Take the argmax of the mixture."""
        return _best(step, _odd(step)), _all(step)


@register("dense_sample")
class DenseSample(DenseSteer):
    """Sample the mixture at T at every position: even rollouts path, odd rollouts coverage."""

    def act(self, step: Proposal) -> Fired:
        """Draw from the mixture with this step's uniforms."""
        return step.draw(mix_by_rows(*_mixing(step, _odd(step))).exp_()), _all(step)


def _all(step: Proposal) -> torch.Tensor:
    return torch.ones(len(step), dtype=torch.bool, device=step.rows.device)


def _odd(step: Proposal) -> torch.Tensor:
    return step.batch.rollout_number[step.rows] % 2 == 1


def _mixing(step: Proposal, is_coverage: torch.Tensor) -> tuple:
    """Return what `best_of_rows` takes. It rounds to the grid itself, a few rows at a time."""
    settings = step.settings
    return (
        step.logits,
        step.ancestor_logits,
        is_coverage,
        settings.alpha,
        settings.temperature,
        settings.logit_grid,
    )


def _best(step: Proposal, is_coverage: torch.Tensor) -> torch.Tensor:
    return best_of_rows(*_mixing(step, is_coverage))


def _random_position(fields: dict[str, torch.Tensor], own_u: torch.Tensor) -> torch.Tensor:
    """Return an integer uniform in [warmup, median length), (B,) int64; warmup if that is empty."""
    warmup = fields["warmup"]
    room = (fields["median_length"].ceil().long() - warmup).clamp(min=1)
    return warmup + (own_u[:, 0] * room).long()
