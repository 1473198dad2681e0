"""What holds on an accelerator: same tokens, speed, memory; a JSON, and a short table last.

    python benchmarks/on_gpu.py --device cuda --out gpu.json [--quick] [--minutes 6]

A part that fails is recorded with its traceback, and the others go on. Written to
``benchmarks/gpu.json``, ``python benchmarks/page.py`` puts the figures on the page.
"""

import argparse
import gc
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import size_rows
import torch
from measure import Row, Run, interleave
from torch.profiler import ProfilerActivity, profile

import recover_nb as rnb
from recover_nb import tasks
from recover_nb.generation.config import StudyConfig
from recover_nb.generation.decoding import Settings, calibrate, decode, problem_key, score_traces
from recover_nb.generation.decoding.threads import threads_for

#: Every registered operator with an ordinary calibration.
NAMES = (
    "none",
    "retry",
    "temperature",
    "greedy",
    "min_p",
    "ancestor",
    "contrastive",
    "local_temperature",
    "sparse_steer",
    "sparse_steer_wrong",
    "sparse_steer_random",
    "dense_steer",
    "dense_sample",
    "calculator",
)
#: Where the parts put what they found as they go, so that what a part had before it failed stays.
Found = dict


class Clock:
    """Time that is left."""

    def __init__(self, minutes: float) -> None:
        self.end = time.perf_counter() + 60 * minutes

    def left(self) -> float:
        """Seconds left."""
        return self.end - time.perf_counter()


def environment(device: str) -> dict:
    """Return what the figures depend on."""
    card = torch.cuda.get_device_name() if device.startswith("cuda") else "none"
    return {
        "card": card,
        "CUDA": torch.version.cuda or "none",
        "Python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy")},
        "cores": os.cpu_count(),
        "TF32": torch.backends.cuda.matmul.allow_tf32,
    }


def lineage(family: str, device: str, n: int) -> dict:
    """Return a pair of the shipped lineage on a device, with problems, keys and a calibration."""
    pair = rnb.load_lineage(family, "sft", device=device)
    problems = tasks.problems("program", "dev", n)
    prompts = [each.prompt for each in problems]
    keys = np.array([problem_key("gpu", "", p.task, p.problem_id) for p in problems], np.uint64)
    settings = Settings(max_new_tokens=48)
    with threads_for(pair):
        seen = decode(pair, prompts, keys, np.arange(4), "none", settings, record=True)
    learned = calibrate(seen, np.ones(seen.n_tokens.shape, bool), settings)
    return {
        "pair": pair,
        "prompts": prompts,
        "keys": keys,
        "seen": seen,
        "calibration": learned,
        "settings": settings,
    }


def run_on(it: dict, name: str, *, rows: int = 256, **options):
    """Decode four rollouts of each problem under one intervention."""
    with threads_for(it["pair"]):
        return decode(
            it["pair"],
            it["prompts"],
            it["keys"],
            np.arange(4),
            name,
            Settings(max_new_tokens=48, batch_size=rows),
            calibration=it["calibration"],
            **options,
        )


def differing(one, other) -> tuple[int, int, str]:
    """Return rows that differ, rows, and where the first one does and how many fired elsewhere."""
    apart = one.token_id != other.token_id
    places = np.argwhere(apart)
    first = ""
    if len(places):
        problem, rollout, token = places[0].tolist()
        fired = int((apart.any(-1) & (one.fired_at != other.fired_at)).sum())
        first = f"problem {problem}, rollout {rollout}, token {token}; {fired} fired elsewhere"
    return int(apart.any(-1).sum()), int(one.n_tokens.size), first


def exactness(found: Found, device: str, quick: bool, clock: Clock) -> None:
    """Shipped pairs on both devices in float32: tokens, batch sizes, signals, logits."""
    for family in ("neox",) if quick else ("neox", "qwen3"):
        here, there = (lineage(family, each, 4 if quick else 24) for each in ("cpu", device))
        # One calibration for both: a threshold that differs by a last bit is no other operator.
        there["calibration"] = here["calibration"]
        rows = total = 0
        told = []
        for name in NAMES:
            differ, count, first = differing(run_on(here, name), run_on(there, name))
            rows, total = rows + differ, total + count
            told += [f"{name} {differ} of {count} (first: {first})"] * bool(differ)
        found["facts"].append(
            f"{family}: {total - rows} of {total} rollouts of {len(NAMES)} interventions have the"
            f" CPU's tokens" + (f"; {'; '.join(told)}" if told else "")
        )
        differ, count, first = differing(*(run_on(there, "retry", rows=size) for size in (256, 37)))
        found["facts"].append(
            f"{family}: batches of 256 and of 37 rows differ in {differ} of {count} rollouts of"
            f" retry {first}"
        )
        found["facts"].append(f"{family}: signals at most {signal_gap(here, there)} apart")
        if clock.left() < 0:
            return


def signal_gap(here: dict, there: dict) -> str:
    """Say how far the signals of the same traces lie apart on two devices."""
    seen = here["seen"]
    values = [
        score_traces(it["pair"], it["prompts"], seen.token_id, seen.n_tokens, it["settings"])
        for it in (here, there)
    ]
    apart = {name: float(np.abs(values[0][name] - values[1][name]).max()) for name in values[0]}
    return ", ".join(f"{name} {gap:.1e}" for name, gap in apart.items())


def tiny(found: Found, device: str, quick: bool, clock: Clock) -> None:
    """Tokens a second of the shipped lineage beside `generate`."""
    from generate_peer import sample

    it = lineage("neox", device, 4 if quick else 64)
    prompts = [prompt for prompt in it["prompts"] for _ in range(4)]
    names = ("retry", "dense_steer", "sparse_steer", "dense_sample")

    def ours(name: str, **options) -> Callable[[], float]:
        return lambda: float(run_on(it, name, **options).forward_specialist.sum())

    runs: dict[str, Run] = {
        "generate": lambda: sample(it["pair"], prompts, it["settings"]),
        **{name: ours(name) for name in names},
        "dense_sample, recorded": ours("dense_sample", record=True),
    }
    costs = interleave(runs, 1 if quick else 3)
    peers = {
        "retry": ("generate", 1.3, True),
        "dense_sample, recorded": ("dense_sample", 1.1, False),
    }
    for name in [*names, "dense_sample, recorded"]:
        beside, aim, higher = peers.get(name, ("retry", None, False))
        mine, other = np.array(costs[name]), np.array(costs[beside])
        row = Row(
            "shipped lineage",
            f"`{name}`, batch {len(prompts)}, 48 tokens at most",
            "`transformers.generate`, sampling" if beside == "generate" else f"own `{beside}`",
            "peer / ours" if higher else "ours / peer",
            (other / mine if higher else mine / other).tolist(),
            aim=aim,
            higher=higher,
            seconds={"ours": float(np.median(mine)), "peer": float(np.median(other))},
            note="seconds per generated token",
        )
        _add(found, [row])
    _add(found, [tiny_map(it, 8 if quick else 40)])


def tiny_map(it: dict, length: int) -> Row:
    """Seconds of the value map of a trace of `length` tokens."""
    pair, seen = it["pair"], it["seen"]
    tokens = np.resize(seen.token_id[0, 0, : seen.n_tokens[0, 0] - 1], length)

    def run() -> None:
        rnb.value_map(pair, it["prompts"][0], tokens, answer="-1")

    run()
    return Row(
        "shipped lineage",
        f"`value_map` of {length} tokens, 24 continuations each",
        "the clock",
        "seconds",
        [size_rows.timed(run) for _ in range(2)],
        aim=2.0,
        higher=False,
    )


#: Vocabulary, precision and rows, the most telling first; all is measured at 64 rows.
ORDER = [
    ("262,144", "bfloat16", 64),
    ("262,144", "float32", 64),
    ("262,144", "bfloat16", 256),
    ("262,144", "float32", 256),
    ("50,000", "bfloat16", 64),
    ("50,000", "float32", 64),
    ("262,144", "bfloat16", 16),
    ("262,144", "float32", 16),
    ("262,144", "bfloat16", 8),
    ("262,144", "float32", 8),
    ("50,000", "bfloat16", 256),
    ("50,000", "float32", 256),
    ("50,000", "bfloat16", 16),
    ("50,000", "bfloat16", 8),
]


def sized(found: Found, device: str, quick: bool, clock: Clock) -> None:
    """Measure 240 million parameters: speed, and at 64 rows signals and value maps."""
    sizes = size_rows.TINY if quick else size_rows.SIZES
    order = [("5,000", "bfloat16", 64), ("5,000", "float32", 8)] if quick else ORDER
    pairs: dict = {}
    for vocabulary, dtype, rows in order:
        if rows not in found["batches"] and not quick:
            continue
        name, size = f"{vocabulary} tokens of vocabulary, {dtype}, batch {rows}", sizes[vocabulary]
        if clock.left() < 0:
            found["skipped"].append(name)
            continue
        if (vocabulary, dtype) not in pairs:
            pairs[vocabulary, dtype] = size_rows.make_pair(size, device, size_rows.DTYPES[dtype])
        cell = size_rows.Cell(name, pairs[vocabulary, dtype], size, rows, 6 if quick else 24)
        for what, job in _jobs(cell, device, quick).items():
            if clock.left() < 0:
                found["skipped"].append(f"{name}, {what}")
            else:
                attempt(found, f"{name}, {what}", lambda job=job: _add(found, job()))


def _jobs(cell: size_rows.Cell, device: str, quick: bool) -> dict[str, Callable[[], list[Row]]]:
    """Return what is measured of a cell, by name."""
    full = cell.rows == 64
    names = () if full else size_rows.FEW
    jobs: dict[str, Callable[[], list[Row]]] = {
        how: partial(size_rows.beside, cell, fixed, 2, names=names)
        for how, fixed in (("fixed length", True), ("finished", False))
    }
    if full:
        mapped = replace(cell, tokens=6 if quick else 40)
        jobs["signals"] = lambda: size_rows.signals(cell, 3)
        jobs["value map"] = lambda: size_rows.mapped(mapped)
    return jobs


def memory(found: Found, device: str, quick: bool, clock: Clock) -> None:
    """Measure peak memory at 64 rows; each pair is alone on the card."""
    for vocabulary, size in (size_rows.TINY if quick else size_rows.SIZES).items():
        for dtype, each in size_rows.DTYPES.items() if device.startswith("cuda") else ():
            name = f"{vocabulary} tokens of vocabulary, {dtype}, batch 64"
            pair = size_rows.make_pair(size, device, each)
            cell = size_rows.Cell(name, pair, size, 64, 6 if quick else 24)
            attempt(found, f"{name}, memory", lambda cell=cell: _add(found, size_rows.memory(cell)))
            del pair, cell
            gc.collect()


def _add(found: Found, rows: list[Row]) -> None:
    """Add rows; those of the same name that an earlier run left are replaced."""
    new = {(row.name, row.peer): row.to_dict() for row in rows}
    kept = [row for row in found["rows"] if (row["name"], row["peer"]) not in new]
    found["rows"] = [*kept, *new.values()]


def whole_study(found: Found, device: str, quick: bool, clock: Clock) -> None:
    """Run the quick study of a cell on both devices and compare tokens and regimes."""
    changes = {"methods": ["sft"], "families": ["neox"], "tasks": ["program"]}
    config = StudyConfig.quick(**changes, **({"n_problems": 2} if quick else {}))
    with tempfile.TemporaryDirectory() as folder:
        studies, seconds = [], []
        for each in ("cpu", device):
            out = Path(folder) / f"{each.replace(':', '_')}{len(studies)}.zarr"
            begin = time.perf_counter()
            rnb.run_study(config, out, device=each, progress=False)
            seconds.append(time.perf_counter() - begin)
            studies.append(rnb.open_study(out).load())
    tokens, regimes = ([study[name].values for study in studies] for name in ("token_id", "regime"))
    apart = int((tokens[0] != tokens[1]).any(-1).sum())
    found["facts"].append(
        f"quick study, {regimes[0].size} problems on {device} ({seconds[1]:.0f} s; CPU"
        f" {seconds[0]:.0f} s): {int((regimes[0] == regimes[1]).sum())} of {regimes[0].size}"
        f" regimes are equal, {apart} of {tokens[0][..., 0].size} traces differ"
    )


def parts_of_a_step(found: Found, device: str, quick: bool, clock: Clock) -> None:
    """Write which operations `retry` and `dense_steer` spend their time in at a real size."""
    size = next(iter((size_rows.TINY if quick else size_rows.SIZES).values()))
    pair = size_rows.make_pair(size, device, torch.bfloat16)
    cell = size_rows.Cell("", pair, size, 8 if quick else 64, 3)
    runs = cell.runs(True)
    kinds = [ProfilerActivity.CPU]
    kinds += [ProfilerActivity.CUDA] * device.startswith("cuda")
    by = "self_cuda_time_total" if device.startswith("cuda") else "self_cpu_time_total"
    for name in ("retry", "generate", "dense_steer", "dense_sample, recorded"):
        runs[name]()
        with profile(activities=kinds) as seen:
            runs[name]()
        table = seen.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60)
        found["profile"][name] = table


PARTS = {
    "exactness": exactness,
    "tiny": tiny,
    "study": whole_study,
    "profile": parts_of_a_step,
    "memory": memory,
    "sized": sized,
}


def attempt(found: Found, name: str, job: Callable[[], object]) -> None:
    """Run a part; what it raises is noted."""
    begin = time.perf_counter()
    try:
        job()
    # Whatever goes wrong in one part is what this script is there to find.
    except Exception as error:
        found["failures"][name] = traceback.format_exc()
        print(f"FAILED {name}: {type(error).__name__}: {error}"[:400], file=sys.stderr)
    found["seconds"][name] = round(time.perf_counter() - begin, 1)


def table(found: Found) -> str:
    """Return a short table of everything."""
    lines = [f"{key}: {value}" for key, value in found["environment"].items()]
    lines += [f"* {fact}" for fact in found["facts"]]
    for row in found["rows"]:
        seconds = " ".join(f"{side} {value:.3g}" for side, value in row["seconds"].items())
        lines.append(f"{row['median']:.3g} | {row['name']} | {row['peer']} | {seconds}")
    lines += [f"FAILED {name}: {text.splitlines()[-1]}" for name, text in found["failures"].items()]
    lines += [f"skipped: {'; '.join(found['skipped'])}"] * bool(found["skipped"])
    lines.append(f"seconds: {found['seconds']}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the parts, write the JSON and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: not to be quoted")
    parser.add_argument("--minutes", type=float, default=30.0, help="no row starts after this")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 64, 256])
    parser.add_argument("--earlier", type=Path, help="a JSON to go on from: its figures stay")
    options = parser.parse_args(arguments)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    found: Found = {
        "environment": environment(options.device),
        "quick": options.quick,
        "rows": [],
        "facts": [],
        "failures": {},
        "seconds": {},
        "profile": {},
    }
    if options.earlier:
        found = json.loads(options.earlier.read_text())
        if found["environment"] != environment(options.device):
            parser.error("--earlier is of another card or other versions")
    found |= {"skipped": [], "batches": options.batches}
    clock = Clock(options.minutes)
    for name in options.only:
        part = PARTS[name]
        attempt(found, name, lambda part=part: part(found, options.device, options.quick, clock))
        options.out.write_text(json.dumps(found, indent=1))
        print(f"{name}: {found['seconds'][name]} s", file=sys.stderr)
    for name, text in found["profile"].items():
        options.out.with_name(f"profile_{name.replace(', ', '_')}.txt").write_text(text)
    print(table(found))


if __name__ == "__main__":
    main()
