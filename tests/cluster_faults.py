"""What goes wrong on workers, to be run there with ``client.run``.

A restarted worker is a sound one again.
"""

import os
import signal
import time
from pathlib import Path

from recover_nb.generation import distributed, staging
from recover_nb.generation import run as runner

run_block, write = runner.run_block, staging.Staging.write


def die_in_a_block(trace):
    """Kill the worker (SIGKILL) in the middle of its next block, and leave a trace of it."""

    def run(*arguments, progress, **keywords):
        def stop(n):
            Path(trace).write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)

        return run_block(*arguments, progress=stop, **keywords)

    runner.run_block = run


def fill_disk(done=1):
    """Let every write meet a full disk, once `done` blocks are there (made by another worker)."""

    def full(self, block, arrays):
        for _ in range(600):
            if len(list(self.folder.glob("block_*.npz"))) >= done:
                break
            time.sleep(0.05)
        raise OSError(28, "No space left on device", f"{self.folder}/{staging.block_file(block)}")

    staging.Staging.write = full


def other_version():
    """Pretend that this worker has another torch."""
    versions = distributed.package_versions()
    distributed.package_versions = lambda: {**versions, "torch": "0.1"}
    distributed._check_packages.cache_clear()


def mend():
    """Undo what the others did in this process."""
    staging.Staging.write = write
    runner.run_block = run_block
    from recover_nb.generation.provenance import package_versions

    distributed.package_versions = package_versions
    distributed._check_packages.cache_clear()
