"""How many threads torch may use while a pair decodes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from recover_nb.generation.decoding.pair import Pair

#: Models below this many parameters run on one thread. Their matrices are too small to share out,
#: and where another program holds a core, threads that wait for each other make them tens of times
#: slower.
ONE_THREAD_BELOW = 20_000_000


@contextmanager
def threads_for(pair: Pair) -> Iterator[None]:
    """Hold torch to one thread while a tiny pair decodes on the CPU."""
    before = torch.get_num_threads()
    tiny = sum(p.numel() for p in pair.specialist.parameters()) < ONE_THREAD_BELOW
    if tiny and pair.device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
