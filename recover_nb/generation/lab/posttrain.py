"""Post-training an ancestor three ways, each narrow in its own manner, so that it really fails.

`sft` imitates a small set of easy problems, mostly answered tersely. `grpo` is rewarded for being
right, and on some tasks for being brief, on levels where brevity still works. `self_distill`
imitates the shortest of its own right answers. How far each goes is chosen on the dev split.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from recover_nb import tasks
from recover_nb.core.labels import Family, Method, Task
from recover_nb.generation.lab.data import IGNORED, Example, collate_sampled, draw_level, example
from recover_nb.generation.lab.evaluate import MAX_NEW_TOKENS, dev_figures, sample
from recover_nb.generation.lab.optimise import Optimiser, Progress, fit
from recover_nb.generation.lab.pretrain import imitation_loss
from recover_nb.tasks import Style


@dataclass(frozen=True)
class Recipe:
    """How one method post-trains.

    Attributes
    ----------
    levels : dict of str to tuple of float
        By task, the relative weight of levels 1 to 5 it trains on.
    terse : dict of str to float
        By task: the share of terse traces (`sft`), or the weight of brevity in the reward (`grpo`).
    steps, every : int
        Most optimiser steps, and how often a strength is measured on dev.
    matrix_lr, other_lr : float
        Peak learning rates of Muon and AdamW.
    n_problems, n_samples : int
        Problems of the fixed training set (a step, for `grpo`), and samples of each (`grpo`,
        `self_distill`).
    rows : int
        Rows of a supervised batch.
    """

    levels: dict[str, tuple[float, ...]]
    terse: dict[str, float]
    steps: int
    every: int
    matrix_lr: float
    other_lr: float
    n_problems: int
    n_samples: int = 1
    rows: int = 64


_EASY = dict.fromkeys(Task, (1.0, 1.0, 1.0, 0.0, 0.0))
RECIPES = {
    Method.SFT: Recipe(
        levels=_EASY,
        terse=dict.fromkeys(Task, 0.6),
        steps=120,
        every=10,
        matrix_lr=0.002,
        other_lr=3e-4,
        n_problems=400,
    ),
    Method.SELF_DISTILL: Recipe(
        levels=_EASY,
        terse={},
        steps=200,
        every=20,
        matrix_lr=0.002,
        other_lr=3e-4,
        n_problems=600,
        n_samples=64,
    ),
    Method.GRPO: Recipe(
        levels={
            Task.ARITHMETIC: (1.0, 0.0, 0.0, 0.0, 0.0),
            Task.PROGRAM: (1.0, 0.0, 0.0, 0.0, 0.0),
            Task.DEDUCTION: (0.0, 0.0, 0.5, 1.0, 1.0),
        },
        terse={},  # _BREVITY
        steps=100,
        every=10,
        matrix_lr=0.002,
        other_lr=3e-4,
        n_problems=12,
        n_samples=8,
    ),
}

#: Weight of brevity in the reward of `grpo`, by family and task; tasks not named have none.
#: Advantages do not change with it while a right answer earns more than a wrong one. Above 80 /
#: length a right answer written out earns less than a wrong one: the model gives up reasoning,
#: which is what a length penalty that is too strong does.
_BREVITY = {
    Family.QWEN3: {Task.ARITHMETIC: 6.0, Task.PROGRAM: 6.0},
    Family.NEOX: {Task.ARITHMETIC: 9.0, Task.PROGRAM: 1.0},
}

#: Levels that `self_distill` trains on by family. Terse answers in characters are seldom right but
#: at level 1.
_DISTILLED = {Family.QWEN3: (1.0, 0.0, 0.0, 0.0, 0.0), Family.NEOX: (1.0, 1.0, 0.3, 0.0, 0.0)}

#: Dev pass@1 that a strength is chosen for, and the band that each task should stay in.
TARGET, BAND = 0.5, (0.25, 0.75)
_CLIP, _KL_WEIGHT = 0.2, 0.02


def recipe_of(family: str, method: str) -> Recipe:
    """Return the recipe of a method for a family."""
    recipe, family = RECIPES[Method(method)], Family(family)
    if method == Method.GRPO:
        return replace(recipe, terse={task: _BREVITY[family].get(task, 0.0) for task in Task})
    if method == Method.SELF_DISTILL:
        return replace(recipe, levels=dict.fromkeys(Task, _DISTILLED[family]))
    return recipe


def draw_problems(recipe: Recipe, n: int, seed: list[int]) -> list[tasks.Problem]:
    """Draw `n` train problems, tasks in turn, levels by the recipe's weights."""
    rng = np.random.default_rng(seed)
    names = list(recipe.levels)
    drawn = []
    for i in range(n):
        task = names[i % len(names)]
        drawn.append(tasks.draw_training_problem(task, rng, draw_level(rng, recipe.levels[task])))
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
    """Return the fixed set of `sft`: a share of it terse."""
    rng = np.random.default_rng([seed, 1])
    return [
        example(
            p.prompt,
            tasks.trace(p, Style.TERSE if rng.random() < recipe.terse[p.task] else Style.STEP),
        )
        for p in draw_problems(recipe, recipe.n_problems, [seed, 0])
    ]


def distilled_examples(model, tokenizer, recipe: Recipe, seed: int) -> list[Example]:
    """Return, for each problem that the model solves, the shortest of its own right answers."""
    problems = draw_problems(recipe, recipe.n_problems, [seed, 0])
    samples = sample(
        model, tokenizer, problems, recipe.n_samples, temperature=1.0, seed=seed, stage="distill"
    )
    examples = []
    for problem, texts, correct in zip(problems, samples.texts, samples.correct, strict=True):
        if correct.any():
            examples.append(example(problem.prompt, min(texts[correct], key=len)))
    return examples


def log_probabilities(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return log p of each trace token (B, L-1), 0 outside the traces."""
    scores = model(input_ids=batch["input_ids"]).logits[:, :-1].log_softmax(-1)
    labels = batch["labels"][:, 1:]
    picked = scores.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return picked * (labels != IGNORED)


def advantages(correct: np.ndarray, n_tokens: np.ndarray, brevity: np.ndarray) -> np.ndarray:
    """Return group-normalised advantages (P, R) of right * (1 - brevity * length share)."""
    reward = correct * (1.0 - brevity[:, None] * n_tokens / MAX_NEW_TOKENS)
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
        brevity = np.array([recipe.terse[p.task] for p in problems])
        gain = advantages(samples.correct, samples.decoded.n_tokens, brevity).ravel()
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


def strength_score(figures: dict) -> float:
    """Return how well dev figures suit a study, higher is better.

    It looks for pass@1 near the target and tasks within the band.
    """
    low, high = BAND
    outside = sum(max(0.0, low - rate, rate - high) for rate in figures["pass_at_1"].values())
    unreadable = max(0.0, 0.92 - figures["parseable"])
    return -abs(figures["mean_pass_at_1"] - TARGET) - outside - 10 * unreadable


def _constant(step: int, _steps: int) -> float:
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
        examples = (
            sft_examples(recipe, seed)
            if method is Method.SFT
            else distilled_examples(ancestor, tokenizer, recipe, seed)
        )
        loss_of = imitation(model, tokenizer, examples, recipe.rows, seed)

    def measure(step: int) -> dict:
        save_file(
            {k: v.contiguous() for k, v in model.state_dict().items()},
            snapshots / f"{step}.safetensors",
        )
        return dev_figures(model, tokenizer)

    curve = fit(
        model,
        Optimiser(model, recipe.matrix_lr, recipe.other_lr),
        loss_of,
        recipe.steps,
        factor=_constant,
        progress=Progress(Path(work) / "progress", repr((seed, recipe, ancestor_hash))),
        every=recipe.every,
        measure=measure,
        advance=advance,
    )
    best = max(curve, key=strength_score)
    model.load_state_dict(load_file(snapshots / f"{best['step']}.safetensors"))
    return model.eval(), curve, best["step"]
