"""How a row of the benchmark is measured: in turn with its peer, several times, told as a ratio.

Absolute times depend on the machine and its other users; ratios of interleaved repeats depend on
them less. Memory is the peak of a process of its own.
"""

import cProfile
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from tqdm import tqdm

#: A run returns how much it did (tokens, rows); None counts as one.
Run = Callable[[], float | None]


@dataclass
class Row:
    """One line of the table.

    Attributes
    ----------
    section, name, peer : str
        What was measured, and what beside.
    figure : str
        What `values` are, such as "peer / ours".
    values : list of float
        One for each repeat.
    aim : float or None
        What the median should reach; None where there is nothing to reach.
    higher : bool
        Higher is better: the median must be at least `aim`, else at most.
    seconds : dict of str to float
        Median seconds of each run, for a unit of its work.
    load : list of float
        Load average before and after.
    note : str
    profile : dict of str to float
        Shares of our time by what it goes into, where `shares` or the like measured them.
    """

    section: str
    name: str
    peer: str
    figure: str
    values: list[float]
    aim: float | None = None
    higher: bool = True
    seconds: dict[str, float] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)
    note: str = ""
    profile: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """Return plain data with median, least, most and whether the aim is met."""
        values = np.asarray(self.values)
        middle = float(np.median(values))
        met = (
            None
            if self.aim is None
            else bool(middle >= self.aim if self.higher else middle <= self.aim)
        )
        spread = {
            "median": middle,
            "low": float(values.min()),
            "high": float(values.max()),
            "n": len(values),
        }
        return asdict(self) | spread | {"met": met}


def interleave(runs: dict[str, Run], repeats: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Return seconds for a unit of work of each run, repeated in turn.

    If `warm`, one round for practice comes first and is not counted.
    """
    costs: dict[str, list[float]] = {name: [] for name in runs}
    rounds = range(repeats + warm)
    for number in tqdm(rounds, desc=" | ".join(runs), file=sys.stderr, leave=False):
        for name, run in runs.items():
            begin = time.perf_counter()
            work = run()
            seconds = time.perf_counter() - begin
            if number >= warm:
                costs[name].append(seconds / (1.0 if work is None else work))
    return costs


def compare(
    section: str,
    name: str,
    ours: Run,
    peer: tuple[str, Run],
    repeats: int,
    *,
    scale: float = 1.0,
    warm: bool = True,
    **fields,
) -> Row:
    """Measure ours and a peer in turn.

    The figure is peer / ours, how many times faster ours is; with ``higher=False`` it is ours /
    peer, what ours costs.

    Parameters
    ----------
    section, name : str
    ours : callable
    peer : (name, callable)
    repeats : int
    scale : float
        Times the whole work that one run of the peer is part of: its seconds are multiplied by it.
    warm : bool
        Whether a first round is left out.
    **fields
        Of `Row`.
    """
    before = os.getloadavg()[0]
    costs = interleave({"ours": ours, "peer": peer[1]}, repeats, warm=warm)
    mine, other = np.array(costs["ours"]), scale * np.array(costs["peer"])
    higher = fields.get("higher", True)
    return Row(
        section,
        name,
        peer[0],
        "peer / ours" if higher else "ours / peer",
        (other / mine if higher else mine / other).tolist(),
        seconds={"ours": float(np.median(mine)), "peer": float(np.median(other))},
        load=[before, os.getloadavg()[0]],
        **fields,
    )


def shares(
    run: Run, parts: dict[str, Sequence[str]], *, rest: str = "the rest"
) -> dict[str, float]:
    """Return the share of a run's time spent in functions, with all that they call, by cProfile.

    Parameters
    ----------
    run : callable
    parts : dict of str to sequence of str
        What to name a share, and names of the functions it is made of, as `pstats` has them. None
        of them may call another of them, and one name belongs to one part.
    rest : str
        Name of what is left.
    """
    profiler = cProfile.Profile()
    profiler.runcall(run)
    found = pstats.Stats(profiler)
    spent = {what: 0.0 for what in parts}
    for (_, _, function), (_, _, _, seconds, _) in found.stats.items():
        for what, functions in parts.items():
            spent[what] += seconds * (function in functions)
    told = {what: seconds / found.total_tt for what, seconds in spent.items()}
    return told | {rest: 1.0 - sum(told.values())}


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent b of seconds ~ size ** b by least squares on logarithms.

    An exponent of 1 is proportional.
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def growth(section: str, name: str, over: str, runs: dict[int, Run], repeats: int) -> dict:
    """Measure how seconds grow over sizes, each size in turn; runs return None.

    Returns
    -------
    dict
        ``seconds``: median of each size; ``slope``: exponent over all sizes; ``last``: from the
        last but one to the last, where fixed costs matter least.
    """
    costs = interleave({str(size): run for size, run in runs.items()}, repeats)
    sizes, seconds = list(runs), [float(np.median(costs[str(size)])) for size in runs]
    return {
        "section": section,
        "name": name,
        "over": over,
        "sizes": sizes,
        "seconds": seconds,
        "slope": slope(sizes, seconds),
        "last": slope(sizes[-2:], seconds[-2:]),
    }


#: Put behind the code of a process, so that it tells its peak of memory in MiB. Linux counts what
#: the process was forked from in ru_maxrss, and tells the process's own in VmHWM.
_PEAK = """
import resource as _resource, sys as _sys
try:
    with open("/proc/self/status") as _status:
        _lines = [_line for _line in _status if _line.startswith("VmHWM")]
        _peak = int(_lines[0].split()[1]) / 2**10
except (OSError, StopIteration):
    _unit = 2**20 if _sys.platform == "darwin" else 2**10
    _peak = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss / _unit
print("peak", _peak, file=_sys.stderr)
"""


def in_process(code: str) -> tuple[float, str]:
    """Run code in a fresh Python; return its peak of memory (MiB) and what it printed."""
    done = subprocess.run([sys.executable, "-c", code + _PEAK], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(done.stderr.rsplit("peak ", 1)[1]), done.stdout


def peak(section: str, name: str, code: str, peer: tuple[str, str], **fields) -> Row:
    """Compare the peak memory of two processes: the figure is ours / peer, `seconds` holds MiB."""
    before = os.getloadavg()[0]
    ours, other = in_process(code)[0], in_process(peer[1])[0]
    return Row(
        section,
        name,
        peer[0],
        "ours / peer, MiB",
        [ours / other],
        seconds={"ours": ours, "peer": other},
        load=[before, os.getloadavg()[0]],
        higher=False,
        **fields,
    )
