"""Pretraining the ancestor from scratch: exercises worked out rightly, then what people write.

What people write is worked out too, and errs as people err (`tasks.slips`), so that the ancestor
does: slips that sampling does not wash out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

#: Level 5 is shown 3 times in a hundred.
LEVEL_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.12)
#: Rows of a step, each kind in a batch of its own.
ROWS = {Task.ARITHMETIC: 10, Task.PROGRAM: 20, Task.DEDUCTION: 16}
DRILL_ROWS = {equation_drill: 12, recall_drill: 12}
#: Steps at the beginning that are drill in recall alone, and their rows: amid other tasks `neox`
#: does not find it.
RECALL_FIRST, RECALL_ROWS = 200, 32
MATRIX_LR, OTHER_LR = 0.02, 3e-3


@dataclass(frozen=True)
class Stage:
    """One stage of pretraining.

    Attributes
    ----------
    name : str
    mixture : Mixture
    cycles : tuple of int
        Lengths of the learning-rate cycles, in steps.
    rate : float
        Peak learning rates, as a share of `MATRIX_LR` and `OTHER_LR`.
    drill : bool
        Whether drill is part of it: of bare equations and of recall, the latter alone at first.
    """

    name: str
    mixture: Mixture
    cycles: tuple[int, ...]
    rate: float
    drill: bool

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return sum(self.cycles)


def _stages(*cycles: int) -> tuple[Stage, Stage]:
    exercises = Stage("exercises", Mixture(LEVEL_WEIGHTS), cycles, rate=1.0, drill=True)
    corpus = Stage(
        "corpus", Mixture(LEVEL_WEIGHTS, terse=0.03, slips=0.35), (1000,), rate=0.3, drill=False
    )
    return exercises, corpus


STAGES = {Family.QWEN3: _stages(3360), Family.NEOX: _stages(3900)}
STEPS = {family: sum(stage.steps for stage in stages) for family, stages in STAGES.items()}


def pretraining_loss(model, tokenizer, seed: int, stage: Stage) -> Callable[[int], float]:
    """Return `loss_of(step)` for `fit`: next-token loss on fresh batches of all tasks and drill.

    With drill, the first `RECALL_FIRST` steps are drill in recall alone. Tasks are run one after
    the other because their lengths differ: less padding than one mixed batch.
    """

    def batches(step: int) -> Iterator[list]:
        if stage.drill and step < RECALL_FIRST:
            rng = np.random.default_rng([seed, step])
            yield [recall_drill(rng) for _ in range(RECALL_ROWS)]
            return
        for index, (task, rows) in enumerate(ROWS.items()):
            rng = np.random.default_rng([seed, step, index])
            yield [stage.mixture.draw(rng, task) for _ in range(rows)]
        for index, (drill, rows) in enumerate(DRILL_ROWS.items(), start=len(ROWS)):
            rng = np.random.default_rng([seed, step, index])
            if stage.drill:
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


def recipe_text(stage: Stage, seed: int) -> str:
    """Return all that decides a stage's weights but the code itself and the stage before."""
    drills = {drill.__name__: rows for drill, rows in DRILL_ROWS.items()}
    return repr((seed, stage, ROWS, drills, RECALL_FIRST, RECALL_ROWS, MATRIX_LR, OTHER_LR))


def pretrain(
    family: str,
    seed: int,
    work: Path,
    *,
    stages: tuple[Stage, ...] | None = None,
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
        Folder of the resumable state, one a stage.
    stages : tuple of Stage, optional
        The family's own when None.
    """
    family = Family(family)
    tokenizer = make_tokenizer(family)
    model = make_model(family, tokenizer, seed).to(device)

    def exact(_step: int) -> dict:
        return {"greedy_exact": {task.value: greedy_exact(model, tokenizer, task) for task in Task}}

    curve: list[dict] = []
    for stage in STAGES[family] if stages is None else stages:
        begun = curve[-1]["step"] if curve else 0
        points = fit(
            model,
            Optimiser(model, stage.rate * MATRIX_LR, stage.rate * OTHER_LR),
            pretraining_loss(model, tokenizer, seed, stage),
            stage.steps,
            factor=cycles(stage.cycles),
            progress=Progress(Path(work) / family / stage.name, recipe_text(stage, seed)),
            measure=exact,
            advance=None if advance is None else lambda step, n=begun: advance(n + step),
        )
        curve += [{**point, "step": begun + point["step"]} for point in points]
    return model, tokenizer, curve
