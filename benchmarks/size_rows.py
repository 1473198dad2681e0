"""Rows about models of a real size: 244 and 232 million parameters, 262,144 and 50,000 tokens.

Every figure is told twice: for finished rollouts, which end by themselves, and at a fixed length,
where no end mark ever comes and all rows run to the last token.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import Row, Run, interleave
from sized import SIZES, TINY, Size, endless, generated, make_pair, prompts_of, steered_by_hand

import recover_nb as rnb
from recover_nb.generation.decoding import Pair, Settings, calibrate, decode

SECTION = "a real size"
ROLLOUTS = 4
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: (ours, beside, what the page calls it, aim, higher is better): runs of `Cell.runs`.
BESIDE = (
    ("retry", "generate", "`transformers.generate`, sampling", 1.3, True),
    ("dense_steer", "by hand", "two models by hand, float32 mixtures", None, True),
    ("dense_steer", "retry", "own `retry`", 2.0, False),
    ("sparse_steer", "retry", "own `retry`", None, False),
    ("dense_sample, recorded", "dense_sample", "own `dense_sample`", 1.1, False),
)


#: Runs whose peak of memory is measured, and those among them that are not ours.
MEASURED = ("retry", "generate", "dense_steer", "by hand", "dense_sample, recorded")
PEERS = ("generate", "by hand")
#: What is measured where time is short.
FEW = ("retry", "generate", "dense_steer", "by hand")


@dataclass(frozen=True)
class Cell:
    """One pair at one batch size.

    Attributes
    ----------
    name : str
        What the rows are called by.
    pair : Pair
    size : Size or None
        None for a shipped pair, which has prompts of its own.
    rows, tokens : int
    given : list of str
    """

    name: str
    pair: Pair
    size: Size | None
    rows: int
    tokens: int
    given: list[str] | None = None

    def prompts(self, n: int) -> list[str]:
        """Return `n` prompts."""
        if self.given is not None:
            return self.given[:n]
        assert self.size is not None
        return prompts_of(self.size, n)

    def runs(self, fixed: bool) -> dict[str, Run]:
        """Return the runs; each decodes `rows` rollouts and returns how many."""
        pair = endless(self.pair) if fixed else self.pair
        n = max(self.rows // ROLLOUTS, 1)
        prompts = self.prompts(n)
        each = [prompt for prompt in prompts for _ in range(ROLLOUTS)]
        keys = np.arange(1, n + 1, dtype=np.uint64)
        settings = Settings(max_new_tokens=self.tokens, batch_size=n * ROLLOUTS)
        numbers = np.arange(ROLLOUTS)
        seen = decode(pair, prompts, keys, numbers, "none", settings, record=True)
        learned = calibrate(seen, np.ones(seen.n_tokens.shape, bool), settings)

        def ours(intervention: str, **options) -> Run:
            def run() -> float:
                found = decode(
                    pair,
                    prompts,
                    keys,
                    numbers,
                    intervention,
                    settings,
                    calibration=learned,
                    **options,
                )
                return float(found.n_tokens.size)

            return run

        return {
            "retry": ours("retry"),
            "generate": lambda: generated(pair, each, settings),
            "dense_steer": ours("dense_steer"),
            "by hand": lambda: steered_by_hand(pair, each, settings),
            "sparse_steer": ours("sparse_steer"),
            "dense_sample": ours("dense_sample"),
            "dense_sample, recorded": ours("dense_sample", record=True),
        }


def beside(
    cell: Cell,
    fixed: bool,
    repeats: int,
    *,
    names: tuple[str, ...] = (),
    section: str = SECTION,
    aims: dict[str, float | None] | None = None,
) -> list[Row]:
    """Run everything in turn, or only `names`, and return the ratios.

    The aims are those of `BESIDE` unless given: of each of ours, where it has one.
    """
    runs = cell.runs(fixed)
    costs = interleave({name: runs[name] for name in names or runs}, repeats)
    how = f"{cell.tokens} tokens each" if fixed else f"to their ends, {cell.tokens} tokens at most"
    found = []
    for mine, other, peer, aim, higher in BESIDE:
        if mine not in costs or other not in costs:
            continue
        ours, theirs = np.array(costs[mine]), np.array(costs[other])
        if aims is not None:
            aim = aims.get(mine) if higher else None
        found.append(
            Row(
                section,
                f"`{mine}`, {cell.name}, {how}",
                peer,
                "peer / ours" if higher else "ours / peer",
                (theirs / ours if higher else ours / theirs).tolist(),
                aim=aim,
                higher=higher,
                seconds={"ours": float(np.median(ours)), "peer": float(np.median(theirs))},
                note="seconds per rollout",
            )
        )
    return found


def memory(cell: Cell, names: tuple[str, ...] = MEASURED) -> list[Row]:
    """Peak of memory beside weights, caches and one batch of logits in float32.

    No other models may lie on the device.
    """
    assert cell.size is not None
    runs, width = cell.runs(True), cell.pair.dtype.itemsize
    models = (cell.pair.specialist, cell.pair.ancestor)
    weights = sum(
        each.numel() * each.element_size() for model in models for each in model.parameters()
    )
    found = []
    for name in names:
        n = 1 if name in ("generate", "retry") else 2
        peak = peak_of(runs[name], cell.pair.device, weights)
        caches = n * cell.size.cache_bytes(cell.rows, cell.tokens + 12, width)
        needed = weights + caches + n * cell.rows * cell.size.vocabulary * 4
        found.append(
            Row(
                SECTION,
                f"peak memory of `{name}`, {cell.name}, {cell.tokens} tokens each",
                "weights of both models, caches and one batch of float32 logits",
                "ours / peer, MiB",
                [peak / needed],
                aim=1.2 if cell.pair.device.type == "cpu" and name not in PEERS else None,
                higher=False,
                seconds={"ours": peak / 2**20, "peer": needed / 2**20},
            )
        )
    return found


def peak_of(run: Run, device: torch.device, weights: int) -> float:
    """Return the most bytes that models, caches and logits took during a run.

    On a processor (Linux): the weights, and by how much the process grew beyond what it had.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return float(torch.cuda.max_memory_allocated(device))
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return float(weights + _status("VmHWM") - before)


def _status(name: str) -> int:
    """Return one number of bytes of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def mapped(
    cell: Cell, n: int = 24, *, section: str = SECTION, aim: float | None = None, repeats: int = 1
) -> list[Row]:
    """Seconds of the value map of a trace of `tokens` tokens: `n` continuations of each prefix."""
    pair, prompt = endless(cell.pair), cell.prompts(1)[0]
    settings = Settings(max_new_tokens=cell.tokens)
    numbers, key = np.arange(1), np.array([1], np.uint64)
    trace = decode(pair, [prompt], key, numbers, "none", settings).token_id[0, 0]
    if cell.size is None:
        pair = cell.pair

    def run() -> None:
        rnb.value_map(
            pair,
            prompt,
            trace,
            answer="",
            n=n,
            settings=settings,
            checker=lambda text, answer: False,
        )

    return [
        Row(
            section,
            f"`value_map` of {len(trace)} tokens, {n} continuations each, {cell.name}",
            "the clock",
            "seconds",
            [timed(run) for _ in range(1 + repeats)][1:],
            aim=aim,
            higher=False,
        )
    ]


def timed(run: Callable[[], object]) -> float:
    """Return the seconds of one run that ends with its results on the CPU."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def signals(cell: Cell, repeats: int) -> list[Row]:
    """Signals of a batch of logits beside one log-softmax of each model's."""
    shape = (cell.rows, cell.size.vocabulary)
    torch.manual_seed(0)
    logits = [6 * torch.randn(shape, device=cell.pair.device) for _ in range(2)]
    token = torch.zeros(cell.rows, dtype=torch.int64, device=cell.pair.device)

    def ours() -> float:
        rnb.signals_from_logits(logits[0], logits[1], token)["entropy"].cpu()
        return float(cell.rows)

    def theirs() -> float:
        for each in logits:
            (each / 0.6).log_softmax(-1)[:, 0].cpu()
        return float(cell.rows)

    costs = interleave({"ours": ours, "peer": theirs}, repeats)
    mine, other = np.array(costs["ours"]), np.array(costs["peer"])
    return [
        Row(
            SECTION,
            f"signals of {cell.rows} x {cell.size.vocabulary:,} logits, {cell.pair.device.type}",
            "`log_softmax` of both",
            "ours / peer",
            (mine / other).tolist(),
            higher=False,
            seconds={"ours": float(np.median(mine)), "peer": float(np.median(other))},
            note="seconds per token",
        )
    ]


def rows(quick: bool, repeats: int) -> tuple[list[Row], list[dict]]:
    """Return the rows of the CPU; nothing grows."""
    torch.set_num_threads(1)
    found: list[Row] = []
    for vocabulary, size in (TINY if quick else SIZES).items():
        for dtype, each in DTYPES.items():
            pair = make_pair(size, "cpu", each)
            name = f"{vocabulary} tokens of vocabulary, {dtype}, batch 8"
            cell = Cell(name, pair, size, 8, 6 if quick else 12)
            found += memory(cell)
            for fixed in (True, False):
                found += beside(cell, fixed, min(repeats, 3))
            found += signals(cell, repeats)
            if quick:
                found += mapped(cell, n=2)
    return found, []
