"""Pretraining the ancestor from scratch: all tasks, both trace styles, some noise, and drill."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from recover_nb import tasks
from recover_nb.core.labels import Family, Task
from recover_nb.generation.lab.data import (
    IGNORED,
    Mixture,
    collate,
    equation_drill,
    example,
    recall_drill,
)
from recover_nb.generation.lab.models import make_model
from recover_nb.generation.lab.optimise import Optimiser, Progress, cycles, fit
from recover_nb.generation.lab.tokenizers import make_tokenizer

#: Level 5 is shown 3 times in a hundred; terse answers are rarer where they cannot be right.
MIXTURE = Mixture(
    level_weights=(1.0, 1.0, 1.0, 1.0, 0.12), terse=(0.20, 0.10, 0.10, 0.10, 0.10), noise=0.03
)
#: Lengths of the learning-rate cycles. Characters take longer: `qwen3` needs a second cycle for
#: four-step programs.
CYCLES = {Family.QWEN3: (3360, 900), Family.NEOX: (3900,)}
STEPS = {family: sum(lengths) for family, lengths in CYCLES.items()}
#: Rows of a step, each kind in a batch of its own.
ROWS = {Task.ARITHMETIC: 10, Task.PROGRAM: 20, Task.DEDUCTION: 16}
DRILL_ROWS = {equation_drill: 12, recall_drill: 12}
#: Steps at the beginning that are drill in recall alone, and their rows: amid other tasks `neox`
#: does not find it.
RECALL_FIRST, RECALL_ROWS = 200, 32
MATRIX_LR, OTHER_LR = 0.02, 3e-3


def pretraining_loss(model, tokenizer, seed: int) -> Callable[[int], float]:
    """Return `loss_of(step)` for `fit`: next-token loss on fresh batches of all tasks and drill.

    The first `RECALL_FIRST` steps are drill in recall alone. Tasks are run one after the other
    because their lengths differ: less padding than one mixed batch.
    """

    def batches(step: int) -> Iterator[list]:
        if step < RECALL_FIRST:
            rng = np.random.default_rng([seed, step])
            yield [recall_drill(rng) for _ in range(RECALL_ROWS)]
            return
        for index, (task, rows) in enumerate(ROWS.items()):
            rng = np.random.default_rng([seed, step, index])
            yield [MIXTURE.draw(rng, task) for _ in range(rows)]
        for index, (drill, rows) in enumerate(DRILL_ROWS.items(), start=len(ROWS)):
            rng = np.random.default_rng([seed, step, index])
            yield [drill(rng) for _ in range(rows)]

    def loss_of(step: int) -> float:
        losses = [imitation_loss(model, tokenizer, examples) for examples in batches(step)]
        for loss in losses:
            (loss / len(losses)).backward()
        return sum(loss.item() for loss in losses) / len(losses)

    return loss_of


def imitation_loss(model, tokenizer, examples: list) -> torch.Tensor:
    """Return the mean next-token loss of a batch, with its graph."""
    batch = collate(tokenizer, examples)
    # Right padding under a causal mask: padded places are never attended to, so no mask is passed.
    return model(
        input_ids=batch["input_ids"].to(model.device), labels=batch["labels"].to(model.device)
    ).loss


@torch.inference_mode()
def greedy_exact(model, tokenizer, task: str, n: int = 100) -> dict[int, float]:
    """Return, by level, how often all tokens of a dev step trace are the model's argmax."""
    problems = tasks.problems(task, "dev", n)
    batch = collate(tokenizer, [example(p.prompt, tasks.trace(p, "step")) for p in problems])
    logits = model(batch["input_ids"].to(model.device)).logits[:, :-1].argmax(-1).cpu()
    wanted = batch["labels"][:, 1:]
    exact = ((logits == wanted) | (wanted == IGNORED)).all(1).numpy()
    level = np.array([p.level for p in problems])
    return {int(one): float(exact[level == one].mean()) for one in np.unique(level)}


def recipe_text(family: Family, steps: int | None, seed: int) -> str:
    """Return all that decides an ancestor's weights but the code itself."""
    drills = {drill.__name__: rows for drill, rows in DRILL_ROWS.items()}
    return repr(
        (
            seed,
            steps or CYCLES[family],
            MIXTURE,
            ROWS,
            drills,
            RECALL_FIRST,
            RECALL_ROWS,
            MATRIX_LR,
            OTHER_LR,
        )
    )


def pretrain(
    family: str,
    seed: int,
    work: Path,
    *,
    steps: int | None = None,
    device: str = "cpu",
    advance: Callable[[int], None] | None = None,
):
    """Pretrain a family's ancestor; return model, tokenizer and learning curve.

    Parameters
    ----------
    family : str
        A name of `labels.Family`.
    seed : int
        Decides the initial weights and every batch.
    work : Path
        Folder of the resumable state.
    steps : int, optional
        Optimiser steps; the family's own number when None.
    """
    family = Family(family)
    tokenizer = make_tokenizer(family)
    model = make_model(family, tokenizer, seed).to(device)
    optimiser = Optimiser(model, MATRIX_LR, OTHER_LR)

    def measure(_step: int) -> dict:
        exact = {task.value: greedy_exact(model, tokenizer, task) for task in Task}
        return {"greedy_exact": exact}

    curve = fit(
        model,
        optimiser,
        pretraining_loss(model, tokenizer, seed),
        steps or STEPS[family],
        factor=cycles(CYCLES[family] if steps is None else (steps,)),
        progress=Progress(Path(work) / family / "ancestor", recipe_text(family, steps, seed)),
        measure=measure,
        advance=advance,
    )
    return model, tokenizer, curve
