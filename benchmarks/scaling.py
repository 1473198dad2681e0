"""What docs/scaling.md quotes: tokens and passes of the bundled study, one worker against two.

``python benchmarks/scaling.py`` prints both, ``--cost`` only the first, which takes no cluster and
no models.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import recover_nb as rnb
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import failed_units

#: A study of eight blocks that takes a worker some seconds on a quiet core.
CONFIG = {
    "families": ["neox"],
    "methods": ["sft"],
    "tasks": ["program"],
    "n_problems": 8,
    "n_rollouts": 10,
    "n_attempts": 5,
    "block_size": 1,
}
REPEATS = 2


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


def rate(client, folder: Path, number: int) -> float:
    """Return rollouts a second of one run."""
    config = rnb.StudyConfig(**CONFIG)
    begin = time.perf_counter()
    out = rnb.run_study(
        config, folder / f"{number}.zarr", client=client, progress=False, device="cpu"
    )
    seconds = time.perf_counter() - begin
    with rnb.open_study(out) as ds:
        return int((ds["n_tokens"].values > 0).sum()) / seconds


def throughput() -> dict:
    """Compare one worker with two, run in turn on one machine."""
    import distributed

    rates: dict[int, list[float]] = {1: [], 2: []}
    loads = []
    with (
        tempfile.TemporaryDirectory() as name,
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as two,
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as one,
    ):
        clients = {
            1: distributed.Client(one, set_as_default=False),
            2: distributed.Client(two, set_as_default=False),
        }
        for repeat in tqdm(range(REPEATS + 1), desc="repeats", file=sys.stderr):
            for workers, client in clients.items():
                loads.append(os.getloadavg()[0])
                found = rate(client, Path(name), 10 * repeat + workers)
                # The first of each is spent on imports and on loading the pair.
                if repeat:
                    rates[workers].append(found)
        for client in clients.values():
            client.close()
    ratios = np.array(rates[2]) / np.array(rates[1])
    return {
        "processors": os.cpu_count(),
        "load before each run": [round(each, 1) for each in loads],
        "rollouts a second": {
            workers: [round(each, 1) for each in values] for workers, values in rates.items()
        },
        "two workers over one": [round(float(each), 2) for each in ratios],
        "median": round(float(np.median(ratios)), 2),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost", action="store_true", help="only what the bundled study cost")
    options = parser.parse_args()
    with rnb.load_study() as ds:
        print(json.dumps(cost(ds), indent=1))
    if not options.cost:
        print(json.dumps(throughput(), indent=1))


if __name__ == "__main__":
    main()
