"""What a model or file wrote runs in neither report page nor trace inspector of a real browser."""

import numpy as np
import pytest
from chromium import closed_context
from lab_page import ACT, SCREENSHOTS
from of_shipped import with_token_text
from traced_study import traced_study
from widget_page import page_of, view

from recover_nb.io.store import save_study
from recover_nb.report import write_html
from recover_nb.routing.evaluation import evaluate_routing

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<script>window.broken=1</script><img src=x onerror=window.broken=2>"
#: Elements that only hostile text could have made.
MADE = (
    "(where) => document.querySelectorAll(`${where} img, ${where} iframe, ${where}"
    " [onerror]`).length"
)
FEW = {"n_bootstrap": 50, "n_permutations": 50, "n_null": 10, "n_splits": 4}

SOURCE = """\
import recover_nb as rnb
view = rnb.widgets.TraceInspector(rnb.open_study({path!r}))
view.selection.token = 1
view"""


@pytest.fixture(scope="module")
def study():
    """Prompts, answers, names, cells and tokens are hostile."""
    ds = traced_study()
    n = ds.sizes["problem"]
    nasty = ("problem", np.full(n, f"{HOSTILE}\n", dtype=object))
    names = ("problem", np.array([f"{i}{HOSTILE}" for i in range(n)], dtype=object))
    task = ("problem", np.full(n, f"t{HOSTILE}", dtype=object))
    ds = ds.assign(prompt=nasty, answer=nasty).assign_coords(problem_id=names, task=task)
    return with_token_text(ds, {i: f"{i}{HOSTILE}" for i in range(200)})


def test_report_page_runs_nothing_it_was_given(browser, study, tmp_path):
    path = write_html(study, evaluate_routing(study, **FEW), tmp_path / "report.html")
    context, asked = closed_context(browser, viewport={"width": 1200, "height": 900})
    try:
        page, errors, dialogs = context.new_page(), [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri(), timeout=ACT)
        page.locator("svg").first.wait_for(timeout=ACT)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert page.evaluate("window.broken") is None
        assert page.evaluate(MADE, "body") == 0
        assert "<img src=x onerror=" in page.inner_text("body")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "escaping-report.png", full_page=True)
        assert (errors, dialogs, asked) == ([], [], [])
    finally:
        context.close()


def test_trace_inspector_runs_nothing_it_was_given(browser, server, study, tmp_path):
    path = save_study(study, tmp_path / "s.zarr")
    with page_of(browser, server, tmp_path, SOURCE.format(path=str(path))) as notebook:
        place = view(notebook, "TraceInspector")
        place.locator(".token").first.wait_for(timeout=ACT)
        assert notebook.page.evaluate("window.broken") is None
        assert notebook.page.evaluate(MADE, ".recover-nb") == 0
        shown = place.inner_text()
        assert "<img src=x onerror=window.broken=2>" in shown
        # In the title, in the tokens (whose blanks are made visible), and in what the models would
        # rather have said.
        assert shown.count("<script>window.broken=1</script>") > 3
        place.screenshot(path=SCREENSHOTS / "escaping-inspector.png")
