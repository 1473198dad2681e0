"""What `recover-nb bench` runs: ratios to named peers and to measured limits, all in one run.

    python benchmarks/run.py [--json] [--quick] [--write] [--repeats 5]
    [--only decoding arrays clusters starting study size]

``size`` (models of 240 million parameters) takes half an hour more and is not run unless named; it
is kept apart: ``--only size --json > benchmarks/size.json``, then ``python benchmarks/page.py``.

Needs the extra ``models``; nothing needs a network.
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

# Two threads on a core that others use wait for one another. Before numpy and torch read it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import array_rows
import decode_rows
import numpy as np
import page
import size_rows
import start_rows

from recover_nb.generation.decoding import Settings, decode

PARTS = {
    "decoding": decode_rows.rows,
    "arrays": array_rows.rows,
    "clusters": array_rows.cluster_rows,
    "starting": start_rows.rows,
    "study": start_rows.study_rows,
    "size": size_rows.rows,
}
#: What runs unless `--only` says otherwise.
USUAL = [name for name in PARTS if name != "size"]


def environment() -> dict:
    """Return what the figures depend on."""
    return {
        "Python": platform.python_version(),
        **{
            name: version(name)
            for name in ("torch", "transformers", "numpy", "scikit-learn", "xarray", "zarr")
        },
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads per process": int(os.environ["OMP_NUM_THREADS"]),
        "load at the start": round(os.getloadavg()[0], 1),
    }


def flips(quick: bool) -> dict:
    """Count rows whose tokens differ by batch size, with logits on the grid and as they are."""
    n, tokens, rollouts = (4, 12, 4) if quick else (64, 48, 20)
    it = decode_rows.setting(n, tokens)
    found = {}
    for grid in (Settings().logit_grid, 0.0):
        traces = [
            decode(
                it.pair,
                it.prompts,
                it.keys,
                np.arange(rollouts),
                "retry",
                Settings(max_new_tokens=tokens, batch_size=size, logit_grid=grid),
            )
            for size in (256, 37)
        ]
        differ = (traces[0].token_id != traces[1].token_id).any(-1)
        name = f"logits rounded to {grid:g}" if grid else "logits as they are"
        found[name] = {
            "rows_differ": int(differ.sum()),
            "rows": differ.size,
            "tokens": int(traces[0].n_tokens.sum()),
        }
    return found


def measured(parts: list[str], *, quick: bool, repeats: int) -> dict:
    """Run the parts and return plain data."""
    began = time.perf_counter()
    found: dict = {
        "environment": environment(),
        "quick": quick,
        "rows": [],
        "growth": [],
        "flips": {},
    }
    for name in parts:
        print(f"{name} ...", file=sys.stderr)
        rows, grown = PARTS[name](quick, repeats)
        found["rows"] += [row.to_dict() for row in rows]
        found["growth"] += grown
    if "decoding" in parts:
        found["flips"] = flips(quick)
    found["environment"]["minutes"] = round((time.perf_counter() - began) / 60, 1)
    return found


def together(runs: list[dict]) -> dict:
    """Return the figures of several runs as one, where later runs replace and add to the first."""
    named = {"rows": ("section", "name", "peer"), "growth": ("name",)}
    found = dict(runs[0])
    for key, names in named.items():
        found[key] = list(
            {tuple(row[name] for name in names): row for run in runs for row in run[key]}.values()
        )
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, one repeat: not to be quoted"
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=USUAL)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--figures",
        type=Path,
        nargs="+",
        help=(
            "JSON of earlier runs to print or write again; a later one's rows replace those of the"
            " same name"
        ),
    )
    parser.add_argument(
        "--widgets", type=Path, help="a JSON of benchmarks/widgets.py, to be written on the page"
    )
    options = parser.parse_args(arguments)
    if options.write and (options.quick or not set(USUAL) <= set(options.only)):
        parser.error("--write needs all parts at full size; leave out --quick and --only")
    if options.figures:
        found = together([json.loads(path.read_text()) for path in options.figures])
    else:
        found = measured(
            options.only, quick=options.quick, repeats=1 if options.quick else options.repeats
        )
    if options.widgets:
        delays = json.loads(options.widgets.read_text())
        found["widgets"] = {"rows": delays["latency"], "aims": delays["aims"]}
    if options.write:
        text = page.keeping(page.page(found), page.PAGE.read_text())
        page.PAGE.write_text(text)
        page.PICTURE.write_text(page.picture(text))
        print(page.PAGE, file=sys.stderr)
    print(json.dumps(found) if options.json else page.page(found))


if __name__ == "__main__":
    main()
