"""How long a reader waits for a widget in JupyterLab, and how much memory a kernel takes.

    python benchmarks/widgets.py [--json] [--parts latency tour memory] [--views RoutingExplorer
    ...] [--repeats 20]

A delay is the time from an event in the page (a key, a click, a change of a list) to the frame that
shows its last effect in the view, outside the control itself. It holds the way to the kernel and
back, the work there, and drawing. Times depend on the machine and its other users: the load average
is reported beside them. Needs the extra ``test`` and a Chromium.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]

from chromium import chromium  # noqa: E402
from lab_page import ACT, RUN_ALL, LabNotebook, lab  # noqa: E402
from lab_server import Server, jupyter_server  # noqa: E402
from shipped_notebooks import NOTEBOOKS, TOUR  # noqa: E402
from widget_page import page_of, write  # noqa: E402

#: Milliseconds: aims of a control (on the bundled study, and on a large one) and of the cursor, at
#: the 95th percentile; and seconds to the tour's first chart.
AIMS = {"control": 150, "control of 20,000 problems": 300, "cursor": 50, "tour": 6}
LARGE = "control of 20,000 problems"
#: Milliseconds without a change after which an effect is over, and after which there was none.
QUIET, NEVER = 300, 8_000

PARTS = ("latency", "tour", "memory")

#: A view and, behind a comma, what it is of; and the source of its study where that is not the
#: bundled one.
LARGE_VIEW = "RoutingExplorer, 20,000 problems"
STUDY = "ds = rnb.load_study()"
STUDIES = {
    LARGE_VIEW: (
        """from itertools import product
cells = tuple(product(("qwen3", "neox"), ("sft", "grpo"), ("arithmetic", "program")))
ds = rnb.make_study(effect="tied", n_problems=2_525, cells=cells, seed=0)
assert ds["features"].notnull().all("feature").sum() >= 20_000"""
    ),
}

WATCH = """({ css, own, quiet, never }) => {
    const view = document.querySelector(css);
    const state = { began: 0, first: 0, last: 0, own: null };
    const begin = (event) => {
        if (state.began) return;
        state.began = event.timeStamp;
        const control = event.target.closest(".jupyter-widgets");
        state.own = own ? null : control.classList.contains("widget-box") ? event.target : control;
    };
    // Not where the mouse happens to be: a page that moves under it sends events as well.
    const events = ["keydown", "click", "change"];
    events.forEach((name) => document.addEventListener(name, begin, true));
    const watcher = new MutationObserver((records) => {
        const foreign = ({ target }) => !state.own || !state.own.contains(target);
        if (!state.began || !records.some(foreign)) return;
        requestAnimationFrame((now) => {
            state.first = state.first || performance.now();
            state.last = performance.now();
        });
    });
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    watcher.observe(view, all);
    window.delay = new Promise((done) => {
        const armed = performance.now();
        const timer = setInterval(() => {
            const now = performance.now();
            if (state.last ? now - state.last < quiet : now - armed < never) return;
            clearInterval(timer);
            watcher.disconnect();
            events.forEach((name) => document.removeEventListener(name, begin, true));
            done(state.last ? [state.first - state.began, state.last - state.began] : null);
        }, 20);
    });
}"""

CPU = "__import__('time').process_time()"

#: Seconds from running all cells to the frame with the first chart.
FIRST_CHART = """() => new Promise((done) => {
    const began = performance.now();
    const look = () => document.querySelector(".vega-embed svg.marks g.role-mark")
        ? requestAnimationFrame(() => done((performance.now() - began) / 1000))
        : requestAnimationFrame(look);
    look();
})"""


@dataclass(frozen=True)
class Act:
    """Something that a reader does over and over.

    Attributes
    ----------
    name : str
    do : callable (view, repeat) -> None
        The view is a playwright locator.
    own : bool
        The effect is inside the control itself (a table that sorts).
    before : str
        Python expression that the kernel evaluates first, outside of the time: nothing may come
        from a cache.
    kind : str
        A key of `AIMS`.
    """

    name: str
    do: Callable[[Any, int], None]
    own: bool = False
    before: str = "None"
    kind: str = "control"


def choose(label: str, options: list[str]) -> Callable[[Any, int], None]:
    """Choose in a list, each option in turn."""
    return lambda view, i: view.get_by_label(label, exact=True).select_option(
        options[i % len(options)]
    )


def press(locate: Callable[[Any], Any], key: str, back: str = "") -> Callable[[Any, int], None]:
    """Press a key on something that has the focus; the other key every second time."""

    def do(view: Any, i: int) -> None:
        # The focus itself is no event of interest.
        locate(view).evaluate("(it) => it.focus()")
        view.page.keyboard.press(back if back and i % 2 else key)

    return do


def slide(n: int) -> Callable[[Any, int], None]:
    """Move the n-th slider of a view a step by a key."""
    return press(lambda view: view.locator(".noUi-handle").nth(n), "ArrowRight")


def number(label: str) -> Callable[[Any, int], None]:
    """Count a field of numbers up by a key."""
    return press(lambda view: view.get_by_label(label, exact=True), "ArrowUp")


def button(name: str) -> Callable[[Any, int], None]:
    """Click a button."""
    return lambda view, i: view.get_by_role("button", name=name).click()


def buttons(names: list[str]) -> Callable[[Any, int], None]:
    """Click buttons in turn."""
    return lambda view, i: view.get_by_role("button", name=names[i % len(names)]).click()


def walk(view: Any, i: int) -> None:
    """Move the cursor of a trace by a key, to and fro."""
    view.locator(".recover-nb-tokens .token[tabindex='0']").first.evaluate(
        "(it) => it.focus({ focusVisible: true })"
    )
    view.page.keyboard.press(("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft")[i % 4])


def row(view: Any, i: int) -> None:
    """Choose a row of a table by mouse."""
    view.get_by_role("grid").locator("tbody tr").nth(1 + i % 20).locator("td").nth(2).click()


def pick(view: Any, i: int) -> None:
    """Choose another problem of a list by a key."""
    view.locator(".recover-nb-picks [role=option][tabindex='0']").evaluate(
        "(it) => it.focus({ preventScroll: true })"
    )
    view.page.keyboard.press("ArrowDown")


def chip(view: Any, i: int) -> None:
    """Press a filter, or let it go."""
    view.get_by_role("group", name="regime").get_by_role("button").nth(i // 2 % 3).click()


def heading(view: Any, i: int) -> None:
    """Sort a table by mouse, by columns in turn."""
    view.get_by_role("grid").get_by_role("button").nth(4 + i % 4).click()


def cell(view: Any, i: int) -> None:
    """Choose a cell of the confusion matrix in the table beside it, by a key."""
    view.get_by_label("cells of the confusion matrix").locator("tbody tr").nth(i % 9).evaluate(
        "(it) => it.focus()"
    )
    view.page.keyboard.press("Enter")


def cluster(view: Any, i: int) -> None:
    """Brush a cluster by a key in the table of clusters."""
    view.get_by_label("clusters", exact=True).locator("tbody tr").nth(i % 3).evaluate(
        "(it) => it.focus()"
    )
    view.page.keyboard.press("Enter")


def rollout(view: Any, i: int) -> None:
    """Choose a rollout by mouse."""
    view.locator(".recover-nb-rollouts label").nth(1 + i % 40).click()


def routing(panel: str, kind: str = "control") -> list[Act]:
    """Return what changes the evaluation, with one panel shown."""
    # What belongs to earlier settings is forgotten; what the study itself is, a reader has waited
    # for already.
    fresh = (
        f"[setattr(it, 'panel', {panel!r}), it.data._held.clear(), it.data._parts.clear(), "
        "setattr(it.data, '_decided', (None, *it.data._decided[1:]))]"
    )
    operators = ["sparse_steer", "local_temperature", "dense_steer"]
    doings = {
        "min gain": slide(0),
        "min failure": slide(1),
        "seed": number("seed"),
        "spread": choose("spread", operators),
        "fallback": choose("fallback", operators),
        "estimator": choose("estimator", ["null", "split", "all"]),
        "cells": press(lambda view: view.get_by_label("cells"), "ArrowDown", "ArrowUp"),
    }
    # Rates are multiples of a twentieth: a threshold changes something where it leaves one.
    edge = {"min gain": {"min_gain": 0.05}, "min failure": {"min_failure": 0.5}}
    found = []
    for name, do in doings.items():
        # Every problem, by the published estimator, unless it is cells or the estimator that are
        # chosen.
        state = {
            key: it for key, it in {"cells": (), "estimator": "published"}.items() if key != name
        }
        before = f"[setattr(it, 'value', {state | edge.get(name, {})}), {fresh}]"
        found.append(Act(f"{name} ({panel})", do, before=before, kind=kind))
    return found


def acts() -> dict[str, list[Act]]:
    """Return what a reader does in each view."""
    panels = ["estimators", "budget", "regimes", "routes", "comparators"]
    signals = ["entropy (nat)", "KL(S, A) (nat)", "demotion pressure (nat)"]
    again = "[setattr(it, 'shown', 0)]"
    glances, predictions = "it.data._glances.clear()", "it.data._held.clear()"
    return {
        "TraceInspector": [
            Act("colour", choose("colour", signals)),
            Act("problem", pick, before="setattr(it, 'value', {'search': '', 'regimes': ()})"),
            Act("search", press(lambda view: view.get_by_label("search"), "7", "Backspace")),
            Act("regime", chip, before="setattr(it, 'search', '')"),
            Act(
                "what was tried",
                choose("what was tried", ["retry", "sparse_steer", "nothing"]),
                before="it.problems.set_trait('chosen', 977)",
            ),
            Act(
                "attempt",
                buttons(["next", "previous"]),
                before="setattr(it, 'compare', 'retry')",
            ),
            Act("cursor", walk, kind="cursor"),
        ],
        "RolloutStepper": [
            Act("rollout", rollout),
            Act("step", button("step"), before=again),
            Act("run", button("run"), before=again),
            Act("reset", button("reset"), before="setattr(it, 'shown', -1)"),
            Act("method", choose("method", ["sft", "grpo"])),
            Act("problem", number("problem")),
            Act("cursor", walk, kind="cursor", before="[setattr(it, 'shown', -1)]"),
        ],
        "TraceSurgeon": [
            Act("operator", choose("retry and", ["dense_sample", "ancestor", "sparse_steer"])),
            Act("from token", number("from token"), before="setattr(it, 'position', 3)"),
            Act("cursor", walk, own=True, kind="cursor"),
        ],
        "RoutingExplorer": [
            *(act for panel in ("comparators", "estimators", "budget") for act in routing(panel)),
            Act("panel", buttons(panels), before="setattr(it, 'cells', ())"),
            Act("test level", number("test level")),
            Act(
                "budget in",
                choose("budget in", ["generated tokens", "forward passes", "attempts"]),
                before="setattr(it, 'panel', 'budget')",
            ),
            Act("regime", choose("regime", ["steerable_hard", "resample", "any"])),
            Act("sort", heading, own=True),
            Act("page", buttons(["Next", "Previous"]), own=True),
            Act("row", row, own=True),
        ],
        LARGE_VIEW: routing("comparators", LARGE),
        "StabilityExplorer": [
            Act("k", slide(0), before=f"[{glances}, setattr(it, 'k', 3)]"),
            Act(
                "algorithm",
                choose("algorithm", ["ward", "gaussian mixture", "kmeans"]),
                before=glances,
            ),
            Act("x", choose("x", ["concentration", "spread"])),
            Act("by ranks", lambda view, i: view.get_by_label("by ranks").click(), before=glances),
            Act("cluster", cluster, own=True),
        ],
        "TopographyExplorer": [
            Act("predict", choose("predict", ["regime", "task", "method"]), before=predictions),
            Act("within each", choose("within each", ["family", "pooled"]), before=predictions),
            Act("panel", buttons(["fingerprints", "effects", "scores", "confusion"])),
            Act("cell", cell, own=True, before="setattr(it, 'panel', 'confusion')"),
        ],
    }


def measure(notebook: LabNotebook, name: str, act: Act, repeats: int) -> dict[str, Any]:
    """Repeat an act, after two for practice, and return the delays in milliseconds."""
    css = f".recover-nb-{name.split(',')[0]}"
    view, found, missed, kernel = notebook.page.locator(css).first, [], 0, []
    options = {"css": css, "own": act.own, "quiet": QUIET, "never": NEVER}
    for i in range(repeats + 2):
        notebook.read(f"[0 for it in [view] if [{act.before}] is None]")
        notebook.page.wait_for_timeout(100)
        notebook.page.evaluate(WATCH, options)
        began = notebook.read(CPU)
        act.do(view, i)
        delay = notebook.page.evaluate("() => window.delay")
        ended = notebook.read(CPU)
        missed += delay is None
        if i >= 2 and delay is not None:
            found.append(delay)
            kernel.append(1000 * (ended - began))
    first, last = np.array(found or [[np.nan, np.nan]]).T
    return {
        "view": name,
        "act": act.name,
        "kind": act.kind,
        "n": len(found),
        "no_effect": missed,
        "median": float(np.median(last)),
        "p95": float(np.quantile(last, 0.95)),
        # Work in the kernel: unlike the delay, it hardly depends on what else the machine does.
        "first_median": float(np.median(first)),
        "first_p95": float(np.quantile(first, 0.95)),
        "kernel_cpu": float(np.median(kernel or [np.nan])),
        "load": os.getloadavg()[0],
    }


def latency(
    browser: Any, server: Server, folder: Path, views: list[str], repeats: int
) -> list[dict[str, Any]]:
    """Measure every act of every view, each view in a notebook of its own."""
    rows = []
    for name in views:
        place = folder / name.replace(", ", "_").replace(" ", "_")
        place.mkdir()
        kind = name.split(",")[0]
        source = (
            f"import recover_nb as rnb\n{STUDIES.get(name, STUDY)}\nview ="
            f" rnb.widgets.{kind}(ds)\nview"
        )
        with page_of(browser, server, place, source) as notebook:
            notebook.page.locator(f".recover-nb-{kind}").first.wait_for(timeout=ACT)
            for act in tqdm(acts()[name], desc=name, file=sys.stderr):
                rows.append(measure(notebook, name, act, repeats))
                tqdm.write(line(rows[-1]), file=sys.stderr)
    return rows


@contextmanager
def timed_page(browser: Any, server: Server, path: Path) -> Iterator[tuple[LabNotebook, float]]:
    """Open a notebook; also say how many seconds that took."""
    with lab(browser, server) as open_notebook:
        began = time.monotonic()
        notebook = open_notebook(path)
        yield notebook, time.monotonic() - began


def tour(browser: Any, server: Server, repeats: int) -> dict[str, Any]:
    """Time the tour's first chart from running all cells, and from opening the page."""
    waits = []
    for _ in tqdm(range(repeats), desc="tour", file=sys.stderr):
        with timed_page(browser, server, TOUR) as (notebook, opening):
            notebook.page.evaluate(RUN_ALL)
            charted = notebook.page.evaluate(FIRST_CHART)
            waits.append((opening, charted))
    opening, charted = np.array(waits).T
    return {
        "n": repeats,
        "open_median_s": float(np.median(opening)),
        "first_chart_median_s": float(np.median(charted)),
        "first_chart_max_s": float(charted.max()),
        "from_page_open_median_s": float(np.median(opening + charted)),
        "load": os.getloadavg()[0],
    }


LIVE = {
    "stepper, live": (
        "view = rnb.widgets.RolloutStepper(ds, source='live')\nview.run()\nview.fill()"
    ),
    "inspector, computed": (
        "view = rnb.widgets.TraceInspector(ds)\nview.compute()\nview.compare = 'ancestor'"
    ),
    "surgeon, branched": (
        "view = rnb.widgets.TraceSurgeon(ds, position=1, twins=100)\nview.branch()"
    ),
    "all three": (
        "s = rnb.widgets.Selection()\na = rnb.widgets.RolloutStepper(ds, selection=s,"
        " source='live')\nb = rnb.widgets.TraceSurgeon(ds, selection=s, position=1)\nc ="
        " rnb.widgets.TraceInspector(ds, selection=s)\na.run(), b.branch(), c.compute()\nview = b"
    ),
}


def memory(browser: Any, server: Server, folder: Path) -> dict[str, float]:
    """Return the most memory (MB) that the kernel of each notebook had, and of live views."""
    paths = {path.stem: path for path in NOTEBOOKS}
    for name, source in LIVE.items():
        source = (
            f"import recover_nb as rnb\nds = rnb.load_study()\n{source}\nassert not"
            " view.message\nview"
        )
        paths[name] = write(folder / f"{name.replace(', ', '_').replace(' ', '_')}.ipynb", source)
    found = {}
    for name, path in tqdm(paths.items(), desc="memory", file=sys.stderr):
        with lab(browser, server) as open_notebook:
            notebook = open_notebook(path)
            notebook.run_all()
            found[name] = notebook.peak_memory()
    return found


def line(one: dict[str, Any]) -> str:
    """Put the delays of an act into a line."""
    mark = "" if one["p95"] <= AIMS[one["kind"]] else f"  over {AIMS[one['kind']]}"
    return (
        f"{one['view']:18s} {one['act']:28s} n={one['n']:3d}  median {one['median']:6.0f} ms  p95"
        f" {one['p95']:6.0f} ms  first change {one['first_median']:5.0f} ms, p95"
        f" {one['first_p95']:5.0f} ms  kernel {one['kernel_cpu']:4.0f} ms  load"
        f" {one['load']:.1f}{mark}"
    )


def report(found: dict[str, Any]) -> str:
    """Put the figures into lines."""
    lines = [line(one) for one in found.get("latency", [])]
    lines += [f"tour {name}: {value:.2f}" for name, value in found.get("tour", {}).items()]
    lines += [f"memory {name}: {value:.0f} MB" for name, value in found.get("memory", {}).items()]
    return "\n".join(lines)


def main() -> None:
    """Run the parts asked for and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--views", nargs="+", choices=list(acts()), default=list(acts()))
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    found: dict[str, Any] = {"aims": {kind: aim for kind, aim in AIMS.items() if kind != "tour"}}
    with (
        tempfile.TemporaryDirectory() as name,
        jupyter_server(Path(name)) as server,
        chromium() as browser,
    ):
        folder = Path(name)
        if "latency" in options.parts:
            found["latency"] = latency(browser, server, folder, options.views, options.repeats)
        if "tour" in options.parts:
            found["tour"] = tour(browser, server, min(options.repeats, 5))
        if "memory" in options.parts:
            found["memory"] = memory(browser, server, folder)
    print(json.dumps(found) if options.json else report(found))


if __name__ == "__main__":
    main()
