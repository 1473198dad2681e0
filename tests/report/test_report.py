import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from traced_study import NASTY, traced_study

from recover_nb.core.errors import InputError
from recover_nb.report import write, write_html
from recover_nb.report.markup import json_script, table_html
from recover_nb.report.page import build_page
from recover_nb.routing.evaluation import evaluate_routing

FEW = {"n_bootstrap": 100, "n_permutations": 100, "n_null": 20, "n_splits": 10}


@pytest.fixture(scope="module")
def study():
    """A study whose every text tries to break out of the page."""
    ds = traced_study()
    n = ds.sizes["problem"]
    nasty = np.full(n, NASTY, dtype=object)
    ds["prompt"] = ("problem", nasty)
    ds["answer"] = ("problem", nasty)
    ds = ds.assign_coords(
        family=("problem", np.char.add(ds["family"].values.astype(str), "</script>"))
    )
    ds.attrs["config_json"] = '{"x": "</pre><script>alert(1)</script>"}'
    return ds


@pytest.fixture(scope="module")
def report(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "demo.html"
    patched = pytest.MonkeyPatch()
    # The tokens of the example are hostile as well.
    pieces = {i: f"<img src=x onerror=alert({i})>" for i in range(100)}
    patched.setattr("recover_nb.tables.token_pieces", lambda family: pieces)
    try:
        assert write_html(study, evaluate_routing(study, **FEW), path) == path
    finally:
        patched.undo()
    return path


class Reader(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.handlers, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                self.links.append((tag, name, value))
            if name.startswith("on"):
                self.handlers.append((tag, name, value))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def read(report):
    reader = Reader()
    reader.feed(report.read_text("utf-8"))
    return reader


def test_nothing_is_loaded(report, read):
    # Links within the page are all there are: no picture, script, style or font from anywhere.
    assert all(value.startswith("#") for _, _, value in read.links), read.links
    assert not set(read.tags) & {"link", "iframe", "img", "object", "embed", "base", "form"}
    text = report.read_text("utf-8")
    css = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    assert "url(" not in css and "@import" not in css
    assert "default-src &#x27;none&#x27;" in text


def test_planted_scripts_are_text(report, read):
    text = report.read_text("utf-8")
    assert read.tags.count("script") == 3
    assert not read.handlers
    assert "<script>alert" not in text and "<img src=x" not in text
    assert "&lt;script&gt;alert(&quot;x&quot;)" in text
    assert any(NASTY[:20] in data for data in read.text)


def test_the_page_says_what_is_not_supported(read):
    text = " ".join(read.text)
    for heading in (
        "what the data support",
        "What rescues",
        "Routing",
        "What it costs",
        "One failed trace",
        "Where the numbers",
        "Everything else",
    ):
        assert heading in text, heading
    assert "not shown" in text or "contradicted" in text


def test_size_and_one_bundle(report):
    assert report.stat().st_size < 3_000_000
    assert report.read_text("utf-8").count("window.vegaEmbed=") == 1


def test_json_cannot_end_its_script():
    assert (
        json_script({"a": "</script><!--\u2028"})
        == '{"a":"\\u003c/script\\u003e\\u003c!--\\u2028"}'
    )
    with pytest.raises(ValueError):
        json_script(float("nan"))


def test_table_escapes_and_marks_what_is_missing():
    import pandas as pd

    frame = pd.DataFrame({"<b>": ["<i>"], "share": [float("nan")], "n": [1234]})
    text = table_html(frame, {"share": "{:.1%}"}, "<u>")
    assert "<b>" not in text and "<i>" not in text and "<u>" not in text
    assert '<td class="n">\u2013</td>' in text and "1,234" in text


def test_a_profile_table_has_a_report_too(study, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "vega_bundle", lambda: "")
    table = study.drop_dims("rollout")
    path = write_html(table, evaluate_routing(table, **FEW), tmp_path / "profiles.html")
    text = path.read_text("utf-8")
    assert "not testable" in text and "One failed trace" not in text


@pytest.fixture(scope="module")
def page(study):
    return build_page(study, evaluate_routing(study, **FEW), title="x")


def test_the_page_is_data_first(page):
    kinds = [block.kind for section in page.sections for block in section.blocks]
    assert kinds.count("chart") >= 7 and "findings" in kinds and "example" in kinds
    first = [block.kind for section in page.pictures for block in section.blocks]
    assert first == ["chart"] * 3
    assert all(section.lead.endswith(".") for section in page.pictures)


def test_the_chips_are_the_verdicts_of_the_findings(page):
    (rows,) = (each.blocks[0].content for each in page.sections if each.name == "findings")
    assert len(rows) == 10
    by_claim = {row["claim"]: row["verdict"] for row in rows}
    full = (
        "some intervention rescues more than retry, with no selection",
        "routing beats retry over every problem, with no selection",
        "the features tell which problem needs which operator",
        "routing's published lift on steerable_hard problems exceeds what selection alone gives",
        "routed rollouts match the retries that cost as many forward passes",
    )
    assert [each.verdict for each in page.chips] == [by_claim[claim] for claim in full]


def test_the_first_screen_is_open_and_the_rest_is_folded(report, read):
    head, _, rest = report.read_text("utf-8").partition("<details")
    head, rest = head.partition("<body")[2], rest.partition("</main>")[0]
    assert head.count("<h1>") == 1 and "Of problems whose first answer failed" in head
    assert head.count('class="verdict') == 5 and head.count('class="chart"') == 3
    assert "budget_forward_passes" not in head and "git_commit" not in head
    assert "git_commit" in rest
    # Every table can be scrolled by keyboard, and says what it is.
    regions = re.findall(r'<div class="scroll"([^>]*)>', rest)
    assert len(regions) == rest.count("<table") >= 8
    assert all('tabindex="0"' in each and "aria-label=" in each for each in regions)
    assert "<details open" not in report.read_text("utf-8")


def test_bad_paths(study, tmp_path):
    evaluation = evaluate_routing(study, **FEW)
    with pytest.raises(InputError, match="does not exist"):
        write_html(study, evaluation, tmp_path / "missing" / "a.html")
    with pytest.raises(InputError, match="is a folder"):
        write_html(study, evaluation, tmp_path)


def test_nothing_half_written(study, tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    path.write_text("before")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "vega_bundle", lambda: "")
    monkeypatch.setattr("recover_nb.core.places.os.replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_html(study, evaluate_routing(study, **FEW), path, replace=True)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.html"]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1440])
def test_the_report_opens_offline_and_draws(report, scheme, width):
    with chromium() as browser:
        size = {"width": width, "height": 900}
        look(browser.new_context(offline=True, color_scheme=scheme, viewport=size), report)


@pytest.mark.browser
def test_folds_are_open_on_paper_and_as_before_afterwards(report):
    with chromium() as browser:
        page = browser.new_context(offline=True).new_page()
        page.goto(report.as_uri())
        page.wait_for_selector(".chart svg.marks")
        page.locator("#rescue > summary").click()
        shut = "document.querySelectorAll('details:not([open])').length"
        before = page.evaluate(shut)
        assert before > 10
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(shut) == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(shut) == before
        assert page.locator("#rescue").get_attribute("open") is not None


#: What the data draw in Vega's SVG, not axes or legends.
MARKS = "svg.marks g.role-mark path, svg.marks g.role-mark text"
#: What is heard apart from the picture that it is a part of.
HEARD = "[aria-roledescription]:not([aria-hidden=true], [aria-hidden=true] *)"


def look(context, report: Path):
    page = context.new_page()
    errors, requests = [], []
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    wanted = page.locator(".chart").count()
    assert wanted >= 7
    page.wait_for_function(
        f"document.querySelectorAll('.chart svg.marks').length === {wanted}", timeout=30_000
    )
    for i in range(wanted):
        # Every chart has marks, not only axes, and is heard as one picture with a name.
        chart = page.locator(".chart").nth(i)
        assert chart.locator(MARKS).count() > 0
        drawing = chart.locator("svg.marks")
        assert drawing.get_attribute("role") == "img"
        assert len(drawing.get_attribute("aria-label")) > 20
        # Its parts are hidden from those who hear it.
        assert not drawing.locator(HEARD).count()
    page.locator(".chart svg g.mark-symbol.role-mark path").first.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert not errors
    assert requests == [report.as_uri()]
    wide = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0
