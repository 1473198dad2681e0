"""Post-training an ancestor three ways: each makes it better, and narrow in a way of its own.

`sft` imitates a small set of clean, worked answers from which some skills are missing. `grpo` is
rewarded for being right, until it is sure of itself. `self_distill` imitates the shortest of its
own right answers, its habits with them. How far each goes is chosen on the dev split. `cued` says
what it is about to do (docs/method.md#20-cues).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recover_nb import tasks
from recover_nb.core.labels import Method, Slip, Task
from recover_nb.generation.lab.cued import begin_cues, cued_examples
from recover_nb.generation.lab.data import IGNORED, Example, collate_sampled, draw_level, example
from recover_nb.generation.lab.evaluate import dev_figures, sample
from recover_nb.generation.lab.optimise import (
    Optimiser,
    Progress,
    fit,
    load_weights,
    save_weights,
    trapezoid,
)
from recover_nb.generation.lab.pretrain import imitation_loss
from recover_nb.tasks import Style


@dataclass(frozen=True)
class Recipe:
    """How one method post-trains.

    Attributes
    ----------
    levels : tuple of float
        The relative weight of levels 1 to 5 it trains on.
    steps, every : int
        Most optimiser steps, and how often a strength is measured on dev.
    matrix_lr, other_lr : float
        Peak learning rates of Muon and AdamW.
    n_problems : int
        Problems of the fixed training set (a step, for `grpo`).
    n_samples : int
        Samples of each (`grpo`, `self_distill`).
    rows : int
        Rows of a supervised batch.
    missing : tuple of str
        Kinds of `labels.Slip`: no problem that invites one is trained on.
    """

    levels: tuple[float, ...]
    steps: int
    every: int
    matrix_lr: float
    other_lr: float
    n_problems: int
    n_samples: int = 1
    rows: int = 64
    missing: tuple[str, ...] = ()


RECIPES = {
    Method.SFT: Recipe(
        levels=(1.0, 1.0, 1.0, 0.3, 0.0),
        steps=240,
        every=20,
        matrix_lr=0.002,
        other_lr=3e-4,
        n_problems=400,
        missing=(Slip.BORROW, Slip.ROW, Slip.LAST_NAMED),
    ),
    Method.SELF_DISTILL: Recipe(
        levels=(1.0, 1.0, 1.0, 0.3, 0.0),
        steps=240,
        every=20,
        matrix_lr=0.002,
        other_lr=3e-4,
        n_problems=1200,
        n_samples=4,
    ),
    Method.GRPO: Recipe(
        levels=(1.0, 1.0, 1.0, 0.0, 0.0),
        steps=240,
        every=20,
        matrix_lr=0.002,
        other_lr=3e-4,
        n_problems=16,
        n_samples=8,
    ),
    Method.CUED: Recipe(
        levels=(20.0, 24.0, 24.0, 20.0, 12.0),
        steps=400,
        every=200,
        matrix_lr=0.004,
        other_lr=1e-3,
        n_problems=1500,
        n_samples=2,
    ),
}

#: A specialist's least gain over its ancestor on dev, in pass@1. Of the strengths that gain as much
#: the last is chosen: the narrowest.
LEAST_GAIN = 0.125
_CLIP, _KL_WEIGHT = 0.2, 0.02
#: Steps in which `cued` learns its cues alone, and their rate.
_CUE_STEPS, _CUE_RATE = 60, 0.02


def draw_problems(recipe: Recipe, n: int, seed: list[int]) -> list[tasks.Problem]:
    """Draw `n` train problems, tasks in turn, by the recipe's levels, without what is missing."""
    rng = np.random.default_rng(seed)
    names = list(Task)
    drawn: list[tasks.Problem] = []
    while len(drawn) < n:
        task = names[len(drawn) % len(names)]
        problem = tasks.draw_training_problem(task, rng, draw_level(rng, recipe.levels))
        if not tasks.invited_slips(problem) & set(recipe.missing):
            drawn.append(problem)
    return drawn


def imitation(model, tokenizer, examples: list[Example], rows: int, seed: int) -> Callable:
    """Return `loss_of(step)` of supervised batches drawn from a fixed set."""

    def loss_of(step: int) -> float:
        chosen = np.random.default_rng([seed, step]).choice(len(examples), size=rows)
        loss = imitation_loss(model, tokenizer, [examples[i] for i in chosen])
        loss.backward()
        return loss.item()

    return loss_of


def sft_examples(recipe: Recipe, seed: int) -> list[Example]:
    """Return the fixed set of `sft`: clean, worked answers."""
    problems = draw_problems(recipe, recipe.n_problems, [seed, 0])
    return [example(p.prompt, tasks.trace(p, Style.STEP)) for p in problems]


def distilled_examples(model, tokenizer, recipe: Recipe, seed: int) -> list[Example]:
    """Return the shortest of the model's own right, worked answers to each problem it solves."""
    problems = draw_problems(recipe, recipe.n_problems, [seed, 0])
    samples = sample(
        model, tokenizer, problems, recipe.n_samples, temperature=1.0, seed=seed, stage="distill"
    )
    examples = []
    for problem, texts, correct in zip(problems, samples.texts, samples.correct, strict=True):
        right = [text for text in texts[correct] if tasks.is_worked(text)]
        if right:
            examples.append(example(problem.prompt, min(right, key=len)))
    return examples


def _examples(method: Method, ancestor, tokenizer, recipe: Recipe, seed: int) -> list[Example]:
    if method is Method.SFT:
        return sft_examples(recipe, seed)
    if method is Method.CUED:
        problems = draw_problems(recipe, recipe.n_problems, [seed, 0])
        return cued_examples(ancestor, tokenizer, problems, recipe.n_samples, seed)
    return distilled_examples(ancestor, tokenizer, recipe, seed)


def log_probabilities(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return log p of each trace token (B, L-1), 0 outside the traces."""
    scores = model(input_ids=batch["input_ids"]).logits[:, :-1].log_softmax(-1)
    labels = batch["labels"][:, 1:]
    picked = scores.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return picked * (labels != IGNORED)


def advantages(correct: np.ndarray) -> np.ndarray:
    """Return group-normalised advantages (P, R) of being right."""
    reward = correct.astype(float)
    centred = reward - reward.mean(1, keepdims=True)
    return centred / (reward.std(1, keepdims=True) + 1e-4)


def grpo_loss(model, tokenizer, ancestor, recipe: Recipe, seed: int) -> Callable:
    """Return `loss_of(step)`: two clipped updates a sampled batch, with KL to the ancestor."""
    held: dict = {}

    def refresh(step: int) -> None:
        problems = draw_problems(recipe, recipe.n_problems, [seed, step])
        model.eval()
        samples = sample(
            model,
            tokenizer,
            problems,
            recipe.n_samples,
            temperature=1.0,
            seed=seed + step,
            stage="grpo",
        )
        model.train()
        gain = advantages(samples.correct).ravel()
        prompts = [p.prompt for p in problems for _ in range(recipe.n_samples)]
        token_id = samples.decoded.token_id.reshape(len(prompts), -1)
        batch = collate_sampled(tokenizer, prompts, token_id)
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        with torch.no_grad():
            held.update(
                old=log_probabilities(model, batch), base=log_probabilities(ancestor, batch)
            )
        held.update(batch=batch, gain=torch.tensor(gain, dtype=torch.float32, device=model.device))

    def loss_of(step: int) -> float:
        if step % 2 == 0 or not held:
            refresh(step - step % 2)
        new = log_probabilities(model, held["batch"])
        mask = (held["batch"]["labels"][:, 1:] != IGNORED).float()
        ratio = (new - held["old"]).exp()
        gain = held["gain"][:, None]
        surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - _CLIP, 1 + _CLIP) * gain)
        gap = held["base"] - new
        divergence = gap.exp() - gap - 1
        loss = -((surrogate - _KL_WEIGHT * divergence) * mask).sum() / mask.sum()
        loss.backward()
        return loss.item()

    return loss_of


def choose_strength(curve: list[dict], ancestor_rate: float) -> dict:
    """Return the last point of a curve that gains `LEAST_GAIN`; the best where none does."""
    rates = [point["mean_pass_at_1"] for point in curve]
    enough = [
        point
        for point, rate in zip(curve, rates, strict=True)
        if rate >= ancestor_rate + LEAST_GAIN
    ]
    return enough[-1] if enough else curve[int(np.argmax(rates))]


def constant(step: int, _steps: int) -> float:
    """Warm up over ten steps, then hold: every measured step is a finished strength of its own."""
    return min(1.0, (step + 1) / 10)


def posttrain(
    method: str,
    ancestor,
    tokenizer,
    seed: int,
    work: Path,
    *,
    recipe: Recipe,
    ancestor_hash: str = "",
    advance: Callable[[int], None] | None = None,
):
    """Post-train a copy of `ancestor`; return the model, its curve and the chosen step.

    The model is at the strength chosen on dev.

    Parameters
    ----------
    method : str
        A specialist's name of `labels.Method`.
    work : Path
        Folder of the resumable state and of one snapshot a measured strength.
    ancestor_hash : str
        Kept with the state, so that a run from another ancestor is not gone on with.
    """
    method = Method(method)
    model = copy.deepcopy(ancestor)
    snapshots = Path(work) / "snapshots"
    snapshots.mkdir(parents=True, exist_ok=True)
    if method is Method.GRPO:
        loss_of = grpo_loss(model, tokenizer, ancestor, recipe, seed)
    else:
        examples = _examples(method, ancestor, tokenizer, recipe, seed)
        loss_of = imitation(model, tokenizer, examples, recipe.rows, seed)
    progress = Progress(Path(work) / "progress", repr((seed, recipe, ancestor_hash)))
    if method is Method.CUED and not progress.begun:
        begin_cues(model, loss_of, tokenizer, steps=_CUE_STEPS, rate=_CUE_RATE)

    def measure(step: int) -> dict:
        save_weights(model, snapshots / f"{step}.sealed")
        return dev_figures(model, tokenizer, n_problems=100)

    curve = fit(
        model,
        Optimiser(model, recipe.matrix_lr, recipe.other_lr),
        loss_of,
        recipe.steps,
        # Cues are new to the model, so it is trained to an end, not stopped where it gains enough.
        factor=trapezoid if method is Method.CUED else constant,
        progress=progress,
        every=recipe.every,
        measure=measure,
        advance=advance,
    )
    if method is Method.CUED:
        return model.eval(), curve, recipe.steps
    best = choose_strength(
        curve, dev_figures(ancestor, tokenizer, n_problems=100)["mean_pass_at_1"]
    )
    model.load_state_dict(load_weights(snapshots / f"{best['step']}.sealed"))
    return model.eval(), curve, best["step"]
