"""A checkpoint of one's own, from `load_pair` to the views and the report: text everywhere."""

import re

import pytest
from byte_level import byte_level_tokenizer
from chromium import closed_context
from decoding_models import near, tiny_model
from lab_page import ACT
from widget_page import page_of, picture, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ENTRIES = 50_000
#: A token id where text should be.
ID = re.compile(r"#\d+")

SOURCES = (
    """\
import recover_nb as rnb
pair = rnb.load_pair({specialist!r}, {ancestor!r})
problems = [
    rnb.tasks.Problem("sums", f"p{{i}}", "test", -1, f"Add {{i}} and 3.", "x", ()) for i in range(6)
]
ds = rnb.generate(
    pair, problems, n_rollouts=6, n_attempts=4, settings=rnb.Settings(max_new_tokens=12),
    checker=lambda text, answer: len(text) % 2 == 0, unit=("mine", "tuned"), value_problems=1,
)
path = rnb.save_zip(ds, {folder!r} + "/own.zarr.zip")
back = rnb.open_study(path, load=True)
assert back.identical(ds)""",
    "inspector = rnb.widgets.TraceInspector(back, pair=pair)\ninspector",
    "surgeon = rnb.widgets.TraceSurgeon(back, pair=pair, twins=4, position=1)\nsurgeon",
    "stepper = rnb.widgets.RolloutStepper(back, pair=pair)\nstepper",
    "story = rnb.story(back)\nstory",
    """\
few = {{"n_bootstrap": 50, "n_permutations": 50, "n_null": 10, "n_splits": 4}}
evaluation = rnb.evaluate_routing(back, **few)
page = rnb.report.write_html(back, evaluation, {folder!r} + "/report.html")""",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two checkpoints of random weights, as `save_pretrained` writes them."""
    root = tmp_path_factory.mktemp("own")
    tokenizer = byte_level_tokenizer(ENTRIES)
    assert len(tokenizer) == ENTRIES
    specialist = tiny_model(vocab_size=ENTRIES)
    specialist.generation_config.eos_token_id = list(range(0, ENTRIES, 8))
    for name, model in (("specialist", specialist), ("ancestor", near(specialist))):
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


@pytest.fixture(scope="module")
def notebook(browser, server, folder):
    filled = [
        each.format(
            specialist=str(folder / "specialist"),
            ancestor=str(folder / "ancestor"),
            folder=str(folder),
        )
        for each in SOURCES
    ]
    with page_of(browser, server, folder, *filled) as opened:
        yield opened


@pytest.mark.parametrize("name", ["TraceInspector", "TraceSurgeon", "RolloutStepper"])
def test_a_view_shows_text(notebook, name):
    place = view(notebook, name)
    place.locator(".token").first.wait_for(timeout=ACT)
    shown = [text for text in place.locator(".token").all_inner_texts() if text]
    assert shown and not any(ID.search(text) for text in shown)
    assert notebook.read("[inspector.message, surgeon.message]") == ["", ""]


def test_the_inspector_computes_with_the_pair(notebook):
    notebook.read("inspector.compute() or inspector.message")
    assert notebook.read("[inspector.message, inspector.computing.on]") == ["", True]
    picture(notebook, "TraceInspector")


def test_a_branch_is_text(notebook):
    place = view(notebook, "TraceSurgeon")
    notebook.read("setattr(surgeon, 'position', 1)")
    notebook.read("surgeon.branch()")
    assert notebook.read("surgeon.message") == ""
    assert not ID.search(place.inner_text())


def test_the_story_is_text(notebook):
    card = notebook.page.locator(".recover-nb-story").first
    card.wait_for(timeout=ACT)
    assert not ID.search(card.inner_text())


def test_the_report_is_text(notebook, browser, folder):
    context, asked = closed_context(browser, viewport={"width": 1200, "height": 900})
    try:
        page = context.new_page()
        page.goto((folder / "report.html").as_uri(), timeout=ACT)
        page.locator("svg").first.wait_for(timeout=ACT)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert not re.search(r"(?:#\d+ ){2,}", page.inner_text("body"))
        assert asked == []
    finally:
        context.close()
