"""Take the picture in the README: ``python docs/screenshot.py`` writes ``docs/screenshot.png``.

A failed trace of the bundled study in a `TraceInspector`, as it is in JupyterLab. Needs the extra
``test`` and a Chromium.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]

from chromium import chromium  # noqa: E402
from lab_page import ACT, LabNotebook  # noqa: E402
from lab_server import jupyter_server  # noqa: E402
from widget_page import SETTLED, page_of, stretch, token, view  # noqa: E402

#: Pixels. JupyterLab's left bar and prompts take the rest of the page.
WIDTH = 1200
SOURCE = """\
import recover_nb as rnb

ds = rnb.load_study()
chosen = (ds["task"] == "program") & (ds["regime"] == "steerable_hard")
first = ds.isel(rollout=0)
arms = enumerate(("none", "sparse_steer"))
wrong, right = (first.sel(intervention=name)["correct"] == i for i, name in arms)
length = first.sel(intervention="none")["n_tokens"]
problem = int(length.where(chosen & wrong & right, 0).argmax("problem"))
selection = rnb.widgets.Selection(problem=problem, rollout=0)
inspector = rnb.widgets.TraceInspector(ds, selection=selection, compare="sparse_steer")
inspector"""


@contextmanager
def opened() -> Iterator[LabNotebook]:
    """Open JupyterLab on the inspector."""
    with (
        tempfile.TemporaryDirectory() as name,
        jupyter_server(Path(name)) as server,
        chromium() as browser,
        page_of(browser, server, Path(name), SOURCE) as notebook,
    ):
        yield notebook


def main() -> None:
    """Write the picture."""
    with opened() as notebook:
        stretch(notebook, WIDTH + 430)
        place = view(notebook, "TraceInspector")
        token(place, notebook.read("inspector.trace.junction")).hover(timeout=ACT)
        place.get_by_role("table").wait_for(timeout=ACT)
        notebook.page.evaluate(SETTLED)
        place.screenshot(path=ROOT / "docs" / "screenshot.png", timeout=ACT)


if __name__ == "__main__":
    main()
