"""Evaluate a study of very many problems, read through dask: seconds, and the peak of memory.

``python benchmarks/many_problems.py`` simulates 100,000 problems in eight cells (20 observed
rollouts, 10 attempts of each of five interventions, costs; no tokens), stores them, and evaluates
them in a process of its own with all parts and the usual counts. ``--problems`` takes other sizes,
one row each; ``--json`` prints plain data. Files go to a temporary folder.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from measure import in_process, slope
from tqdm import tqdm

import recover_nb as rnb
from recover_nb.core.labels import Family, Intervention, Method, Task
from recover_nb.io.store import save_study
from recover_nb.routing.simulate import make_study

PROBLEMS, ROLLOUTS, ATTEMPTS = 100_000, 20, 10
#: What the evaluation may take at its peak, in MiB: 2 GB.
AIM = 2e9 / 2**20
CELLS = [
    (family.value, method.value, task.value)
    for family in Family
    for method in (Method.SFT, Method.GRPO)
    for task in (Task.ARITHMETIC, Task.PROGRAM)
]

#: Put in a process of its own: the path and what to ask for come first.
EVALUATE = """
import json, time
begin = time.perf_counter()
import recover_nb as rnb
ds = rnb.open_study({path!r}, chunks={{}})
opened = time.perf_counter()
lazy = [name for name, each in ds.data_vars.items() if each.chunks is not None]
found = rnb.evaluate_routing(ds)
done = time.perf_counter()
lift = found.lift(found.honest)
print(json.dumps({{
    "seconds to open": opened - begin,
    "seconds to evaluate": done - opened,
    "read through dask": lazy,
    "parts": found.estimators,
    "failed": {{name: int(found.of(name).figures["problems"][0]) for name in found.populations}},
    "points over retry": [100 * float(lift[each]) for each in ("lift", "lift_low", "lift_high")],
    "settings": {{name: n for name, n in found.settings.items() if name.startswith("n_")}},
}}))
"""
OPEN = "import recover_nb as rnb\nds = rnb.open_study({path!r}, chunks={{}})"


def make(n: int) -> xr.Dataset:
    """Simulate `n` problems: 20 observed rollouts, and 10 attempts where one of them failed."""
    ds = make_study(
        effect="tied", size=0.1, n_problems=n // len(CELLS), n_attempts=ROLLOUTS, cells=CELLS
    )
    run = (ds["intervention"] == Intervention.NONE.value) | (ds["rollout"] < ATTEMPTS)
    ds["correct"] = ds["correct"].where(run, -1).astype(np.int8)
    costs = {
        name: ds[name].where(run, 0).astype(np.int32)
        for name in ("forward_specialist", "forward_ancestor")
    }
    rates = rnb.rescue_rate(ds["correct"])
    regime = rnb.classify_regimes(rates["rescue_rate"])
    return ds.drop_vars("true_rate").assign(**costs, **rates.data_vars, regime=regime)


def measured(n: int, folder: Path) -> dict:
    """Return what the evaluation of `n` problems takes, and what only opening them does."""
    path = str(folder / f"{n}.zarr")
    save_study(make(n), path)
    before = os.getloadavg()[0]
    peak, said = in_process(EVALUATE.format(path=path))
    opened, _ = in_process(OPEN.format(path=path))
    return {
        "problems": n,
        **json.loads(said),
        "peak of memory, MiB": round(peak),
        "of which open the study": round(opened),
        "load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }


def told(found: list[dict]) -> str:
    """Return the rows as lines of a table."""
    lines = [
        "| problems | seconds | peak of memory | to open alone | load |",
        "|---:|---:|---:|---:|---|",
    ]
    for one in found:
        load = "-".join(map(str, one["load"]))
        cells = (f"{one['problems']:,}", f"{one['seconds to evaluate']:.1f}")
        cells += (f"{one['peak of memory, MiB']:,} MiB", f"{one['of which open the study']:,} MiB")
        lines.append("| " + " | ".join([*cells, load]) + " |")
    if len(found) > 1:
        sizes = [one["problems"] for one in found]
        b = slope(sizes, [one["seconds to evaluate"] for one in found])
        lines.append(f"\nSeconds grow as problems to the power of {b:.2f}.")
    last = found[-1]["peak of memory, MiB"]
    lines.append(f"\nAim, at most {AIM:,.0f} MiB: {'met' if last <= AIM else 'missed'}.")
    return "\n".join(lines)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, nargs="+", default=[PROBLEMS])
    parser.add_argument("--json", action="store_true", help="plain data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [measured(n, Path(folder)) for n in tqdm(sorted(options.problems), file=sys.stderr)]
    print(json.dumps(found, indent=1) if options.json else told(found))


if __name__ == "__main__":
    main()
