"""The companion of cues: which problems are asked, and attempts in which a cue is forced.

docs/method.md#20-cues. Every part of the work is a file; what is there is not made again. Asking
needs torch; reading (`io.cued`) does not.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recover_nb import tasks
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Family, Method, Task
from recover_nb.core.places import check_free, placed
from recover_nb.generation.lineage import checkpoint_folder
from recover_nb.generation.parts import Parts
from recover_nb.generation.provenance import study_attrs
from recover_nb.io.cued import DIMS
from recover_nb.io.store import write_zip
from recover_nb.io.zipped import SUFFIX
from recover_nb.prediction.monitor_features import Traces, fit_monitor
from recover_nb.prediction.monitor_result import FORCED, REDRAW, RETRY

#: Arms in the order of the file.
ARMS = (RETRY, REDRAW, FORCED)
METHODS = (Method.CUED.value, Method.SFT.value)


@dataclass(frozen=True)
class CuedPlan:
    """What is asked.

    Attributes
    ----------
    n_dev, n_test : int
        Problems of each task, the first ones of the split: those of test are the study's.
    n_rollouts, n_seen : int
        Rollouts of a problem; a problem failed if one of the first `n_seen` did. The others are its
        retries.
    threshold : float
        Chance of a wrong answer above which the monitor doubts, where a cue is forced.
    seed : int
        Of decoding.
    temperature, max_new_tokens : float, int
        Of the study.
    """

    n_dev: int = 75
    n_test: int = 100
    n_rollouts: int = 12
    n_seen: int = 4
    threshold: float = 0.5
    seed: int = 20
    temperature: float = 0.6
    max_new_tokens: int = 80

    def problems(self, task: str, split: str) -> list[tasks.Problem]:
        """Return the problems of a task and split."""
        return tasks.problems(task, split, self.n_test if split == "test" else self.n_dev)


def run_cued(
    out: str | Path,
    *,
    work: str | Path = "runs/cued",
    lab: str | Path | None = None,
    families: tuple[str, ...] = tuple(Family),
    plan: CuedPlan | None = None,
    tell: Callable[[str], object] | None = None,
) -> Path:
    """Ask the specialists with cues and without, force cues, and write what came.

    An interrupted call goes on where it stopped.

    Parameters
    ----------
    out : path
        Ends in ``.zarr.zip``; must not exist.
    work : path
        Folder of the state.
    lab : path, optional
        Folder of checkpoints; the shipped one by default.
    families : tuple of str
    plan : CuedPlan, optional
    tell : callable, optional
        Called with the name of each part that is done.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        `out` exists, `work` holds parts of another plan, or a checkpoint is missing.
    """
    out, work, plan = Path(out), Path(work), plan or CuedPlan()
    if not out.name.endswith(SUFFIX) or out.name == SUFFIX:
        raise InputError(f"out must be a new file that ends in {SUFFIX}, got {str(out)!r}")
    check_free(out)
    asking = need("recover_nb.generation.lab.force", "models", "asking")
    digests = {
        f"{family}|{method}": asking.checkpoint_hash(checkpoint_folder(family, method, root=lab))
        for family in families
        for method in (*METHODS, Method.ANCESTOR)
    }
    state = Parts(work, {**asdict(plan), "checkpoints": digests}, "of other checkpoints", tell)
    cells = []
    for family in families:
        parts = {}
        pairs = {method: asking.load(family, method, lab) for method in METHODS}
        for method, pair in pairs.items():
            for split in ("dev", "test"):
                for task in Task:
                    problems = plan.problems(task, split)
                    name = f"{family}-{method}-{split}-{task}"
                    found = state.get(
                        name, partial(asking.ask, pair, family, method, problems, plan)
                    )
                    parts[method, split, task.value] = (problems, found)
        cells += _with_attempts(asking, state, family, pairs[Method.CUED], parts, plan)
    whole = xr.concat(cells, "problem")
    whole = whole.assign_coords(arm=list(ARMS))
    whole.attrs = study_attrs(plan.seed, asdict(plan), {})
    with placed(out) as temporary:
        write_zip(whole, temporary)
    return out


def _with_attempts(
    asking: Any, state: Parts, family: str, pair: Any, parts: dict, plan: CuedPlan
) -> list[xr.Dataset]:
    """Return one Dataset for each part of a family, with attempts at what `cued` failed on test."""
    cells = []
    for (method, split, task), (problems, found) in parts.items():
        n_later = plan.n_rollouts - plan.n_seen
        right, tokens = (np.full((len(problems), len(ARMS), n_later), -1, np.int16) for _ in "rt")
        if method == Method.CUED and split == "test":
            dev_problems, dev = parts[method, "dev", task]
            fit = fit_monitor(as_traces(dev, dev_problems, family, task), cues=True)
            failed = np.flatnonzero((found["correct"][:, : plan.n_seen] == 0).any(axis=1))
            rows = {name: each[failed, plan.n_seen :] for name, each in found.items()}
            right[failed, 0], tokens[failed, 0] = rows["correct"], rows["n_tokens"]
            chosen = [problems[at] for at in failed]
            for at, arm in enumerate(ARMS[1:], start=1):
                name = f"{family}-{arm}-{task}"
                made = state.get(
                    name, partial(asking.force, pair, family, chosen, rows, fit, arm, plan)
                )
                right[failed, at], tokens[failed, at] = made["correct"], made["n_tokens"]
        cells.append(_dataset(family, method, split, task, problems, found, right, tokens))
    return cells


def as_traces(
    found: dict[str, np.ndarray], problems: list[tasks.Problem], family: str, task: str
) -> Traces:
    """Return what was asked as the monitor reads it, problem by problem."""
    n, width = found["correct"].shape[1], found["entropy"].shape[-1]
    return Traces(
        found["correct"].ravel() == 1,
        found["n_tokens"].ravel().astype(int),
        entropy=found["entropy"].reshape(-1, width),
        kl=found["kl_divergence"].reshape(-1, width),
        cue=found["cue"].reshape(-1, width),
        cell=np.repeat(f"{family}|{task}", n * len(problems)),
        question=np.repeat([each.problem_id for each in problems], n),
    )


def _dataset(
    family: str,
    method: str,
    split: str,
    task: str,
    problems: list[tasks.Problem],
    found: dict[str, np.ndarray],
    right: np.ndarray,
    tokens: np.ndarray,
) -> xr.Dataset:
    data = {**found, "attempt_correct": right.astype(np.int8), "attempt_tokens": tokens}
    n = len(problems)
    coords: dict[str, Any] = {
        name: ("problem", np.array([value] * n))
        for name, value in (("family", family), ("method", method), ("task", task))
    }
    coords["problem_id"] = ("problem", np.array([each.problem_id for each in problems]))
    coords["split"] = ("problem", np.array([split] * n))
    coords["level"] = ("problem", np.array([each.level for each in problems], np.int8))
    return xr.Dataset({name: (DIMS[name], data[name]) for name in DIMS}, coords)
