"""Run a study block by block, so that it can be killed at any moment and gone on with.

Needs torch.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from recover_nb import tasks
from recover_nb.core import checks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Method
from recover_nb.core.places import check_free, taken
from recover_nb.core.schema import FIXED_SIZES, MODELS, ROLE, TOKEN, VARIABLES, assemble
from recover_nb.core.stored_json import json_attr, json_part
from recover_nb.core.token_text import TOKEN_TEXT, token_pieces
from recover_nb.core.validation import validate
from recover_nb.core.visible import visible
from recover_nb.generation.config import CONFIG, StudyConfig
from recover_nb.generation.decoding import Pair, check_device
from recover_nb.generation.generate import Plan, run_block
from recover_nb.generation.lineage import checkpoint_folder, load_lineage
from recover_nb.generation.provenance import check_packages, study_attrs
from recover_nb.generation.staging import Staging, has_tokens
from recover_nb.io import store
from recover_nb.routing.derive import derive

if TYPE_CHECKING:
    from distributed import Client


#: Bytes of a token's id before it is compressed.
TOKEN_BYTES = 4


@dataclass(frozen=True)
class Block:
    """Problems `start` to `stop` of one cell; `first` is where they begin in the study."""

    index: int
    family: str
    method: str
    task: str
    start: int
    stop: int
    first: int


def plan_blocks(config: StudyConfig) -> list[Block]:
    """Cut a study into blocks.

    They depend on the configuration alone, not on where a run was killed.
    """
    blocks: list[Block] = []
    for cell, (family, method, task) in enumerate(config.cells):
        for start in range(0, config.n_problems, config.block_size):
            stop = min(start + config.block_size, config.n_problems)
            first = cell * config.n_problems + start
            blocks.append(Block(len(blocks), family, method, task, start, stop, first))
    return blocks


@checks.takes(
    config=CONFIG, out=checks.PATH, resume=checks.FLAG, progress=checks.FLAG, lab=checks.PATH
)
def run_study(
    config: StudyConfig,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    lab: str | Path | None = None,
    device: str | None = None,
    client: "Client | None" = None,
) -> Path | str:
    """Generate a study of the lineage and write it to `out`.

    Blocks are kept beside `out` (``STUDY.zarr.partial``) until all are there; then `out` appears,
    whole.

    Parameters
    ----------
    config : StudyConfig
    out : path or URL
        Ends in ``.zarr`` or ``.zarr.zip``; must not exist. With `client`, a place every worker
        sees: a path of a shared file system, or a URL that fsspec understands (``.zarr``).
    resume : bool
        Go on with an unfinished run of the same configuration. The result equals that of an
        uninterrupted run. With nothing to go on with, start; with a finished study, do nothing.
    progress : bool
        Show a bar on standard error, with rate and time left.
    lab : path, optional
        Folder with FAMILY/METHOD checkpoints; the shipped lineage by default.
    device : str, optional
        Where the models run.
    client : distributed.Client, optional
        Run on the workers of a Dask cluster, one block a task. The study is equal, variable for
        variable.

    Returns
    -------
    Path, or str for a URL
        `out`.

    Raises
    ------
    InputError
        `out` exists or cannot be written, an unfinished run is there and ``resume`` is False, the
        run there has another configuration, other checkpoints or other versions of packages, a
        checkpoint is missing, there is no such device, another process is at it; or a cluster that
        fails, see `distributed.run_blocks`.
    """
    out = store.place_of(out)
    if store.suffix_of(out) not in (".zarr", ".zarr.zip"):
        raise InputError(f"{out}: a run writes .zarr or .zarr.zip")
    models = describe_models(config, lab)
    if isinstance(out, str) or client is not None:
        cluster = need("recover_nb.generation.distributed", "cluster", "a run on a cluster")
        return cluster.run_study(
            client, config, out, models, resume=resume, progress=progress, lab=lab, device=device
        )
    return run_here(config, out, models, resume=resume, progress=progress, lab=lab, device=device)


def run_here(
    config: StudyConfig,
    out: Path,
    models: dict,
    *,
    resume: bool,
    progress: bool,
    lab: str | Path | None,
    device: str | None = None,
    kept: Callable[[xr.Dataset], xr.Dataset] | None = None,
) -> Path:
    """Run a study on this machine; see `run_study`.

    Parameters
    ----------
    models : dict
        From `describe_models`.
    kept : callable (Dataset) -> Dataset, optional
        What to write in place of the whole study.
    """
    if device is not None:
        check_device(device)
    staging = Staging(out)
    if os.path.lexists(out):
        already_there(out, config, resume, staging)
        return out
    check_free(out, room=_room(config))
    with begun(config, staging, models, resume, lab):
        _run_blocks(config, staging, progress, lab, device)
        staging.place(lambda folder: _consolidated(config, staging, folder, kept))
    return out


@contextmanager
def begun(
    config: StudyConfig,
    staging: Staging,
    models: dict,
    resume: bool,
    lab: str | Path | None,
) -> Iterator[None]:
    """Hold this very run's staging folder: a new one, or with `resume` one that is not finished.

    Raises
    ------
    InputError
        An unfinished run is there and `resume` is False, or it is another run, or another process
        is at it, or has just finished it; or the place cannot be written, also later on.
    """
    with staging.held(resume):
        if staging.started():
            _check_same(staging.read_run(), config, models)
        elif not (resume and _is_same(staging, config, models)):
            # A run that was refused or killed before its first block has nothing to lose.
            attrs = study_attrs(config.seed, config.to_dict(), models)
            staging.begin({"attrs": attrs | _text_of_tokens(config, lab)})
        yield


def can_resume(config: StudyConfig, out: str | Path, *, lab: str | Path | None = None) -> bool:
    """Return whether an unfinished run of this configuration and these checkpoints is at `out`."""
    staging = Staging(Path(out))
    return _is_same(staging, config, describe_models(config, lab))


def describe_models(config: StudyConfig, lab: str | Path | None) -> dict[str, dict[str, str]]:
    """Return names and hashes of every specialist with its ancestor, by ``family|method``."""
    hashed = lru_cache(checkpoint_hash)
    models = {}
    for family in config.families:
        ancestor = checkpoint_folder(family, Method.ANCESTOR, root=lab)
        for method in config.methods:
            specialist = checkpoint_folder(family, method, root=lab)
            models[f"{family}|{method}"] = {
                "specialist": f"{family}/{method}",
                "specialist_sha256": hashed(specialist),
                "ancestor": f"{family}/{Method.ANCESTOR.value}",
                "ancestor_sha256": hashed(ancestor),
            }
    return models


def _text_of_tokens(config: StudyConfig, lab: str | Path | None) -> dict[str, str]:
    """Return the attribute with the text of every token of checkpoints that are not shipped."""
    if lab is None:
        return {}
    texts = {family: token_pieces(family, root=lab) for family in config.families}
    units = {f"{family}|{method}": texts[family] for family in texts for method in config.methods}
    return {TOKEN_TEXT: json.dumps(units, ensure_ascii=False)}


def already_there(
    out: Path | str, config: StudyConfig, resume: bool, staging: Staging
) -> Path | str:
    """Refuse an existing `out`, unless it is the very study that was to be resumed."""
    if not resume:
        raise taken(out)
    with store.open_study(out) as ds:
        _check_config(json_attr(ds.attrs, "config_json"), config)
    staging.finish()
    return out


def _is_same(staging: Staging, config: StudyConfig, models: dict[str, dict[str, str]]) -> bool:
    """Whether the run that was begun there is this one."""
    if not staging.exists():
        return False
    try:
        _check_same(staging.read_run(), config, models)
    except (InputError, OSError):
        return False
    return True


def _check_same(
    run: dict[str, Any], config: StudyConfig, models: dict[str, dict[str, str]]
) -> None:
    _check_config(json_attr(run["attrs"], "config_json"), config)
    before = json_part(run["attrs"], "provenance_json", "models")
    changed = [name for name in models if models[name] != before.get(name)]
    if changed:
        raise InputError(
            f"the checkpoints of {changed[0]} have changed since the run was begun; put the old"
            " ones back, or start a new run with another --out"
        )
    check_packages(json_part(run["attrs"], "provenance_json", "packages"))


def _check_config(before: dict[str, Any], config: StudyConfig) -> None:
    now = config.to_dict()
    flat_before, flat_now = ({**each, **each.get("settings", {})} for each in (before, now))
    for name in [*flat_now, *flat_before]:
        if name != "settings" and flat_before.get(name) != flat_now.get(name):
            raise InputError(
                f"the run to resume has {name}={flat_before.get(name)!r} and {flat_now.get(name)!r}"
                " was asked for; resume it with the same options, or choose another --out"
            )


def _run_blocks(
    config: StudyConfig,
    staging: Staging,
    progress: bool,
    lab: str | Path | None,
    device: str | None,
) -> None:
    plan = plan_of(config)
    blocks = plan_blocks(config)
    done = [block for block in blocks if staging.has(block.index)]
    bar = bar_of(config, done, progress)
    loaded = lru_cache(maxsize=1)(
        lambda family, method: load_lineage(family, method, root=lab, device=device)
    )
    with bar:
        for block in blocks:
            if block not in done:
                bar.set_description(visible(f"{block.family} {block.method} {block.task}"))
                pair = loaded(block.family, block.method)
                staging.write(block.index, run_one(config, block, pair, plan, bar.update))


def _room(config: StudyConfig) -> int:
    """Return bytes that a study will take at least: its tokens, as far as they are ever shrunk."""
    plan = plan_of(config)
    rows = len(config.cells) * config.n_problems * plan.rows
    return rows * plan.settings.max_new_tokens * TOKEN_BYTES // store.SHRUNK


def plan_of(config: StudyConfig) -> Plan:
    """Return what is done with each problem."""
    return Plan(
        config.interventions,
        config.n_rollouts,
        config.n_attempts,
        config.settings,
        config.signal_rollouts,
        value_problems=config.value_problems,
        value_n=config.value_n,
    )


def bar_of(config: StudyConfig, done: list[Block], progress: bool) -> tqdm:
    """Return the bar of a run.

    Rows of an earlier run say nothing about today's rate: it starts where they end.
    """
    rows = plan_of(config).rows
    return tqdm(
        total=len(config.cells) * config.n_problems * rows,
        initial=sum(each.stop - each.start for each in done) * rows,
        unit="rollout",
        unit_scale=True,
        smoothing=0.05,
        mininterval=0.5,
        file=sys.stderr,
        disable=not progress,
        dynamic_ncols=True,
    )


def run_one(
    config: StudyConfig, block: Block, pair: Pair, plan: Plan, progress: Callable[[int], object]
) -> dict[str, np.ndarray]:
    """Run one block: every variable that concerns one problem at a time."""
    problems = tasks.problems(block.task, config.split, block.stop, config.problem_seed)
    if config.remap_seed is not None:
        problems = tasks.remap_all(problems, config.remap_seed)
    return run_block(
        pair,
        problems[block.start :],
        (block.family, block.method),
        plan,
        progress=progress,
    )


def _consolidated(
    config: StudyConfig,
    staging: Staging,
    folder: Path,
    kept: Callable[[xr.Dataset], xr.Dataset] | None,
) -> Path:
    """Put all blocks together in `folder`, derive what needs the whole study, and check it."""
    whole = folder / "whole.zarr"
    _write_blocks(config, staging, whole)
    suffix = store.suffix_of(staging.out)
    if kept is None:
        return packed(whole, suffix)
    store.seal(whole)
    with store.open_study(whole) as ds:
        return store.save_study(kept(ds), folder / f"kept{suffix}")


def packed(whole: Path, suffix: str) -> Path:
    """Turn a filled Zarr folder into a finished one, or into one file; return where it is."""
    if suffix == ".zarr.zip":
        archive = whole.with_suffix(".zarr.zip")
        store.zip_folder(whole, archive)
        return archive
    store.seal(whole)
    return whole


def _write_blocks(config: StudyConfig, staging: Staging, folder: Path) -> None:
    """Write small variables at once, and those with tokens block by block.

    The study need not fit in memory.
    """
    blocks = plan_blocks(config)
    small: dict[str, list[np.ndarray]] = {}
    for block in blocks:
        for name, values in staging.read(block.index, tokens=False).items():
            small.setdefault(name, []).append(values)
    arrays = {name: np.concatenate(parts) for name, parts in small.items()}
    ds = derive(assemble(arrays, config.interventions, staging.read_run()["attrs"]))
    store.write_folder(with_token_template(config, ds), folder)
    for block in blocks:
        arrays = staging.read(block.index)
        part = assemble(arrays, config.interventions, ds.attrs)
        rows = slice(block.first, block.first + block.stop - block.start)
        validate(
            part.assign(
                {name: ds[name].isel(problem=rows) for name in ds.data_vars if name not in part}
            )
        )
        store.write_tokens(
            folder, block.first, {name: each for name, each in arrays.items() if has_tokens(name)}
        )


def _broadcast(shape: tuple[int, ...], fill: np.ndarray) -> np.ndarray:
    """Return an array that takes no memory: one element, broadcast."""
    return np.broadcast_to(fill, shape)


def with_token_template(
    config: StudyConfig,
    ds: xr.Dataset,
    full: Callable[[tuple[int, ...], np.ndarray], Any] = _broadcast,
) -> xr.Dataset:
    """Add the variables with tokens at their fill codes.

    They are arrays that `full` makes of shape and code.
    """
    sizes = {**FIXED_SIZES, **ds.sizes, TOKEN: config.settings.max_new_tokens}
    template = {}
    for name, variable in VARIABLES.items():
        if has_tokens(name):
            shape = tuple(sizes[dim] for dim in variable.dims)
            values = full(shape, np.array(variable.fill, dtype=variable.dtype))
            template[name] = (variable.dims, values, {"long_name": variable.meaning})
    return ds.assign(template).assign_coords({ROLE: np.array(MODELS, dtype=object)})
