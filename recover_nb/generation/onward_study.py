"""The companion of training on: which problems are asked, and what is kept of the answers.

docs/method.md#17-training-gain. Training needs torch; reading (`io.onward`) does not.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.places import check_free, placed
from recover_nb.core.schema import UNIT_COORDS, cell_names, failed_units, text
from recover_nb.generation.parts import DAMAGED, keep_plan
from recover_nb.generation.provenance import study_attrs
from recover_nb.io.onward import DIMS
from recover_nb.io.store import write_zip
from recover_nb.io.zipped import check_name

#: Seeds of going on, and solved problems of each cell that are asked too.
SEEDS, N_SOLVED = (0, 1, 2), 30


def choose_units(ds: xr.Dataset, n_solved: int = N_SOLVED) -> np.ndarray:
    """Return the problems asked, (n,) int: every failed one, and some of each cell never failed.

    The latter are drawn at random, from one seed.
    """
    failed, cell = failed_units(ds), cell_names(ds)
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(failed)]
    for name in dict.fromkeys(cell.tolist()):
        solved = np.flatnonzero((cell == name) & ~failed)
        rows.append(rng.permutation(solved)[:n_solved])
    return np.sort(np.concatenate(rows))


def plan_of(
    ds: xr.Dataset, plan: Any, *, seeds: Sequence[int] = SEEDS, n_solved: int = N_SOLVED, lab=None
) -> dict[str, Any]:
    """Return all that the runs need to know, as plain data: a study's problems and the plan."""
    names = (*UNIT_COORDS, "split", "prompt", "answer")
    missing = [name for name in (*names, "level") if name not in ds]
    if missing:
        raise InputError(
            f"the study has no {missing[0]}, so its problems cannot be put to a model again; pass a"
            " study of the lineage, such as rnb.load_study()"
        )
    rows = choose_units(ds, n_solved)
    columns: dict[str, list] = {name: text(ds[name])[rows].tolist() for name in names}
    columns["level"] = ds["level"].values[rows].tolist()
    asked = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    whole = {**asdict(plan), "seeds": list(seeds), "lab": lab and str(lab), "asked": asked}
    return json.loads(json.dumps(whole))


def run_onward(
    ds: xr.Dataset,
    out: str | Path,
    *,
    work: str | Path = "runs/onward",
    seeds: Sequence[int] = SEEDS,
    n_solved: int = N_SOLVED,
    workers: int = 1,
    lab: str | Path | None = None,
    plan: Any = None,
    tell: Callable[[str], object] | None = None,
) -> Path:
    """Go on training every specialist of a study, ask its problems again, and write what came.

    An interrupted call goes on where it stopped. Checkpoints stay in `work`.

    Parameters
    ----------
    ds : Dataset
        A study of the lineage.
    out : path
        Ends in ``.zarr.zip``; must not exist.
    work : path
        Folder of the state.
    seeds : sequence of int
        Each specialist goes on once for each.
    n_solved : int
        Problems of each cell that never failed and are asked too, so that forgetting is seen.
    workers : int
        Processes, one thread each.
    lab : path, optional
        Folder of checkpoints; the shipped one by default.
    plan : OnwardPlan, optional
        Checkpoints and counts; see `generation.lab.onward`.
    tell : callable, optional
        Called with the name of each run that is done.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        `out` exists, or `work` holds the state of another plan.
    """
    out, work = Path(out), Path(work)
    check_name(out)
    check_free(out)
    check_whole("workers", workers, 1)
    if isinstance(seeds, str) or not len(seeds) or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds is {seeds!r}; allowed: different whole numbers, one or more")
    for each in seeds:
        check_whole("a seed", each, 0)
    check_whole("n_solved", n_solved, 0)
    lab_onward = need("recover_nb.generation.lab.onward", "models", "training")
    plan = plan or lab_onward.OnwardPlan()
    whole = plan_of(ds, plan, seeds=seeds, n_solved=n_solved, lab=lab)
    # Seeds share nothing: some of those begun can be finished first.
    keep_plan(work, whole, "study", but=("seeds",))
    runs = lab_onward.runs_of(whole["asked"], seeds, lab)
    lab_onward.run_all(runs, plan, work, workers=workers, tell=tell)
    found = gather(work, whole, runs, plan, lab_onward.measured_file)
    with placed(out) as temporary:
        write_zip(found, temporary)
    return out


def _measured(path: Path, run: Any, rollouts: int) -> tuple[np.ndarray, np.ndarray]:
    """Read what was measured of a run at one step, or say which file to remove."""
    ids = [each.problem_id for each in run.problems]
    try:
        with path.open("rb") as file, np.load(file) as stored:
            right, tokens = stored["correct"], stored["n_tokens"]
            if stored["problem_id"].tolist() == ids and right.shape == (len(ids), rollouts):
                return right, tokens
    except DAMAGED:
        pass
    raise InputError(
        f"{path} is damaged, or of other problems than the plan's; remove it to measure anew"
    )


def gather(
    work: Path, whole: dict[str, Any], runs: Sequence[Any], plan: Any, file_of: Callable
) -> xr.Dataset:
    """Put what every run measured into one Dataset.

    Returns
    -------
    Dataset
        ``correct`` (problem, seed, checkpoint, rollout) int8, -1 where not asked, and ``n_tokens``
        (problem, seed, checkpoint) float32, the mean length of an answer.
    """
    asked, seeds, steps = whole["asked"], whole["seeds"], plan.steps
    place = {(one["family"], one["method"], one["problem_id"]): i for i, one in enumerate(asked)}
    shape = (len(asked), len(seeds), len(steps))
    correct = np.full((*shape, max(map(plan.rollouts, steps))), -1, np.int8)
    length = np.zeros(shape, np.float32)
    for run in runs:
        rows = np.array([place[run.family, run.method, each.problem_id] for each in run.problems])
        for at, step in enumerate(steps):
            right, tokens = _measured(file_of(work, run, step), run, plan.rollouts(step))
            which = (rows, seeds.index(run.seed), at)
            correct[(*which, slice(right.shape[1]))] = right
            length[which] = tokens
    coords: dict[str, Any] = {
        name: ("problem", np.array([one[name] for one in asked])) for name in UNIT_COORDS
    }
    data = {"correct": (DIMS, correct), "n_tokens": (DIMS[:3], length)}
    config = {name: value for name, value in whole.items() if name != "asked"}
    return xr.Dataset(
        data,
        {**coords, "seed": np.array(seeds), "checkpoint": np.array(steps)},
        study_attrs(seeds[0], config, {}),
    )
