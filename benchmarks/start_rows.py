"""Rows about waiting and memory: import, opening the bundled study, and peak memory.

Peak memory is that of what people run first.
"""

import json
import os

import numpy as np
from measure import Row, in_process, interleave, peak

#: Prints seconds since the first line, and whether torch was loaded. The interpreter itself is not
#: counted.
TIMED = """
import sys, time
began = time.perf_counter()
{work}
print(time.perf_counter() - began, "torch" in sys.modules)
"""
IMPORT = "import recover_nb"
OPEN = "import recover_nb as rnb\nds = rnb.load_study()"
PLAIN_OPEN = """
import warnings
import xarray, zarr
from recover_nb.core.shipped import data_folder
store = zarr.storage.ZipStore(data_folder() / "study.zarr.zip", mode="r")
ds = xarray.open_zarr(store, chunks=None)
"""
DEMO = """
import contextlib, io, tempfile
from recover_nb.cli.main import main
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
    assert main(["demo", "--out", folder]) == 0
"""
RUN = """
import contextlib, io, tempfile
from recover_nb.cli.main import main
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
    assert main(["run", "--out", folder + "/study.zarr.zip", *{options}]) == 0
"""
FEW = (
    "--family neox --method sft --task program --problems 2 --rollouts 2 --attempts 2"
    " --max-new-tokens 12"
)
EVALUATE = "import recover_nb as rnb\nrnb.evaluate_routing(rnb.load_study())"
#: Blocks of random top-k lists of both models, as an importer reads them: never more than one block
#: at a time.
STREAM = """
import numpy as np
from recover_nb.features.signals import signals_from_topk
rng, total = np.random.default_rng(0), 0.0
block, k, tokens = {block}, 100, {tokens}
for start in range(0, tokens, block):
    n = min(block, tokens - start)
    log = [
        -np.sort(rng.exponential(3.0, (n, k)).astype(np.float32), axis=-1) - 4.7 for _ in range(2)
    ]
    ids = [(np.arange(k) * 300 + rng.integers(300, size=(n, 1))).astype(np.int32) for _ in range(2)]
    found = signals_from_topk(log[0], ids[0], log[1], ids[1], ids[0][:, 0], vocab_size=32_000)
    total += float(found["entropy"].sum())
"""


def _timed(work: str) -> tuple[float, bool]:
    """Seconds of some work in a fresh process, and whether it loaded torch."""
    seconds, torch_loaded = in_process(TIMED.format(work=work))[1].split()
    return float(seconds), torch_loaded == "True"


def waiting(name: str, work: str, peer: tuple[str, str], aim: float, repeats: int) -> Row:
    """Measure a fresh process in turn with its peer; the figure is seconds."""
    before, loaded = os.getloadavg()[0], set()
    found: dict[str, list[float]] = {"ours": [], "peer": []}

    def once(key: str, code: str) -> None:
        seconds, with_torch = _timed(code)
        found[key].append(seconds)
        if key == "ours":
            loaded.add(with_torch)

    interleave({"ours": lambda: once("ours", work), "peer": lambda: once("peer", peer[1])}, repeats)
    # The first of each reads the disk.
    mine, other = np.array(found["ours"][1:]), np.array(found["peer"][1:])
    return Row(
        "starting",
        name,
        peer[0],
        "seconds",
        mine.tolist(),
        aim=aim,
        higher=False,
        seconds={"ours": float(np.median(mine)), "peer": float(np.median(other))},
        load=[before, os.getloadavg()[0]],
        note="torch is " + ("loaded" if loaded != {False} else "not loaded"),
    )


def rows(quick: bool, repeats: int) -> tuple[list[Row], list[dict]]:
    """Return all rows of this section."""
    found = [
        waiting("`import recover_nb`", IMPORT, ("`import xarray`", "import xarray"), 1.0, repeats),
        waiting(
            "import and open the bundled study",
            OPEN,
            ("`xarray.open_zarr`, no check", PLAIN_OPEN),
            2.0,
            repeats,
        ),
    ]
    tokens, block = (20_000, 5_000) if quick else (1_000_000, 5_000)
    whole = tokens * 100 * (4 + 4) * 2 / 2**20
    found.append(
        peak(
            "memory",
            f"{tokens:,} tokens of top-100 log-probabilities through `signals_from_topk`",
            STREAM.format(block=block, tokens=tokens),
            ("one block of them", STREAM.format(block=block, tokens=block)),
            note=f"blocks of {block:,}; the lists of all would be {whole:,.0f} MiB",
        )
    )
    if not quick:
        found += [
            peak(
                "memory",
                "`recover-nb demo`",
                DEMO,
                (
                    "`import torch, transformers, xarray`",
                    "import torch, xarray\nfrom transformers import AutoModelForCausalLM",
                ),
            ),
            peak(
                "memory",
                "open and evaluate the bundled study",
                EVALUATE,
                ("open it", "import recover_nb as rnb\nrnb.load_study()"),
            ),
        ]
    return found, []


def study_rows(quick: bool, repeats: int) -> tuple[list[Row], list[dict]]:
    """Return the peak of memory of making the bundled study anew: a quarter of an hour."""
    options = FEW.split() if quick else []
    what = f"`recover-nb run {FEW}`" if quick else "`recover-nb run`, the bundled study"
    return [peak("memory", what, RUN.format(options=options), ("`recover-nb demo`", DEMO))], []


if __name__ == "__main__":
    print(json.dumps([row.to_dict() for row in rows(False, 3)[0]], indent=1))
