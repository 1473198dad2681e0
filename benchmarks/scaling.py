"""What docs/scaling.md quotes: tokens and passes of the bundled study, one worker against two.

``python benchmarks/scaling.py`` prints both, ``--cost`` only the first, which takes no cluster and
no models, ``--workers`` only the second. Run the second on a machine that does nothing else.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

import recover_nb as rnb
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import failed_units

#: A study of 24 blocks that are about equally long: no value maps, which a few problems have. With
#: few or unequal blocks one worker waits for the last block of the other, which says nothing of
#: what passes between them.
CONFIG = {
    "families": ["neox"],
    "methods": ["sft"],
    "tasks": ["program"],
    "n_problems": 96,
    "n_rollouts": 20,
    "n_attempts": 10,
    "block_size": 4,
    "value_problems": 0,
}
#: What comes before the clock starts: every worker imports what it needs and loads the pair.
PRACTICE = CONFIG | {"n_problems": 16, "n_rollouts": 5, "n_attempts": 2, "block_size": 1}
REPEATS = 3


def cost(ds) -> dict:
    """Return tokens and forward passes of each intervention: a rollout, and a failed problem."""
    failed = failed_units(ds)
    found = {"problems": int(ds.sizes["problem"]), "failed problems": int(failed.sum())}
    for name in ds["intervention"].values.tolist():
        one = (
            ds[["n_tokens", "forward_specialist", "forward_ancestor"]].sel(intervention=name).load()
        )
        run = one["n_tokens"].values > 0
        rows = max(1, int(run.sum()))
        problems = len(failed) if name == Intervention.NONE else int(failed.sum())
        found[name] = {
            "rollouts a problem": round(rows / problems, 1),
            **{
                variable: round(float(one[variable].values.sum()) / rows, 2)
                for variable in one.data_vars
            },
            "thousand tokens": round(int(one["n_tokens"].values.sum()) / 1e3),
        }
    return found


def rate(client, out: Path, config: dict = CONFIG) -> float:
    """Return rollouts a second of one run, from the call to the finished store."""
    begin = time.perf_counter()
    made = rnb.run_study(
        rnb.StudyConfig(**config), out, client=client, progress=False, device="cpu"
    )
    seconds = time.perf_counter() - begin
    with rnb.open_study(made) as ds:
        return int((ds["n_tokens"].values > 0).sum()) / seconds


@contextmanager
def workers(n: int) -> Iterator:
    """Hold a client of `n` workers of one thread each."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def throughput(repeats: int = REPEATS) -> dict:
    """Compare one worker with two, run in turn on one machine, and with two runs side by side.

    Two runs that know nothing of each other, each with a worker of its own, are what the processors
    allow: they may share caches, memory or a core.
    """
    names = ("one worker", "two workers", "two runs at once")
    rates: dict[str, list[float]] = {name: [] for name in names}
    loads = []
    with (
        tempfile.TemporaryDirectory() as folder,
        workers(1) as one,
        workers(1) as other,
        workers(2) as two,
        ThreadPoolExecutor(2) as threads,
    ):

        def at_once(name: str) -> float:
            runs = [
                threads.submit(rate, client, Path(folder) / f"{name} {i}.zarr")
                for i, client in enumerate((one, other))
            ]
            return sum(run.result() for run in runs)

        for i, client in enumerate((one, other, two)):
            rate(client, Path(folder) / f"practice {i}.zarr", PRACTICE)
        for repeat in tqdm(range(repeats), desc="repeats", file=sys.stderr):
            loads.append(os.getloadavg()[0])
            rates[names[0]].append(rate(one, Path(folder) / f"one {repeat}.zarr"))
            rates[names[1]].append(rate(two, Path(folder) / f"two {repeat}.zarr"))
            rates[names[2]].append(at_once(f"at once {repeat}"))
    return {
        "processors": os.cpu_count(),
        "load before each round": [round(each, 1) for each in loads],
        "rollouts a second": {
            name: [round(each, 1) for each in values] for name, values in rates.items()
        },
        **{
            f"{name} over one": [
                round(mine / single, 2)
                for mine, single in zip(rates[name], rates[names[0]], strict=True)
            ]
            for name in names[1:]
        },
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--cost", action="store_true", help="only what the bundled study cost")
    only.add_argument("--workers", action="store_true", help="only one worker against two")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds of workers")
    options = parser.parse_args()
    if not options.workers:
        with rnb.load_study() as ds:
            print(json.dumps(cost(ds), indent=1))
    if not options.cost:
        print(json.dumps(throughput(options.repeats), indent=1))


if __name__ == "__main__":
    main()
