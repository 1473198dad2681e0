"""The companion of steps: what a verifier learns from, and what it is judged on.

docs/method.md#19-steps. Making it needs torch; reading (`io.steps`) does not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Intervention, Split
from recover_nb.core.places import check_free, placed
from recover_nb.core.schema import PROBLEM, ROLLOUT, TOKEN, UNIT_COORDS, failed_rollouts, text
from recover_nb.core.stored_json import json_attr
from recover_nb.features.step_table import OPERATORS, ROW_DIMS, STORED, UNIT_DIMS
from recover_nb.features.steps import NUMBERS
from recover_nb.generation.config import StudyConfig, settings_of
from recover_nb.generation.lineage import load_lineage
from recover_nb.generation.parts import Parts
from recover_nb.generation.provenance import study_attrs
from recover_nb.io import store
from recover_nb.io.store import write_zip
from recover_nb.io.zipped import check_name
from recover_nb.prediction.steps import scored

NONE = Intervention.NONE.value
#: Names of columns that are those of dimensions, too.
_NAMES = {"problem": "problem_of", "rollout": "rollout_of"}
#: Numbers are kept to a 128th: the scorer needs no more, and the file is a third.
_GRAIN = 128


@dataclass(frozen=True)
class StepPlan:
    """How much is asked.

    Attributes
    ----------
    n_problems : int
        Problems a cell to learn from, of the dev split.
    n_rollouts : int
        Observed rollouts of each problem.
    n_ahead : int
        Continuations from each step of a first answer that is wrong.
    """

    n_problems: int = 60
    n_rollouts: int = 8
    n_ahead: int = 16


def run_steps(
    ds: xr.Dataset,
    out: str | Path,
    *,
    work: str | Path = "runs/steps",
    plan: StepPlan | None = None,
    tell: Callable[[str], object] | None = None,
) -> Path:
    """Make a dev study to learn from, read its steps and a study's, go on from each, and write.

    An interrupted call goes on where it stopped.

    Parameters
    ----------
    ds : Dataset
        A study of the lineage: the verifier is judged on it.
    out : path
        Ends in ``.zarr.zip``; must not exist.
    work : path
        Folder of the state.
    plan : StepPlan, optional
    tell : callable, optional
        Called with the name of each part that is done.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        `out` exists, or the study has no traces or no settings.
    """
    out, work, plan = Path(out), Path(work), plan or StepPlan()
    check_name(out)
    check_free(out)
    config = json_attr(ds.attrs, "config_json")
    if not {"families", "methods", "tasks", "settings"} <= set(config):
        raise InputError(
            "the study does not say with which settings it was made; pass a study of the lineage,"
            " such as rnb.load_study()"
        )
    dev = StudyConfig(
        families=config["families"],
        methods=config["methods"],
        tasks=config["tasks"],
        split=Split.DEV.value,
        n_problems=plan.n_problems,
        n_rollouts=plan.n_rollouts,
        n_attempts=1,
        interventions=(NONE,),
        settings=config["settings"],
        value_problems=0,
        signal_rollouts=1,
    )
    made = {"plan": asdict(plan), "dev": dev.to_dict(), "study": str(ds.attrs.get("created_at"))}
    state, learned = Parts(work, made, "study", tell), work / "dev.zarr.zip"
    if not learned.exists():
        runner = need("recover_nb.generation.run", "models", "running a study to learn from")
        runner.run_study(dev, learned, resume=True)
    with store.open_study(learned) as mine:
        parts = [part for each in (mine, ds) for part in _parts(each, plan, state)]
    found = scored(_gathered(parts))
    found.attrs |= study_attrs(dev.seed, {"plan": asdict(plan), "dev": dev.to_dict()}, {})
    with placed(out) as temporary:
        write_zip(found, temporary)
    return out


def _parts(ds: xr.Dataset, plan: StepPlan, state: Parts) -> Iterator[dict[str, np.ndarray]]:
    """Yield all that is kept of a study, one specialist after the other."""
    split, family, method = (text(ds[name]) for name in ("split", "family", "method"))
    for unit in dict.fromkeys(zip(family.tolist(), method.tolist(), strict=True)):
        mine = np.flatnonzero((family == unit[0]) & (method == unit[1]))
        one = ds.isel(problem=mine, rollout=slice(plan.n_rollouts))
        make = partial(_read, one, unit, plan, ahead=split[0] != Split.DEV)
        yield state.get("_".join((split[0], *unit)), make)


def _read(
    one: xr.Dataset, unit: tuple[str, str], plan: StepPlan, *, ahead: bool
) -> dict[str, np.ndarray]:
    """Read the steps of one specialist's answers, and go on from those of wrong first answers."""
    one, pair = one.load(), load_lineage(*unit)
    rows_of = need("recover_nb.generation.step_rows", "models", "reading steps").rows_of
    settings = settings_of(json_attr(one.attrs, "config_json")["settings"])
    rows = rows_of(one, pair, n_rollouts=plan.n_rollouts, temperature=settings.temperature)
    none = one.sel(intervention=NONE)
    found = {name: text(one[name]) for name in (*UNIT_COORDS, "split")}
    found |= {
        name: none[name].transpose("problem", ROLLOUT).values
        for name in ("correct", "answer_id", "n_tokens")
    }
    found |= {_NAMES.get(each.name, each.name): getattr(rows, each.name) for each in fields(rows)}
    found["numbers"] = np.round(rows.numbers * _GRAIN) / _GRAIN
    junction = none["junction"].transpose("problem", ROLLOUT).values[rows.problem, rows.rollout]
    inside = (rows.start <= junction) & (junction < rows.start + rows.tokens)
    found["at_junction"] = inside.astype(np.int8)
    wrong = failed_rollouts(one)[:, 0] & ahead
    cut = np.flatnonzero(wrong[rows.problem] & (rows.rollout == 0))
    return found | _ahead(one, pair, settings, plan.n_ahead, rows, cut)


def _ahead(
    one: xr.Dataset, pair: Any, settings: Any, n: int, rows: Any, cut: np.ndarray
) -> dict[str, np.ndarray]:
    """Go on from the beginning of some steps: counts of right continuations, and their length."""
    module = need("recover_nb.generation.step_ahead", "models", "going on")
    shape = (len(rows.problem), len(OPERATORS))
    right, tokens = np.full(shape, -1, np.int8), np.zeros(shape, np.float32)
    if len(cut):
        at = rows.problem[cut]
        units = [text(one[name])[at].tolist() for name in UNIT_COORDS]
        keys = np.array([module.problem_key(*unit) for unit in zip(*units, strict=True)], np.uint64)
        traces = one["token_id"].sel(intervention=NONE).transpose("problem", ROLLOUT, TOKEN)
        asked = (text(one["prompt"])[at].tolist(), text(one["answer"])[at].tolist(), keys)
        for place, operator in enumerate(OPERATORS):
            right[cut, place], tokens[cut, place] = module.go_on(
                pair, *asked, traces.values[at, 0], rows.start[cut], operator, settings, n
            )
    return {"ahead_right": right, "ahead_tokens": tokens, "ahead_n": np.array(n)}


def _gathered(parts: Sequence[dict[str, np.ndarray]]) -> xr.Dataset:
    """Put the parts one after the other; rows then say their problem among all."""
    sizes = np.cumsum([0, *(len(part["correct"]) for part in parts)])
    parts = [
        part | {"problem_of": part["problem_of"] + at}
        for part, at in zip(parts, sizes, strict=False)
    ]
    whole = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if name != "ahead_n"
    }
    data: dict[str, Any] = {}
    for name, dims in {**ROW_DIMS, **UNIT_DIMS}.items():
        kind = STORED.get(name)
        data[name] = (dims, whole[name] if kind is None else whole[name].astype(kind))
    coords: dict[str, Any] = {
        name: (PROBLEM, whole[name].astype(object)) for name in (*UNIT_COORDS, "split")
    }
    coords |= {"number": list(NUMBERS), "operator": list(OPERATORS)}
    return xr.Dataset(data, coords, {"n_ahead": int(parts[0]["ahead_n"])})
