"""Every way of running a script or asking a host, planted in every text of a study, on every page.

One study, one notebook: shown in JupyterLab, saved and read again as HTML, shown in Voila, made a
page of the documentation; and the pages that are written from it, from a file of outcomes, and from
what is recorded for the front door.
"""

import json
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import numpy as np
import pages
import pytest
from chromium import closed_context
from lab_page import ACT, RUN, lab
from of_shipped import with_token_text
from onward_answers import onward_of, study_of
from widget_page import stretch, write

import recover_nb as rnb
from recover_nb.io.store import save_study
from recover_nb.pages import front_door
from recover_nb.report import write_html
from recover_nb.routing.evaluation import evaluate_routing

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = "evil.example"
RUNS = "window.pwned=1"
#: Name -> text that would do something, were it read as anything but text.
PLANTS = {
    "script": f"<script>{RUNS}</script>",
    "end of script": f"</script><script>{RUNS}</script>",
    "comment": f"<!--><script>{RUNS}</script>--><!-- --!><script>{RUNS}</script>",
    "CDATA": f"]]><script>{RUNS}</script>",
    "end of style": f"</style><script>{RUNS}</script>",
    "end of textarea": f"</textarea></title><img src=x onerror={RUNS}>",
    "end of noscript": f"</noscript><img src=x onerror={RUNS}>",
    "attribute": f"\" onmouseover=\"{RUNS}\" x=\"' onfocus='{RUNS}' autofocus='",
    "handler": f"<img src=x onerror={RUNS}><svg onload={RUNS}><details open ontoggle={RUNS}>",
    "SVG": f"<svg><animate onbegin={RUNS} attributeName=x dur=1s></svg>",
    "frame": f"<iframe srcdoc='<script>parent.{RUNS}</script>'></iframe>",
    "base": f"<base href='http://{EVIL}/base/'>",
    "refresh": f"<meta http-equiv=refresh content='0;url=http://{EVIL}/refresh'>",
    "picture": f"<img src=http://{EVIL}/img><link rel=stylesheet href=http://{EVIL}/css>",
    "prefetch": f"<link rel=prefetch href=http://{EVIL}/pre><link rel=dns-prefetch href=//{EVIL}>",
    "style": f"<style>@import 'http://{EVIL}/import';body{{background:url(http://{EVIL}/bg)}}</style>",
    "CSS": f"red;background:url(http://{EVIL}/css2);x:expression({RUNS})",
    "link": f"<a href=\"javascript:{RUNS}\">a</a><a href='data:text/html,<script>{RUNS}</script>'>",
    "entities": f"&lt;script&gt;{RUNS}&lt;/script&gt;&#60;img src=x onerror={RUNS}&#62;&#x3c;b",
    "Markdown": f"[m](javascript:{RUNS}) ![p](http://{EVIL}/md) `c` | a | <javascript:{RUNS}>",
    "formula": rf"$\href{{javascript:{RUNS}}}{{h}}$ $$\style{{background:url(http://{EVIL}/tex)}}s$$",
    "formula in brackets": r"\(\class{c}{x}\) \[\unicode{x41}\]",
    "Vega": 'datum[\'a.b\'] ${signal} {"signal":"window"} a.b[0]\\\'\\"',
    "template": "{{7*7}} {% raw %} ${7*7} <%= 7*7 %>",
    "lines": "\u2028\u2029",
}
ALL = " ".join(PLANTS.values())
#: Elements that only a plant could have made, outside the page's own.
MADE = f"""() => [...document.querySelectorAll(
    "[onerror],[onload],[onmouseover],[onfocus],[ontoggle],iframe[srcdoc],base[href*='{EVIL}'],"
    + "[href*='{EVIL}'],[src*='{EVIL}'],[href^='javascript:'],[href^='data:text'],animate"
    )].map((each) => each.outerHTML.slice(0, 200))"""
#: Formulas that were set from text of the study.
#: pandas leaves that to its own option (display.html.use_mathjax).
SET = """() => [...document.querySelectorAll(".MathJax, mjx-container, .katex")]
    .filter((each) => !each.closest("table.dataframe"))
    .map((each) => each.parentElement.outerHTML.slice(0, 300))"""
FEW = {"n_bootstrap": 50, "n_permutations": 50, "n_null": 10, "n_splits": 4}

LOAD = """\
import recover_nb as rnb
ds = rnb.open_study({path!r}, load=True)
evaluation = rnb.evaluate_routing(ds, n_bootstrap=50, n_permutations=50, n_null=10, n_splits=4)
evaluation"""
CELLS = (
    "rnb.preview({log!r})",
    "rnb.plot_regimes(rnb.tables.regimes_by_cell(ds))",
    "one = rnb.tables.choose_example(ds)\n"
    "rnb.plot_signals(rnb.tables.trace_signals(ds, one['problem'], one['rollout']))",
    "rnb.tables.problems_by_cell(ds)",
    "rnb.story(ds)",
    "view = rnb.widgets.TraceInspector(ds)\nview.selection.token = 1\nview",
    "rnb.widgets.RoutingExplorer(ds)",
    "table = rnb.widgets.TableView()\n"
    "table.show(rnb.tables.problems_by_cell(ds).assign(**{{{plant!r}: {plant!r}}}))\ntable",
    "'done'",
)


@pytest.fixture(scope="module")
def study():
    ds = rnb.load_study().isel(problem=[*range(40), *range(900, 940)]).load()
    n = ds.sizes["problem"]

    def same(text):
        return ("problem", np.full(n, text, dtype=object))

    names = np.array([f"{i} {ALL}" for i in range(n)], dtype=object)
    half = np.where(np.arange(n) < n // 2, "a", "b")
    ds = ds.assign(prompt=same(f"{ALL}\n"), answer=same(ALL)).assign_coords(
        problem_id=("problem", names),
        task=("problem", np.array([f"{each} {ALL}" for each in half], dtype=object)),
        family=same(f"f {ALL}"),
    )
    notes = {"import_notes": [ALL], "created_at": ALL, "own": ALL, "source": ALL}
    config = {"config_json": json.dumps({"settings": {}, ALL: ALL})}
    tokens = {i: f"{i} {list(PLANTS.values())[i % len(PLANTS)]}" for i in range(300)}
    return with_token_text(ds.assign_attrs({**notes, **config}), tokens)


@pytest.fixture(scope="module")
def notebook(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plants")
    path = save_study(study, folder / "s.zarr")
    log = folder / "log.jsonl"
    row = {"problem_id": ALL, "prompt": ALL, "generated_text": ALL, "answer": ALL, ALL: ALL}
    log.write_text(json.dumps({**row, "is_correct": True, "rollout_idx": 0}) + "\n")
    cells = (LOAD, *CELLS)
    sources = [each.format(path=str(path), log=str(log), plant=ALL) for each in cells]
    return write(folder / "plants.ipynb", *sources)


class Watched:
    """A page that must stay as it was written."""

    def __init__(self, page, asked):
        self.page, self.asked, self.dialogs = page, asked, []
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def check(self, *, shown=True):
        page = self.page
        for fold in page.locator("details").all():
            fold.evaluate("each => each.open = true")
        # Under the pointer every text gets its chance.
        page.evaluate(
            "document.querySelectorAll('*').forEach(e => e.dispatchEvent("
            "new MouseEvent('mouseover', {bubbles: false})))"
        )
        page.wait_for_timeout(500)
        assert page.evaluate("window.pwned") is None
        assert page.evaluate(MADE) == []
        assert page.evaluate(SET) == []
        assert self.dialogs == []
        assert [url for url in self.asked if EVIL in url] == []
        if shown:
            said = page.inner_text("body")
            for plant in ("script", "handler", "refresh", "Markdown", "formula", "entities"):
                assert PLANTS[plant] in said, plant


def test_lab_and_the_saved_notebook(browser, server, notebook, tmp_path):
    with lab(browser, server) as open_notebook:
        opened = open_notebook(notebook)
        watched = Watched(opened.page, [])
        opened.run_all()
        stretch(opened)
        opened.page.wait_for_timeout(3000)
        watched.check()
        saved = opened.save()
        opened.page.wait_for_timeout(1000)
        saved = nbformat.read(opened.path, as_version=4)
        assert opened.console == []
    page = tmp_path / "saved.html"
    page.write_text(as_html(saved), encoding="utf-8")
    with watching(browser) as watched:
        watched.page.goto(page.as_uri(), timeout=ACT, wait_until="commit")
        watched.page.wait_for_timeout(4000)
        watched.check()


def as_html(notebook):
    from nbconvert import HTMLExporter

    return HTMLExporter().from_notebook_node(notebook)[0]


@contextmanager
def watching(browser):
    """Open a page that is watched."""
    context, asked = closed_context(browser, viewport={"width": 1200, "height": 900})
    try:
        yield Watched(context.new_page(), asked)
    finally:
        context.close()


def test_voila(browser, server, notebook):
    with watching(browser) as watched:
        page = watched.page
        address = server.address("voila/render", server.place(notebook))
        page.goto(address, timeout=RUN * 1000, wait_until="commit")
        page.wait_for_selector("#rendered_cells", state="visible", timeout=RUN * 1000)
        page.get_by_text("'done'").wait_for(timeout=RUN * 1000)
        page.wait_for_timeout(3000)
        watched.check()
    server.stop_kernels()


def test_pages_that_are_written(browser, study, tmp_path):
    pages = {
        "report": write_html(study, evaluate_routing(study, **FEW), tmp_path / "report.html"),
        "story": rnb.story(study).save(tmp_path / "story.html"),
        "chart": tmp_path / "chart.html",
        "dial": rnb.cost_dial(study).save(tmp_path / "dial.html"),
    }
    chart = rnb.plot_regimes(rnb.tables.regimes_by_cell(study)).properties(title=ALL)
    chart.save(pages["chart"], inline=True)
    for name, path in pages.items():
        check_page(browser, path, shown=name == "report")


def check_page(browser, path, *, shown=False, ready="svg, .recover-nb-story, .recover-nb-dial"):
    """Check a page that was written, opened as a file; return what it says."""
    with watching(browser) as watched:
        watched.page.goto(path.as_uri(), timeout=ACT)
        watched.page.locator(ready).first.wait_for(timeout=ACT, state="attached")
        watched.page.wait_for_timeout(1000)
        watched.check(shown=shown)
        assert watched.asked == [], path.name
        return watched.page.inner_text("body")


def test_an_audit_of_planted_outcomes(browser, tmp_path, capsys):
    path, page = tmp_path / "outcomes.jsonl", tmp_path / "audit.html"
    arms = {f"{i} {ALL}": i for i in range(3)}
    rng = np.random.default_rng(0)
    rows = [
        {
            "problem": f"{i} {ALL}",
            "scores": {name: int(rng.random() < 0.3 + 0.2 * at) for name, at in arms.items()},
            "costs": {name: 1 + at for name, at in arms.items()},
            "router": list(arms)[i % 3],
        }
        for i in range(60)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = rnb.audit(rnb.read_outcomes(path), n_null=20)
    rnb.write_audit(found, page, title=ALL)
    check_page(browser, page, shown=True)


def test_a_film_of_planted_problems(browser, tmp_path):
    right = np.tile(np.array([0, 0, 1, 1], np.int8), (4, 1))
    regimes = ["redrawable", "operator_dependent", "unrescued", "never_failed"]
    ds = study_of(right, regimes, np.zeros((4, 3)), cells=["|".join([PLANTS["script"]] * 3)] * 4)
    ds["prompt"] = ("problem", np.array([ALL] * 4, dtype=object))
    for name in ("family", "method", "task"):
        ds[name] = ("problem", np.array([ALL] * 4, dtype=object))
    onward = onward_of(ds, np.tile(right[:, None, None], (1, 2, 2, 1)), [0, 10])
    path = rnb.plot_training_film(ds, onward).save(tmp_path / "film.html")
    with watching(browser) as watched:
        watched.page.goto(path.as_uri(), timeout=ACT)
        watched.page.locator("circle").first.hover()
        assert PLANTS["handler"] in watched.page.inner_text(".film-one")
        watched.check(shown=False)
        assert watched.asked == []


#: Texts of the front door by which it finds something else, and which cannot be anything.
KEYS = ("key", "term")


def planted(told, name=""):
    """Return plain data with the plants after every text, and in the place of every picture."""
    if isinstance(told, dict):
        return {key: planted(each, key) for key, each in told.items()}
    if isinstance(told, list):
        return [planted(each, name) for each in told]
    if not isinstance(told, str) or name in KEYS:
        return told
    return ALL if told.startswith("data:") else f"{told} {ALL}"


def test_a_front_door_of_planted_records(browser, tmp_path, monkeypatch):
    told = planted(json.loads(json.dumps(front_door.recorded())))
    told["dial"]["budgets"] = [f"{each}{PLANTS['handler']}" for each in told["dial"]["budgets"]]
    told["dial"]["tries"] = [f"{each}{PLANTS['script']}" for each in told["dial"]["tries"]]
    monkeypatch.setattr(front_door, "recorded", lambda: told)
    links = front_door.Links(f"{PLANTS['attribute']}{{}}", f"{PLANTS['handler']}{{}}")
    monkeypatch.setattr(front_door.CostDial, "start", 20)
    path = rnb.front_door().save(tmp_path / "index.html", links=links)
    said = check_page(browser, path, ready=".door")
    assert PLANTS["handler"] in said


def test_a_page_of_the_documentation(browser, notebook, tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    nbformat.write(pages.stilled(pages.execute(notebook)), source / "index.ipynb")
    docs = pages.ROOT / "docs"
    command = [sys.executable, "-m", "sphinx", "-q", "-c", str(docs), str(source), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with watching(browser) as watched:
        watched.page.goto((site / "index.html").as_uri(), timeout=ACT)
        watched.page.get_by_text("'done'").first.wait_for(timeout=ACT)
        watched.page.wait_for_timeout(3000)
        watched.check()
        assert watched.asked == []
