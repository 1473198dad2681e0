"""What `recover-nb bench` runs: ratios against named peers, measured side by side in one run.

Absolute times depend on the machine and its other users; ratios of interleaved repeats depend on them less.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers
from tqdm import tqdm

import recover_nb as rnb
from recover_nb import tasks
from recover_nb.decoding import Settings, decode, problem_key

ROWS, TOKENS, REPEATS = 256, 48, 5


def setting():
    """Return the neox pair and `ROWS` prompts with their keys."""
    pair = rnb.load_lineage("neox", "sft")
    problems = tasks.problems("program", "dev", ROWS // 4)
    keys = np.array([problem_key("bench", "", p.task, p.problem_id) for p in problems], dtype=np.uint64)
    return pair, [p.prompt for p in problems], keys


def interleave(runs: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
    """Return tokens a second of each run, repeated in turn after one warm-up."""
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in tqdm(range(REPEATS + 1), desc="repeats", file=sys.stderr):
        for name, run in runs.items():
            start = time.perf_counter()
            tokens = run()
            if repeat:
                speeds[name].append(tokens / (time.perf_counter() - start))
    return speeds


def decoding() -> dict:
    """Compare sampling with `decode` and `transformers.generate`: same model, prompts, batch, rule of stopping."""
    pair, prompts, keys = setting()
    settings = Settings(max_new_tokens=TOKENS, batch_size=ROWS)
    repeated = [prompt for prompt in prompts for _ in range(4)]

    def ours() -> int:
        return int(decode(pair, prompts, keys, np.arange(4), "retry", settings).n_tokens.sum())

    def peer() -> int:
        inputs = pair.tokenizer(repeated, return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.inference_mode():
            out = pair.specialist.generate(
                **inputs, do_sample=True, temperature=0.6, top_k=0, max_new_tokens=TOKENS, min_new_tokens=1
            )
        trace = out[:, inputs["input_ids"].shape[1] :]
        ended = (trace == pair.eos_ids[0]).int().cumsum(1)
        # The end mark itself is generated and counts, what pads after it does not.
        return int(((ended == 0) | ((ended == 1) & (trace == pair.eos_ids[0]))).sum())

    speeds = interleave({"decode": ours, "transformers.generate": peer})
    ratios = np.array(speeds["decode"]) / np.array(speeds["transformers.generate"])
    return {
        "tokens_per_second": {name: float(np.median(each)) for name, each in speeds.items()},
        "ratio": {"median": float(np.median(ratios)), "low": float(ratios.min()), "high": float(ratios.max())},
    }


def flips() -> dict:
    """Count rows whose tokens differ between batch sizes, with logits on the grid and as they are."""
    pair, prompts, keys = setting()
    found = {}
    for grid in (Settings().logit_grid, 0.0):
        traces = [
            decode(
                pair, prompts, keys, np.arange(20), "retry",
                Settings(max_new_tokens=TOKENS, batch_size=size, logit_grid=grid),
            )
            for size in (256, 37)
        ]  # fmt: skip
        differ = (traces[0].token_id != traces[1].token_id).any(-1)
        found[f"grid {grid:g}"] = {"rows_differ": int(differ.sum()), "tokens": int(traces[0].n_tokens.sum())}
    return found


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "setting": {"rows": ROWS, "tokens": TOKENS, "repeats": REPEATS},
        "retry_against_generate": decoding(),
        "batch_size_flips": flips(),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        print(name)
        for key, value in values.items():
            print(f"  {key}: {value}")


if __name__ == "__main__":
    main()
