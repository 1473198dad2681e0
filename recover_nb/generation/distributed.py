"""The same study on a Dask cluster: one block a task, results written by region to one Zarr store.

Workers write blocks straight to the staging folder or URL, then fill the chunks of the store from
them: neither traces nor signals pass through scheduler or client. A task can be run twice, or by
two workers at once, and leaves the same bytes. Needs torch and the extra ``cluster``.
"""

import asyncio
import concurrent.futures
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr
from distributed import Client, KilledWorker, LocalCluster, as_completed, get_worker
from tqdm import tqdm

from recover_nb.core.checks import WORKERS, check, shown
from recover_nb.core.errors import InputError, first_line
from recover_nb.core.schema import assemble
from recover_nb.core.validation import validate
from recover_nb.core.visible import visible
from recover_nb.generation import run
from recover_nb.generation.config import StudyConfig
from recover_nb.generation.decoding import Pair
from recover_nb.generation.lineage import load_lineage
from recover_nb.generation.provenance import package_versions
from recover_nb.generation.run import Block
from recover_nb.generation.staging import WHOLE, Staging
from recover_nb.generation.url_staging import UrlStaging
from recover_nb.io import store
from recover_nb.routing.derive import derive

GONE = (
    "the scheduler went away, or the run was cancelled there; what is done stays: go on with"
    " --resume"
)

#: Seconds to find a scheduler.
CONNECT_SECONDS = 10

#: One block at a time in a worker process, however many threads it has: the models fill the device.
_DEVICE = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What every task of a run needs to know.

    Attributes
    ----------
    config : StudyConfig
    out : str
        Absolute path or URL of the study.
    lab, device : str or None
    attrs : dict
        Attributes of the study.
    models : dict
        Names and hashes of the checkpoints, as the client sees them.
    packages : dict
        Versions that the client has.
    """

    config: StudyConfig
    out: str
    lab: str | None
    device: str | None
    attrs: dict[str, Any]
    models: dict[str, dict[str, str]]
    packages: dict[str, str]


@contextmanager
def own_workers(n: int) -> Iterator[Client]:
    """Hold a client of `n` worker processes on this machine, which end with it."""
    check("workers", n, WORKERS)
    # None is how dask is told of no page to watch, though its signature says text alone.
    watched: Any = None
    with (
        LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=watched,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Hold a client of the scheduler at `address`.

    Raises
    ------
    InputError
        Not an address, or nothing answers there.
    """
    # A word alone would be looked for on the network, and nobody answers there.
    if not re.fullmatch(r"[A-Za-z+]+://\S+|[^\s/:]+:\d+", address):
        raise InputError(
            f"--scheduler must be an address with a port, got {shown(address)}; dask scheduler"
            " prints it, such as tcp://127.0.0.1:8786"
        )
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = first_line(error)
        raise InputError(
            f"no scheduler answers at {address} ({reason}); start one with: dask scheduler, and"
            " give the address it prints, such as tcp://127.0.0.1:8786"
        ) from None
    with client:
        yield client


def run_study(
    client: Client | None,
    config: StudyConfig,
    out: Path | str,
    models: dict[str, dict[str, str]],
    *,
    resume: bool = False,
    progress: bool = True,
    lab: str | Path | None = None,
    device: str | None = None,
) -> Path | str:
    """Run a study on the workers of `client`; see `run.run_study`, which calls this."""
    if client is None:
        raise InputError(
            f"{out}: a URL is written by the workers of a cluster; give --scheduler, or a local"
            " --out"
        )
    place = out if isinstance(out, str) else out.absolute()
    staging = staging_of(place)
    if isinstance(staging, UrlStaging):
        if staging.occupied() and not staging.finished() and not staging.exists():
            raise InputError(
                f"{out} holds something that is no finished study; choose another --out"
            )
        there = staging.finished()
    else:
        there = Path(place).exists()
    if there:
        return run.already_there(out, config, resume, staging)
    lab = None if lab is None else str(Path(lab).absolute())
    with run.begun(config, staging, models, resume, lab):
        attrs = staging.read_run()["attrs"]
        job = Job(config, str(place), lab, device, attrs, models, package_versions())
        run_blocks(client, job, staging, progress)
        consolidate(client, job, staging, progress)
        staging.finish()
    return out


def staging_of(out: Path | str) -> Staging:
    """Return the unfinished run of a path or URL."""
    place = store.place_of(out)
    return UrlStaging(place) if isinstance(place, str) else Staging(place)


def run_blocks(client: Client, job: Job, staging: Staging, progress: bool) -> None:
    """Have the workers generate every block that is not there yet.

    Raises
    ------
    InputError
        A worker sees other checkpoints or versions, cannot write, or died too often; the scheduler
        went away. Blocks that are done stay.
    """
    blocks = run.plan_blocks(job.config)
    done = [block for block in blocks if staging.has(block.index)]
    rows = run.plan_of(job.config).rows
    with run.bar_of(job.config, done, progress) as bar:

        def tell(block: Block) -> None:
            bar.set_description(visible(f"{block.family} {block.method} {block.task}"))
            bar.update((block.stop - block.start) * rows)

        _all_of(
            client, generate_block, job, [each for each in blocks if each not in done], bar, tell
        )


def consolidate(client: Client, job: Job, staging: Staging, progress: bool) -> None:
    """Derive what needs the whole study, have workers fill the store, and make it readable.

    The workers fill it chunk by chunk.
    """
    blocks = run.plan_blocks(job.config)
    with tqdm(
        total=len(blocks), desc="reading blocks", unit="block", disable=not progress, leave=False
    ) as bar:
        parts = _all_of(client, read_small, job, blocks, bar, lambda block: bar.update())
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ds = derive(assemble(arrays, job.config.interventions, job.attrs))
    framed = run.with_token_template(job.config, ds, _promised)
    if isinstance(staging, UrlStaging):
        _fill(client, job, framed, progress)
        return

    def make(_folder: Path) -> Path:
        _fill(client, job, framed, progress)
        return run.packed(Path(_target(job)), store.suffix_of(job.out))

    staging.place(make)


def _fill(client: Client, job: Job, ds: xr.Dataset, progress: bool) -> None:
    """Write the store: what is known here, and by the workers what has tokens."""
    target = _target(job)
    store.write_frame(ds, target)
    rows = ds.sizes["problem"]
    regions = [
        range(first, min(first + store.CHUNK_PROBLEMS, rows))
        for first in range(0, rows, store.CHUNK_PROBLEMS)
    ]
    with tqdm(
        total=len(regions), desc="writing", unit="region", disable=not progress, leave=False
    ) as bar:
        _all_of(client, write_region, job, regions, bar, lambda region: bar.update())
    store.consolidate(target)


def generate_block(job: Job, block: Block) -> None:
    """Generate a block, check it and keep it. Runs on a worker."""
    staging = staging_of(job.out)
    if staging.has(block.index):
        return
    with _DEVICE:
        pair = _pair(job, block)
        arrays = run.run_one(job.config, block, pair, run.plan_of(job.config), lambda n: None)
    validate(derive(assemble(arrays, job.config.interventions, job.attrs)))
    staging.write(block.index, arrays)


def read_small(job: Job, block: Block) -> dict[str, np.ndarray]:
    """Return what a block holds beside traces and signals. Runs on a worker."""
    return staging_of(job.out).read(block.index, tokens=False)


def write_region(job: Job, region: range) -> None:
    """Fill whole chunks of the store from the blocks that overlap them. Runs on a worker."""
    staging = staging_of(job.out)
    parts: dict[str, list[np.ndarray]] = {}
    for block in run.plan_blocks(job.config):
        last = block.first + block.stop - block.start
        if block.first < region.stop and last > region.start:
            rows = slice(max(region.start - block.first, 0), min(region.stop, last) - block.first)
            for name, values in staging.read(block.index, tokens=True).items():
                parts.setdefault(name, []).append(values[rows])
    store.write_tokens(
        _target(job), region.start, {name: np.concatenate(each) for name, each in parts.items()}
    )


def loads() -> int:
    """Return how often this process has loaded a pair."""
    return _loaded.cache_info().misses


def _pair(job: Job, block: Block) -> Pair:
    name = f"{block.family}|{block.method}"
    _check_packages(tuple(sorted(job.packages.items())))
    pair = _loaded(block.family, block.method, job.lab, job.device)
    lone = StudyConfig(families=[block.family], methods=[block.method])
    if _hashes(lone, job.lab) != job.models[name]:
        raise InputError(
            f"{get_worker().address} has other checkpoints of {name} than the client; copy one set"
            " to all"
        )
    return pair


# Blocks are handed out in the order of the study, so a worker goes from pair to pair and never
# back.
@lru_cache(maxsize=1)
def _loaded(family: str, method: str, lab: str | None, device: str | None) -> Pair:
    return load_lineage(family, method, root=lab, device=device)


@lru_cache(maxsize=1)
def _hashes(lone: StudyConfig, lab: str | None) -> dict[str, str]:
    return next(iter(run.describe_models(lone, lab).values()))


@lru_cache(maxsize=1)
def _check_packages(wanted: tuple[tuple[str, str], ...]) -> None:
    here = package_versions()
    for name, version in wanted:
        if name != "python" and here.get(name) != version:
            raise InputError(
                f"{get_worker().address} has {name} {here.get(name, '(none)')} and the client"
                f" {version}; a study needs the same versions everywhere"
            )


def _target(job: Job) -> Path | str:
    """Return the Zarr store that is filled, in the staging folder or at the URL itself.

    It is the URL where nothing can be moved.
    """
    place = store.place_of(job.out)
    return place if isinstance(place, str) else store.partial_folder(place) / WHOLE / "whole.zarr"


def _promised(shape: tuple[int, ...], fill: np.ndarray) -> dask.array.Array:
    """Return an array that is never computed: `write_region` fills what it stands for."""
    return dask.array.full(shape, fill, dtype=fill.dtype, chunks=(store.CHUNK_PROBLEMS, *shape[1:]))


def _all_of(
    client: Client,
    task: Callable[[Job, Any], Any],
    job: Job,
    parts: Sequence[Any],
    bar: tqdm,
    tell: Callable[[Any], object],
) -> list[Any]:
    """Run `task` on every part and return the results in order.

    It calls ``tell(part)`` as each one ends.
    """
    label, results = uuid.uuid4().hex[:8], {}
    futures = {
        client.submit(
            task, job, part, key=f"{task.__name__}-{label}-{i}", priority=-i, pure=False
        ): i
        for i, part in enumerate(parts)
    }
    if futures and not client.nthreads() and not bar.disable:
        bar.write("no worker is connected yet: waiting for one")
    try:
        for future in as_completed(futures, loop=client.loop):
            if future.cancelled():
                raise InputError(GONE)
            i, error = futures[future], future.exception()
            if error is not None:
                raise _explained(error, parts[i]) from error
            results[i] = future.result()
            tell(parts[i])
    except (OSError, asyncio.CancelledError, concurrent.futures.CancelledError):
        # A task's own error is returned, not raised: this one is of the connection. It comes as
        # either kind, by what the client was about when the connection went.
        raise InputError(GONE) from None
    finally:
        # What a worker has in hand it finishes, and keeps; the rest is not begun.
        with suppress(Exception):
            client.cancel(list(futures))
    return [results[i] for i in range(len(parts))]


def _explained(error: BaseException, part: Block | range) -> BaseException:
    where = f"problems {part.start} to {part.stop - 1}"
    if isinstance(part, Block):
        where = f"block {part.index} ({part.family} {part.method} {part.task}, {where})"
    stays = "what is done stays: go on with --resume"
    if isinstance(error, KilledWorker):
        died = f"{where} killed every worker that tried it, most likely because memory ran out"
        return InputError(
            f"{died}; give workers more of it, or fewer processes per machine; {stays}"
        )
    if isinstance(error, InputError):
        return InputError(f"{where}: {error}; {stays}")
    if isinstance(error, OSError):
        reason = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        return InputError(f"{where}: a worker cannot write: {reason}; make room there; {stays}")
    return error
