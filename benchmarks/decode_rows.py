"""Rows about decoding, beside `transformers.generate`, the matrix products alone, and retry.

Retry is the peer of the operators.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import size_rows
import torch
from generate_peer import sample, study_peer
from measure import Row, Run, compare, growth, interleave, shares
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode

import recover_nb as rnb
from recover_nb import tasks
from recover_nb.generation.config import attempts_of
from recover_nb.generation.decoding import Calibration, Settings, calibrate, decode, problem_key
from recover_nb.generation.decoding.cached_model import Forward
from recover_nb.generation.generate import trace_text

SECTION = "decoding"
#: Each problem has this many rollouts in a batch.
ROLLOUTS = 4
STUDY_OF = (
    "none",
    "retry",
    "temperature",
    "local_temperature",
    "sparse_steer",
    "sparse_steer_wrong",
    "sparse_steer_random",
    "dense_steer",
    "dense_sample",
)


@dataclass(frozen=True)
class Setting:
    """The neox pair, and problems it failed at.

    Attributes
    ----------
    pair : Pair
    problems : list of Problem
    keys : (P,) uint64
    calibration : Calibration
        From recorded rollouts of the same problems.
    settings : Settings
    """

    pair: rnb.decoding.Pair
    problems: list
    keys: np.ndarray
    calibration: Calibration
    settings: Settings

    @property
    def prompts(self) -> list[str]:
        """Prompts of the problems."""
        return [each.prompt for each in self.problems]

    def run(self, intervention: str, n_problems: int, *, work: str = "tokens", **changes) -> Run:
        """Return a run that decodes `ROLLOUTS` of each first problem and counts tokens or rollouts.

        ``record`` is an option of `decode`, the other changes are of `Settings`.
        """
        record = changes.pop("record", False)
        settings = replace(self.settings, batch_size=ROLLOUTS * n_problems, **changes)
        part = self.calibration.take(np.arange(n_problems))

        def decoded() -> float:
            found = decode(
                self.pair,
                self.prompts[:n_problems],
                self.keys[:n_problems],
                np.arange(ROLLOUTS),
                intervention,
                settings,
                calibration=part,
                record=record,
            )
            # A replayed prefix is not generated: the specialist evaluates one position a generated
            # token.
            return (
                float(found.forward_specialist.sum())
                if work == "tokens"
                else float(found.n_tokens.size)
            )

        return decoded


def setting(n_problems: int, tokens: int) -> Setting:
    """Return `n_problems` of the dev split that the pair failed in one of `ROLLOUTS` rollouts."""
    pair = rnb.load_lineage("neox", "sft")
    settings = Settings(max_new_tokens=tokens)
    problems = tasks.problems("program", "dev", 3 * n_problems)
    keys = np.array(
        [problem_key("bench", "", p.task, p.problem_id) for p in problems], dtype=np.uint64
    )
    prompts = [each.prompt for each in problems]
    seen = decode(pair, prompts, keys, np.arange(ROLLOUTS), "none", settings, record=True)
    wrong = [
        [
            not tasks.is_correct(p, trace_text(pair, row[:n].tolist()))
            for row, n in zip(rows, lengths, strict=True)
        ]
        for p, rows, lengths in zip(problems, seen.token_id, seen.n_tokens, strict=True)
    ]
    failed = np.array(wrong)
    chosen = np.flatnonzero(failed.any(axis=1))[:n_problems]
    if len(chosen) < n_problems:
        raise RuntimeError(
            f"only {len(chosen)} of {len(problems)} problems failed; {n_problems} are needed"
        )
    learned = calibrate(seen, failed, settings).take(chosen)
    return Setting(pair, [problems[i] for i in chosen], keys[chosen], learned, settings)


class Products(TorchDispatchMode):
    """Note the shapes of every matrix product that runs under this mode."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[torch.Size, torch.Size, bool]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Note, then run."""
        name = function.overloadpacket.__name__
        if name == "linear":
            self._note(args[0].shape, args[1].T.shape)
        elif name == "_linear_pointwise":
            self._note(args[0].shape, args[1].shape, by_onednn=True)
        elif name in ("mm", "bmm", "matmul"):
            self._note(args[0].shape, args[1].shape)
        elif name == "addmm":
            self._note(args[1].shape, args[2].shape)
        elif "scaled_dot_product" in name:
            query, key, value = (each.shape for each in args[:3])
            self._note(query, torch.Size([*key[:-2], key[-1], key[-2]]))
            self._note(torch.Size([*query[:-1], key[-2]]), value)
        return function(*args, **(kwargs or {}))

    def _note(self, left: torch.Size, right: torch.Size, *, by_onednn: bool = False) -> None:
        self.shapes.append((left, right, by_onednn))

    def again(self) -> Callable[[], None]:
        """Return a run of the same products of random numbers, in the same order, by the same."""
        known = {shape: torch.randn(shape) for each in self.shapes for shape in each[:2]}
        given = [(known[left], known[right], onednn) for left, right, onednn in self.shapes]

        def run() -> None:
            with torch.inference_mode():
                for left, right, by_onednn in given:
                    if by_onednn:
                        torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
                    else:
                        torch.matmul(left, right)

        return run


def limit_run(run: Run) -> tuple[Run, int]:
    """Return a run of only the matrix products of `run`, and how many they are.

    It returns the same count of work as `run`.
    """
    with Products() as products:
        work = run()
    alone = products.again()

    def limited() -> float | None:
        alone()
        return work

    return limited, len(products.shapes)


def spent(run: Run) -> dict[str, float]:
    """Return shares of the time of one run by what it goes into.

    The cost of torch's profiler is in all of them.
    """
    forward = Forward.__call__

    def marked(*args, **kwargs) -> torch.Tensor:
        with record_function("models"):
            return forward(*args, **kwargs)

    with (
        mock.patch.object(Forward, "__call__", marked),
        profile(activities=[ProfilerActivity.CPU]) as seen,
    ):
        begin = time.perf_counter()
        run()
        wall = 1e6 * (time.perf_counter() - begin)
    found = {event.key: event for event in seen.key_averages()}
    models = found["models"]
    linear, attention = (
        sum(event.self_cpu_time_total for key, event in found.items() if key.startswith(names))
        for names in (
            ("aten::addmm", "aten::mm", "aten::linear", "mkldnn::"),
            ("aten::scaled_dot", "aten::_scaled_dot", "aten::bmm"),
        )
    )
    others = models.cpu_time_total - models.self_cpu_time_total - linear - attention
    parts = {
        "linear layers": linear,
        "products of attention": attention,
        "other tensor operations of the models": others,
        "Python of the models": models.self_cpu_time_total,
        "`recover_nb` itself": wall - models.cpu_time_total,
    }
    return {what: float(seconds / wall) for what, seconds in parts.items()}


def against_generate(it: Setting, n_problems: int, repeats: int) -> Row:
    """Compare sampling, with the same model, prompts, batch and rule of stopping."""
    rows = ROLLOUTS * n_problems
    prompts = [prompt for prompt in it.prompts[:n_problems] for _ in range(ROLLOUTS)]
    return compare(
        SECTION,
        f"`retry`, batch {rows}, {it.settings.max_new_tokens} tokens",
        it.run("retry", n_problems),
        ("`transformers.generate`, sampling", lambda: sample(it.pair, prompts, it.settings)),
        repeats,
        aim=1.5,
        note="seconds per generated token",
    )


def against_products(it: Setting, sizes: list[int], repeats: int) -> list[Row]:
    """Share of the speed that the matrix products alone reach: the best batch, then every batch."""
    rows, runs = [], [it.run("retry", n_problems) for n_problems in sizes]
    for n_problems, run in zip(sizes, runs, strict=True):
        limit, count = limit_run(run)
        before = os.getloadavg()[0]
        costs = interleave({"ours": run, "limit": limit}, repeats)
        share = np.array(costs["limit"]) / np.array(costs["ours"])
        seconds = {
            "ours": float(np.median(costs["ours"])),
            "peer": float(np.median(costs["limit"])),
        }
        rows.append(
            Row(
                SECTION,
                f"`retry`, batch {ROLLOUTS * n_problems}: share of the matmul limit",
                "its matrix products alone",
                "limit / ours",
                share.tolist(),
                seconds=seconds,
                load=[before, os.getloadavg()[0]],
                note=f"seconds per generated token; {count} products",
            )
        )
    best = min(rows, key=lambda row: row.seconds["ours"])
    best.aim = 0.65
    best.note += "; the fastest batch"
    best.profile = spent(runs[rows.index(best)])
    return rows


def operators(it: Setting, n_problems: int, repeats: int) -> list[Row]:
    """Measure what operators and recording cost beside retry."""

    def beside(
        name: str,
        peer: str,
        aim: float | None,
        *,
        note: str = "seconds per generated token",
        **options,
    ) -> Row:
        work = options.pop("work", "tokens")
        shown = f"`{name}`" + "".join(f", {key}={value}" for key, value in options.items())
        return compare(
            SECTION,
            shown,
            it.run(name, n_problems, work=work, **options),
            (f"own `{peer}`", it.run(peer, n_problems, work=work)),
            repeats,
            aim=aim,
            higher=False,
            note=note,
        )

    def replayed() -> list[Row]:
        ours, peer = (
            it.run("sparse_steer", n_problems, anchoring="replay"),
            it.run("retry", n_problems),
        )
        lengths = "{:.1f} and {:.1f} tokens".format(
            *(run() / (ROLLOUTS * n_problems) for run in (ours, peer))
        )
        note = (
            f"seconds per rollout, in which {lengths} are generated: a failed trace that goes on is"
            " longer"
        )
        row = beside("sparse_steer", "retry", None, note=note, work="rollout", anchoring="replay")
        row.profile = spent(ours)
        row.name += ", each rollout"
        return [beside("sparse_steer", "retry", 1.3, anchoring="replay"), row]

    recorded = "signals alone: both models run in both"
    return [
        beside("dense_steer", "retry", 2.1),
        beside("sparse_steer", "retry", 2.1),
        *replayed(),
        beside("dense_sample", "dense_sample", 1.15, record=True, note=recorded),
        beside("none", "none", None, record=True, note="signals and the ancestor's passes"),
    ]


def at_both_lengths(n_problems: int, tokens: int, repeats: int) -> list[Row]:
    """Both shipped families beside `generate`: rollouts of one length, and to their ends."""
    found = []
    for family in ("qwen3", "neox"):
        pair = rnb.load_lineage(family, "sft")
        prompts = [each.prompt for each in tasks.problems("program", "dev", n_problems)]
        name = f"shipped {family}, batch {ROLLOUTS * n_problems}"
        cell = size_rows.Cell(name, pair, None, ROLLOUTS * n_problems, tokens, prompts)
        for fixed in (True, False):
            found += size_rows.beside(
                cell, fixed, repeats, section=SECTION, aims={"retry": 2.0 if fixed else None}
            )
    return found


def maps(length: int, n: int, repeats: int) -> list[Row]:
    """Seconds of the value map of a trace of the shipped models."""
    found = []
    for family in ("qwen3", "neox"):
        pair = rnb.load_lineage(family, "sft")
        prompts = [each.prompt for each in tasks.problems("program", "dev", 1)]
        cell = size_rows.Cell(f"shipped {family}", pair, None, 1, length, prompts)
        found += size_rows.mapped(cell, n, section=SECTION, aim=2.0, repeats=repeats)
    return found


def whole_study(
    it: Setting, n_problems: int, rollouts: int, attempts: int, repeats: int
) -> list[Row]:
    """All interventions on a slice, beside one call of generate an intervention."""
    problems = it.problems[:n_problems]
    settings = replace(it.settings, batch_size=256)
    counts = {name: attempts_of(name, rollouts, attempts) for name in STUDY_OF}
    of = {
        "pair": it.pair,
        "problems": problems,
        "calibration": it.calibration.take(np.arange(n_problems)),
    }

    def ours() -> None:
        rnb.generate(
            it.pair,
            problems,
            interventions=STUDY_OF,
            n_rollouts=rollouts,
            n_attempts=attempts,
            settings=settings,
            unit=("bench", ""),
        )

    def row(name: str, together: bool) -> Row:
        def peer() -> None:
            study_peer(**of, counts=counts, settings=settings, together=together)

        sizes = f"{len(STUDY_OF)} interventions, {rollouts} rollouts, {attempts} attempts"
        shown = f"study of {n_problems} problems, {sizes}"
        note = (
            "the peer is given the calibration and stores nothing; `calculator` is left out of both"
        )
        # By function: a trace of every tensor operation of a whole study takes gigabytes.
        parts = {"passes of the models while decoding": ["_feed", "_read_contexts"]}
        told = shares(ours, parts, rest="`recover_nb` itself") if together else {}
        return compare(
            SECTION,
            shown,
            ours,
            (name, peer),
            repeats,
            warm=False,
            aim=3.0,
            note=note,
            profile=told,
        )

    return [
        row(
            "`transformers.generate` with a logits processor, one intervention and one problem at a"
            " time",
            False,
        ),
        row("the same, all problems of an intervention in batches of 256", True),
    ]


def rows(quick: bool, repeats: int) -> tuple[list[Row], list[dict]]:
    """Return all rows of this section and how cost grows."""
    torch.set_num_threads(1)
    most, tokens = (4, 12) if quick else (128, 48)
    it = setting(most, tokens)
    n = most if quick else 64
    sizes = [2, 4] if quick else [8, 16, 32, 64, 128]
    found = [
        against_generate(it, n, repeats),
        *against_products(it, sizes, repeats),
        *operators(it, n, repeats),
        *at_both_lengths(n, tokens, repeats),
        *maps(6 if quick else 40, 2 if quick else 24, repeats),
    ]
    # Enough rows to fill batches, as any study has: 12 problems fill half of one.
    found += whole_study(it, *((2, 2, 2) if quick else (48, 20, 10)), 1 if quick else 3)
    grown = []
    for name in ("retry", "sparse_steer"):
        runs = {ROLLOUTS * size: _no_work(it.run(name, size)) for size in sizes}
        grown.append(growth(SECTION, f"`{name}`", "rows in a batch", runs, repeats))
    lengths = [6, 12] if quick else [12, 24, 48]
    runs = {length: _no_work(it.run("dense_steer", n, max_new_tokens=length)) for length in lengths}
    return found, [*grown, growth(SECTION, "`dense_steer`", "most tokens", runs, repeats)]


def _no_work(run: Run) -> Run:
    def measured() -> None:
        run()

    return measured
