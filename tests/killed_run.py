"""Run a small study whose process is killed (SIGKILL) and gone on with, repeatedly, until done.

``python killed_run.py LAB OUT SEED`` prints how many times it was killed. Each attempt is a fork
that kills itself at a random one of the moments that matter: in the middle of decoding, before and
after each rename, between two regions of the store.

``python killed_run.py LAB FOLDER SEED KILLS`` kills so many times from outside, at times drawn
uniformly over the length of a run, and writes as many studies (``0.zarr``, ``1.zarr``, ...) as get
finished meanwhile, and one more.
"""

import os
import signal
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch

from recover_nb.core import sealed
from recover_nb.generation import run as runner
from recover_nb.generation import staging
from recover_nb.generation.config import StudyConfig
from recover_nb.generation.lineage import load_lineage
from recover_nb.io import store

#: Most moments an attempt may live through; large enough for every attempt to make some progress.
LIFE = 9


def config():
    return StudyConfig(
        families=["qwen3"],
        methods=["sft", "grpo"],
        tasks=["arithmetic"],
        n_problems=3,
        n_rollouts=3,
        n_attempts=2,
        interventions=["sparse_steer", "dense_steer"],
        settings={"max_new_tokens": 24},
        value_problems=1,
        value_n=2,
        block_size=2,
    )


class Fate:
    """Kills the process at the `left`-th moment."""

    def __init__(self, left):
        self.left = left

    def moment(self):
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function):
        def watched(*arguments, **keywords):
            self.moment()
            result = function(*arguments, **keywords)
            self.moment()
            return result

        return watched


def attempt(lab, out, fate):
    # Not os.replace itself: zarr renames every chunk, which would make hundreds of moments.
    sealed.os = types.SimpleNamespace(replace=fate.around(os.replace), fsync=os.fsync)
    staging.move_new = fate.around(staging.move_new)
    staging.Staging.write = fate.around(staging.Staging.write)
    store.write_tokens = fate.around(store.write_tokens)
    store.write_folder = fate.around(store.write_folder)
    run_block = runner.run_block

    def watched(*arguments, progress, **keywords):
        return run_block(*arguments, progress=lambda n: (fate.moment(), progress(n)), **keywords)

    runner.run_block = watched
    runner.run_study(config(), out, resume=True, progress=False, lab=lab, device="cpu")


def main(lab, out, seed):
    torch.set_num_threads(1)
    # What a first load imports takes longer than all the rest; the forks inherit it.
    load_lineage("qwen3", "sft", root=lab, device="cpu")
    rng = np.random.default_rng(int(seed))
    kills = 0
    while not Path(out).exists() or store.partial_folder(out).exists():
        left = int(rng.integers(1, LIFE)) + 4 * kills
        child = os.fork()
        if child == 0:
            attempt(lab, out, Fate(left))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, status
            kills += 1
        else:
            assert status == 0, status
    print(kills)


def run(lab, out):
    """Run the study in a fork, and return its process."""
    child = os.fork()
    if child == 0:
        runner.run_study(config(), out, resume=True, progress=False, lab=lab, device="cpu")
        os._exit(0)
    return child


def ended(child, seconds):
    """Wait that long for a process; return whether it ended, and whether by SIGKILL."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert status in (0, signal.SIGKILL), status
            return True
        time.sleep(0.001)
    return False


def many(lab, folder, seed, kills):
    torch.set_num_threads(1)
    load_lineage("qwen3", "sft", root=lab, device="cpu")
    rng, folder, done, killed = np.random.default_rng(int(seed)), Path(folder), 0, 0
    begin = time.monotonic()
    assert ended(run(lab, folder / "0.zarr"), 300)
    length = time.monotonic() - begin
    while killed < int(kills):
        child = run(lab, folder / f"{done + 1}.zarr")
        if ended(child, rng.uniform(0, length)):
            done += 1
            continue
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert ended(run(lab, folder / f"{done + 1}.zarr"), 300)
    print(killed, round(length, 2))


if __name__ == "__main__":
    (main if len(sys.argv) == 4 else many)(*sys.argv[1:])
