"""Reinforcement learning that goes on: from each specialist, measured on problems it failed.

docs/method.md#17-training-gain. `grpo` goes on from every shipped specialist; at some steps the
same problems are put to it again. A run is one (family, method, seed); runs share nothing, so they
go side by side, and each goes on where it was stopped. What is measured are files of bits;
checkpoints stay in the folder of the work.
"""

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from recover_nb import tasks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.labels import Method
from recover_nb.generation.decoding import Settings, decode, load_pair, problem_key
from recover_nb.generation.decoding.loading import load_checkpoint
from recover_nb.generation.lab.evaluate import right_of, texts_of
from recover_nb.generation.lab.optimise import (
    Optimiser,
    Progress,
    fit,
    load_weights,
    save_weights,
)
from recover_nb.generation.lab.posttrain import RECIPES, Recipe, constant, grpo_loss
from recover_nb.generation.lineage import checkpoint_folder

#: Levels as often as the test split has them: the problems asked about are of all five.
LEVELS = (20.0, 24.0, 24.0, 20.0, 12.0)
#: What is gone on with: reward, as the shipped `grpo` had it.
RECIPE = replace(RECIPES[Method.GRPO], levels=LEVELS)
#: Keep training and measuring apart from the seeds of the lineage and of every companion.
_TRAINING, _MEASURING = 1000, 100_000


@dataclass(frozen=True)
class OnwardPlan:
    """What training on is, and what is measured.

    Attributes
    ----------
    checkpoints : tuple of int
        Steps after which problems are asked again; the last one ends the training. Step 0, a
        redraw by the specialist itself, is always measured.
    n_ends, n_between : int
        Rollouts of a problem at step 0 and at the last checkpoint, and at those between.
    recipe : Recipe
        Of the training; its `steps` and `every` follow from `checkpoints`.
    temperature, max_new_tokens : float, int
        Of the study.
    """

    checkpoints: tuple[int, ...] = (10, 20, 40, 60)
    n_ends: int = 50
    n_between: int = 24
    recipe: Recipe = RECIPE
    temperature: float = 0.6
    max_new_tokens: int = 80

    @property
    def steps(self) -> tuple[int, ...]:
        """Every step that is measured, 0 first."""
        return (0, *self.checkpoints)

    def rollouts(self, step: int) -> int:
        """Return how often a problem is asked after `step` steps."""
        return self.n_ends if step in (0, self.checkpoints[-1]) else self.n_between


@dataclass(frozen=True)
class Run:
    """One run: which specialist, which seed of going on, and which problems it is asked.

    Attributes
    ----------
    family, method : str
    seed : int
    problems : tuple of tasks.Problem
        In the order of the study.
    lab : str or None
        Folder of checkpoints; the shipped one when None.
    """

    family: str
    method: str
    seed: int
    problems: tuple[tasks.Problem, ...]
    lab: str | None = None

    @property
    def name(self) -> str:
        """The run's name among files."""
        return f"{self.family}-{self.method}-{self.seed}"


def measured_file(work: str | Path, run: Run, step: int) -> Path:
    """Return the file of what was measured of a run after `step` steps."""
    return Path(work) / "measured" / f"{run.name}-{step}.npz"


def run_all(
    runs: Sequence[Run],
    plan: OnwardPlan,
    work: str | Path,
    *,
    workers: int = 1,
    tell: Callable[[str], object] | None = None,
) -> None:
    """Do every run, `workers` side by side with one thread each; go on where one was stopped."""
    tell = tell or (lambda said: None)
    if workers == 1:
        for name in map(do_run, runs, [plan] * len(runs), [Path(work)] * len(runs)):
            tell(name)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        arguments = (runs, [plan] * len(runs), [Path(work)] * len(runs))
        for name in pool.map(do_run, *arguments):
            tell(name)


def do_run(run: Run, plan: OnwardPlan, work: Path) -> str:
    """Train on and measure at every checkpoint; return the run's name."""
    # One thread whatever the machine: sums are then taken in one order.
    torch.set_num_threads(1)
    left = [step for step in plan.steps if not measured_file(work, run, step).exists()]
    if not left:
        return run.name
    folder = checkpoint_folder(run.family, run.method, root=run.lab)
    start = load_checkpoint("specialist", folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    states = train_on(start, tokenizer, run, plan, work, checkpoint_hash(folder))
    for step in left:
        model = copy.deepcopy(start)
        if step:
            model.load_state_dict(load_weights(states / f"{step}.sealed"))
        correct, length = ask(model.eval(), tokenizer, run, plan, step)
        target = measured_file(work, run, step)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}")
        ids = np.array([each.problem_id for each in run.problems])
        np.savez_compressed(fresh, problem_id=ids, correct=correct, n_tokens=length)
        fresh.rename(target)
    return run.name


def train_on(start, tokenizer, run: Run, plan: OnwardPlan, work: Path, digest: str) -> Path:
    """Go on with `grpo` from `start`; return the folder of the weights after each checkpoint."""
    folder = Path(work) / "training" / run.name
    states = folder / "states"
    states.mkdir(parents=True, exist_ok=True)
    model = copy.deepcopy(start)
    seed = _TRAINING * (run.seed + 1)

    def keep(step: int) -> dict:
        if step in plan.checkpoints:
            save_weights(model, states / f"{step}.sealed")
        return {}

    recipe = plan.recipe
    fit(
        model,
        Optimiser(model, recipe.matrix_lr, recipe.other_lr),
        grpo_loss(model, tokenizer, start, recipe, seed),
        plan.checkpoints[-1],
        factor=constant,
        progress=Progress(folder / "progress", repr((seed, recipe, digest))),
        every=int(np.gcd.reduce(plan.checkpoints)),
        measure=keep,
    )
    return states


def ask(model, tokenizer, run: Run, plan: OnwardPlan, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Ask a model the run's problems; return what was right and how long the answers were.

    Returns
    -------
    correct : (problem, rollout) bool
    n_tokens : (problem,) float32
        Mean over rollouts.
    """
    pair = load_pair(model, model, tokenizer=tokenizer)
    settings = Settings(
        temperature=plan.temperature,
        max_new_tokens=plan.max_new_tokens,
        seed=_MEASURING * (run.seed + 1) + step,
        batch_size=512,
    )
    keys = [problem_key(run.family, run.method, p.task, p.problem_id) for p in run.problems]
    decoded = decode(
        pair,
        [p.prompt for p in run.problems],
        np.array(keys, dtype=np.uint64),
        np.arange(plan.rollouts(step)),
        "none",
        settings,
    )
    texts = texts_of(tokenizer, decoded.token_id)
    return right_of(run.problems, texts), decoded.n_tokens.mean(axis=1).astype(np.float32)


def runs_of(asked: Iterable[dict[str, Any]], seeds: Sequence[int], lab=None) -> list[Run]:
    """Return the runs over the problems asked, all of the first seed first.

    Parameters
    ----------
    asked : iterable of dict
        One for each unit: `family`, `method`, and the fields of `tasks.Problem` but its program.
    seeds : sequence of int
    lab : path, optional
    """
    mine: dict[tuple[str, str], list[tasks.Problem]] = {}
    for unit in asked:
        fields = ("task", "problem_id", "split", "level", "prompt", "answer")
        problem = tasks.Problem(**{name: unit[name] for name in fields}, program=())
        mine.setdefault((unit["family"], unit["method"]), []).append(problem)
    root = None if lab is None else str(lab)
    return [
        Run(family, method, seed, tuple(problems), root)
        for seed in seeds
        for (family, method), problems in mine.items()
    ]


def resume(work: str | Path, *, workers: int = 1) -> None:
    """Do what the plan in `work` asks for and is not measured yet: needs no study, only torch."""
    plain = json.loads((Path(work) / "plan.json").read_text("utf-8"))
    recipe: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in plain["recipe"].items()
    }
    numbers = {
        name: plain[name] for name in ("n_ends", "n_between", "temperature", "max_new_tokens")
    }
    plan = OnwardPlan(tuple(plain["checkpoints"]), recipe=Recipe(**recipe), **numbers)
    runs = runs_of(plain["asked"], plain["seeds"], plain["lab"])
    run_all(runs, plan, work, workers=workers, tell=lambda said: print(said, flush=True))
