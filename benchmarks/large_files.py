"""What large files of rollouts cost: seconds, and the peak memory of a process of its own.

``python benchmarks/large_files.py`` makes a file of 10^6 lines as JSON lines and as CSV, and one of
a single line of 100 MB, and tells what each reader makes of them. Another size:
``python benchmarks/large_files.py 100000``. Files go to a temporary folder.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Attempts of a problem; characters of the long line.
ATTEMPTS, LONG = 10, 100_000_000
#: Seconds that a call may take.
LIMIT = 400


def write_files(folder: Path, lines: int) -> None:
    """Write rollouts and outcomes of arms, and two files of one long line."""
    with (folder / "lines.jsonl").open("w") as rows, (folder / "lines.csv").open("w") as table:
        table.write("problem_id,rollout_idx,generated_text,is_correct\n")
        for i in range(lines):
            problem, attempt = divmod(i, ATTEMPTS)
            right = (i * 7919) % 3 == 0
            text = f"the answer is {i % 97}"
            row = {"problem_id": f"q{problem}", "rollout_idx": attempt, "generated_text": text}
            rows.write(json.dumps({**row, "is_correct": right}) + "\n")
            table.write(f"q{problem},{attempt},{text},{right}\n")
    with (folder / "outcomes.csv").open("w") as table:
        table.write("problem,small,large\n")
        for i in range(lines):
            table.write(f"q{i},{i % 2},{i % 3 > 0:d}\n")
    row = {"problem_id": "q", "rollout_idx": 0, "is_correct": True, "generated_text": "x" * LONG}
    (folder / "long.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "long.csv").write_text(
        f"problem_id,rollout_idx,generated_text,is_correct\nq,0,{'x' * LONG},true\n"
    )


#: Name of a reader -> the file, and the call.
CALLS = {
    "preview": "str(rnb.preview({path!r}))",
    "from_jsonl": "rnb.from_jsonl({path!r})",
    "from_table": "rnb.from_table({path!r})",
    "read_outcomes": "rnb.read_outcomes({path!r})",
    "import": "main(['import', {form!r}, {path!r}, '--out', {out!r}])",
}
READ = (
    ("preview", "lines.jsonl"),
    ("preview", "lines.csv"),
    ("preview", "long.jsonl"),
    ("preview", "long.csv"),
    ("from_jsonl", "long.jsonl"),
    ("from_table", "long.csv"),
    ("read_outcomes", "outcomes.csv"),
    ("from_jsonl", "lines.jsonl"),
    ("from_table", "lines.csv"),
    ("import", "lines.jsonl"),
)
ONE = """\
import resource, sys, time
import recover_nb as rnb
from recover_nb.cli.main import main
import numpy, pandas, xarray
before = time.perf_counter()
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {call}
    said = ""
except rnb.InputError as error:
    said = str(error)[:150]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("\\n@", time.perf_counter() - before, base, peak, said)
"""


def measure(call: str, path: Path) -> str:
    """Return what one call costs, in a process of its own."""
    form = "jsonl" if path.suffix == ".jsonl" else "csv"
    out = path.parent / f"{path.stem}.zarr"
    code = ONE.format(call=CALLS[call].format(path=str(path), form=form, out=str(out)))
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"more than {LIMIT} s"
    told = [line for line in done.stdout.splitlines() if line.startswith("@")]
    if not told:
        return f"ended with {done.returncode} after {time.perf_counter() - start:.0f} s"
    _, seconds, base, peak, *said = told[0].split(" ", 4)
    bar = "a bar" if "%|" in done.stderr or "it/s" in done.stderr else "no bar"
    more = f", {said[0]}" if said and said[0] else ""
    return (
        f"{float(seconds):7.1f} s, {int(peak) / 1024:7.0f} MB at most (before: "
        f"{int(base) / 1024:.0f}), {bar}{more}"
    )


def main(lines: int = 1_000_000) -> None:
    """Write the files, and measure every call."""
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        write_files(folder, lines)
        for each in sorted(folder.iterdir()):
            print(f"{each.name}: {each.stat().st_size / 1e6:.0f} MB", flush=True)
        for call, name in READ:
            print(f"{call:14} {name:13} {measure(call, folder / name)}", flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    main(*map(int, sys.argv[1:]))
