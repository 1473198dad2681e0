"""How much memory is free: what is read or loaded is held against it before it is taken."""

import resource
from pathlib import Path

from recover_nb.core.errors import InputError

#: What may always be taken, in bytes, however little seems to be free.
ALWAYS = 64 * 2**20
#: Of the free memory, what one thing that is read may take: most work holds it twice.
SHARE = 2
#: What it may take where the free memory cannot be told, in bytes.
UNKNOWN = 2**32


def free_memory() -> int | None:
    """Return the memory that this process may still take, in bytes; None if it cannot be told."""
    limits = [_free_on_machine(), _free_in_container(), _free_in_process()]
    return min((each for each in limits if each is not None), default=None)


def budget() -> int:
    """Return what one thing that is read may take, in bytes."""
    free = free_memory()
    return UNKNOWN if free is None else max(free // SHARE, ALWAYS)


def check_fits(needed: int, what: str, instead: str) -> None:
    """Refuse what needs more than its share of the free memory, before any of it is taken.

    Parameters
    ----------
    needed : int
        Bytes.
    what, instead : str
        Begin and end of the sentence: what needs it, and what to do instead.

    Raises
    ------
    InputError
        Naming what it needs and what there is.
    """
    if needed > ALWAYS and needed > (allowed := budget()):
        raise InputError(
            f"{what} needs {shown(needed)} of memory; allowed: up to {shown(allowed)}, half of what"
            f" is free; {instead}"
        )


def shown(n_bytes: int) -> str:
    """Return a number of bytes for a sentence."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB")):
        if n_bytes >= 10**power:
            n_units = n_bytes / 10**power
            return f"{n_units:.1f} {unit}" if n_units < 1e6 else f"{n_units:.0e} {unit}"
    return f"{n_bytes} bytes"


def _free_on_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")
        )
    except (OSError, StopIteration, ValueError):
        return None


def _free_in_container() -> int | None:
    """Read the limit of the control group, which /proc/meminfo does not know (Binder, Docker)."""
    try:
        limit, used = (
            Path("/sys/fs/cgroup", name).read_text().strip()
            for name in ("memory.max", "memory.current")
        )
        return None if limit == "max" else max(int(limit) - int(used), 0)
    except (OSError, ValueError):
        return None


def _free_in_process() -> int | None:
    """Read what `ulimit -v` leaves."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return limit
    return max(limit - pages * resource.getpagesize(), 0)
