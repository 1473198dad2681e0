"""The peer of decoding: every intervention as one who has `transformers.generate` would write it.

A logits processor draws the candidate itself, scores it, and leaves the token it wants as the only
possible one. It keeps the ancestor's cache, so that neither model reads a token twice.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.cache_utils import DynamicCache

from recover_nb import tasks
from recover_nb.features.signals import signals_from_logits
from recover_nb.generation.decoding import Calibration, Pair, Settings
from recover_nb.generation.decoding.cached_model import cache_name
from recover_nb.generation.decoding.firing import firing_score
from recover_nb.generation.decoding.mixtures import mix_rows
from recover_nb.generation.generate import trace_text

WITH_ANCESTOR = (
    "local_temperature",
    "sparse_steer",
    "sparse_steer_wrong",
    "sparse_steer_random",
    "dense_steer",
    "dense_sample",
)


class Steer(LogitsProcessor):
    """One intervention over one batch of `generate`.

    Parameters
    ----------
    pair, settings, name
    mask : (B, L) int64
        Attention mask of the prompts.
    fields : dict of str to (B, ...) tensor
        Calibration of each row.
    """

    def __init__(
        self, pair: Pair, settings: Settings, name: str, mask: torch.Tensor, fields: dict
    ) -> None:
        self.pair, self.settings, self.name, self.mask, self.fields = (
            pair,
            settings,
            name,
            mask,
            fields,
        )
        self.cache, self.step = DynamicCache(config=pair.ancestor.config), 0
        self.cache_name = cache_name(pair.ancestor)
        self.fired = torch.zeros_like(mask[:, 0], dtype=torch.bool)
        self.is_coverage = torch.arange(len(mask), device=mask.device) % 2 == 1
        room = (fields["median_length"].ceil().long() - fields["warmup"]).clamp(min=1)
        self.place = fields["warmup"] + (torch.rand(len(mask), device=mask.device) * room).long()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores in which only the wanted token is possible."""
        settings, ancestor = self.settings, self.read(input_ids)
        if self.name in ("dense_steer", "dense_sample"):
            mixed = self.mixed(scores, ancestor, self.is_coverage)
            token = (
                mixed.argmax(-1)
                if self.name == "dense_steer"
                else torch.multinomial(mixed.exp(), 1)[:, 0]
            )
        else:
            token = torch.multinomial(torch.softmax(scores / settings.temperature, -1), 1)[:, 0]
            fires, is_coverage = self.fires(scores, ancestor, token)
            if self.name == "local_temperature":
                other = torch.multinomial(
                    torch.softmax(scores / settings.local_temperature, -1), 1
                )[:, 0]
            else:
                other = self.mixed(
                    scores, ancestor, is_coverage ^ (self.name == "sparse_steer_wrong")
                ).argmax(-1)
            token = torch.where(fires, other, token)
            self.fired |= fires
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0)

    def read(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the ancestor's logits of the next token."""
        if self.step:
            self.mask = torch.cat([self.mask, self.mask.new_ones((len(self.mask), 1))], 1)
        position = (self.mask.cumsum(-1) - 1).clamp(min=0)
        new = input_ids if not self.step else input_ids[:, -1:]
        output = self.pair.ancestor(
            input_ids=new,
            attention_mask=self.mask,
            position_ids=position[:, -new.shape[1] :],
            use_cache=True,
            logits_to_keep=1,
            **{self.cache_name: self.cache},
        )
        return output.logits[:, -1]

    def mixed(
        self, scores: torch.Tensor, ancestor: torch.Tensor, is_coverage: torch.Tensor
    ) -> torch.Tensor:
        """Mix both models."""
        return mix_rows(
            scores, ancestor, is_coverage, self.settings.alpha, self.settings.temperature
        )

    def fires(self, scores: torch.Tensor, ancestor: torch.Tensor, token: torch.Tensor) -> tuple:
        """Say which rows fire now, and their type."""
        if self.name == "sparse_steer_random":
            return (self.place == self.step) & ~self.fired, self.is_coverage
        found = signals_from_logits(scores, ancestor, token, temperature=self.settings.temperature)
        mean, sd = self.fields["coverage_mean"], self.fields["coverage_sd"]
        score, is_coverage = firing_score(
            found["path_score"], found["coverage_deformation"], mean, sd
        )
        late = self.step >= self.fields["warmup"]
        return (score > self.fields["threshold"]) & late & ~self.fired, is_coverage


def sample(
    pair: Pair,
    prompts: Sequence[str],
    settings: Settings,
    *,
    name: str = "retry",
    fields: dict | None = None,
    traces: list | None = None,
) -> float:
    """Run one batch of `generate` and return how many tokens it generated, end marks included."""
    inputs = pair.tokenizer(
        list(prompts), return_tensors="pt", padding=True, return_token_type_ids=False
    )
    inputs = {name: each.to(pair.device) for name, each in inputs.items()}
    hot = settings.hot_temperature if name == "temperature" else settings.temperature
    how: dict = {"temperature": hot, "top_k": 0}
    if name in WITH_ANCESTOR:
        # The processor draws, so nothing is left to draw: neither temperature nor top_k.
        steer = Steer(pair, settings, name, inputs["attention_mask"], fields)
        how = {"temperature": 1.0, "top_k": 0, "logits_processor": LogitsProcessorList([steer])}
    with torch.inference_mode():
        out = pair.specialist.generate(
            **inputs,
            do_sample=True,
            max_new_tokens=settings.max_new_tokens,
            min_new_tokens=1,
            **how,
        )
        trace = out[:, inputs["input_ids"].shape[1] :]
        if name == "none":
            _signals(pair, out, inputs["attention_mask"], settings)
    ended = (trace == pair.eos_ids[0]).int().cumsum(1)
    if traces is not None:
        traces += trace.tolist()
    # The end mark itself is generated and counts, what pads after it does not.
    return float(((ended == 0) | ((ended == 1) & (trace == pair.eos_ids[0]))).sum())


def _signals(pair: Pair, out: torch.Tensor, mask: torch.Tensor, settings: Settings) -> None:
    """Compute the signals of finished rollouts, by one pass of each model over prompt and trace."""
    length = out.shape[1] - mask.shape[1]
    mask = torch.cat([mask, mask.new_ones((len(mask), length))], 1)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = [
        model(
            input_ids=out, attention_mask=mask, position_ids=position, logits_to_keep=length + 1
        ).logits[:, :-1]
        for model in (pair.specialist, pair.ancestor)
    ]
    signals_from_logits(*logits, out[:, -length:], temperature=settings.temperature)


def study_peer(
    pair: Pair,
    problems: Sequence,
    calibration: Calibration,
    counts: dict[str, int],
    settings: Settings,
    *,
    together: bool,
) -> None:
    """Run one intervention after the other on every problem and check the answers."""
    for name, count in counts.items():
        for places in _parts(len(problems), count, settings.batch_size, together):
            fields = calibration.rows(places, np.zeros(len(places), dtype=np.int64), pair.device)
            traces: list = []
            sample(
                pair,
                [problems[p].prompt for p in places],
                settings,
                name=name,
                fields=fields,
                traces=traces,
            )
            for place, trace in zip(places, traces, strict=True):
                tasks.is_correct(problems[place], trace_text(pair, trace))


def _parts(n_problems: int, count: int, batch_size: int, together: bool) -> Iterator[np.ndarray]:
    """Split the rows into batches: problems of each row."""
    places = np.repeat(np.arange(n_problems), count)
    size = batch_size if together else count
    for first in range(0, len(places), size):
        yield places[first : first + size]
