"""Take the pictures in the README: ``make screenshots``.

``docs/story.webp`` is the first failure of `recover_nb.story`, as it plays in a browser;
``docs/screenshot.png`` a failed trace in a `TraceInspector`, as it is in JupyterLab. Needs the
extra ``test`` and a Chromium.
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
from webp import animation  # noqa: E402
from widget_page import SETTLED, page_of, stretch, token, view  # noqa: E402

import recover_nb as rnb  # noqa: E402

#: Of the story: pixels, milliseconds between two looks, and milliseconds that the end stays.
STORY, LOOK, END = {"width": 960, "height": 560}, 140, 4000
#: Pixels. JupyterLab's left bar and prompts take the rest of the page.
WIDTH = 1200
SOURCE = """\
import recover_nb as rnb

ds = rnb.load_study()
inspector = rnb.widgets.TraceInspector(ds, problem=977)
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


def told() -> Iterator[tuple[bytes, int]]:
    """Play the first failure, and yield what is seen and for how many milliseconds."""
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        page = browser.new_page(viewport=STORY)
        page.clock.install(time=0)
        page.goto(rnb.story().save(Path(name) / "story.html").as_uri())
        card = page.locator(".story")
        page.clock.pause_at(3_600_000)
        page.get_by_role("button", name="step 1").click()
        page.get_by_role("button", name="play", exact=True).click()
        # Nothing has the focus, nor is pointed at.
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        while card.get_attribute("data-step") != "4" or card.get_attribute("data-settled") != "yes":
            yield card.screenshot(animations="disabled", timeout=ACT), LOOK
            page.clock.run_for(LOOK)
        yield card.screenshot(animations="disabled", timeout=ACT), END


def main() -> None:
    """Write the pictures."""
    shots = list(told())
    with chromium() as browser:
        (ROOT / "docs" / "story.webp").write_bytes(animation(browser.new_page(), shots))
    with opened() as notebook:
        stretch(notebook, WIDTH + 430)
        place = view(notebook, "TraceInspector")
        token(place, notebook.read("inspector.trace.junction")).hover(timeout=ACT)
        place.get_by_role("table").wait_for(timeout=ACT)
        notebook.page.evaluate(SETTLED)
        place.screenshot(path=ROOT / "docs" / "screenshot.png", timeout=ACT)


if __name__ == "__main__":
    main()
