"""The front door: recorded figures are the study's, links lead somewhere, nothing is asked for."""

import json
import re
import subprocess
import sys

import pages
import pytest

import recover_nb as rnb
from recover_nb.core.glossary import anchor, glossary_entries
from recover_nb.core.shipped import shipped_folder
from recover_nb.pages.front_door import VIEWS, WAYS, Links, recorded, section
from recover_nb.pages.terms import entry_html, term

HERE = Links("{}.ipynb", "../docs/{}.md")


def test_the_dial_is_that_of_the_bundled_study():
    told = recorded()["dial"]
    assert told == json.loads(json.dumps(rnb.tables.cost_dial(rnb.load_study()))), "run: make door"
    assert len(told["sentences"]) == len(told["budgets"]) == 61
    for strategy in told["strategies"]:
        assert strategy["solved"] == sorted(strategy["solved"])
        assert set(strategy["solved"] + strategy["counted"]) <= set(range(101))


def test_it_loads_no_library():
    code = (
        "import sys, recover_nb as rnb; rnb.front_door()._repr_mimebundle_();"
        "print([x for x in ('numpy', 'pandas', 'xarray', 'altair') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_view_has_a_picture_and_opens_at_its_section():
    assert len(VIEWS) == 12
    assert set(recorded()["views"]) == {view.key for view in VIEWS}
    for view in VIEWS:
        heading = section(view.notebook, view.call)
        text = (shipped_folder("notebooks") / f"{view.notebook}.ipynb").read_text("utf-8")
        assert heading and f"## {heading}" in text, view
    assert sum(map(len, recorded()["views"].values())) < 80_000


def test_links_lead_to_files_of_the_checkout():
    folder = shipped_folder("notebooks")
    for target in re.findall(r'href="([^"#]+)', rnb.front_door().html(HERE)):
        assert (folder / target).is_file(), target
    assert {more for *_, more in WAYS} >= {"07_your_own_models", "formats"}


def test_a_page_without_a_site_says_how_notebooks_are_opened(tmp_path):
    path = rnb.front_door().save(tmp_path / "door.html")
    text = path.read_text("utf-8")
    assert "make lab" in text and ".ipynb" not in text
    assert not re.search(r"(?:src|href)=\"(?!data:)", text.partition("<script>")[0])
    with pytest.raises(rnb.InputError, match=r"door\.html"):
        rnb.front_door().save(path)


def test_a_page_over_the_site_leads_into_it():
    links = Links("docs/notebooks/{}.html", "docs/{}.html")
    assert links.to("02_features", "Where was it lost?") == (
        "docs/notebooks/02_features.html#where-was-it-lost"
    )
    assert links.to("formats") == "docs/formats.html"
    assert HERE.to("00_tour", "The study") == "00_tour.ipynb#The-study"


@pytest.mark.parametrize(
    ("link", "moved"),
    [
        ("00_tour.ipynb#The-study", "00_tour.html#the-study"),
        ("02_features.ipynb#Where-was-it%3F", "02_features.html#where-was-it"),
        ("../docs/formats.md", "../formats.html"),
        ("https://example.org/x.md", "https://example.org/x.md"),
    ],
)
def test_links_of_an_output_lead_into_the_site(link, moved):
    found = pages.relink_html(f'<a href="{link}">', "notebooks/start.ipynb")
    assert found == f'<a href="{moved}">'


def test_an_entry_is_escaped_and_linked():
    entry = "A `<b>` & an [entry](#other-one).\n\n    a < b\n"
    assert entry_html(entry) == (
        "<p>A <code>&lt;b&gt;</code> &amp; an "
        '<a role="button" tabindex="0" data-term="other-one">entry</a>.</p>'
        "<pre>a &lt; b</pre>"
    )


def test_terms_are_those_of_the_glossary():
    entries = glossary_entries()
    page = (shipped_folder("docs") / "glossary.md").read_text("utf-8")
    assert list(entries) == re.findall(r"^### (.+)$", page, re.MULTILINE)
    text = rnb.terms()._repr_mimebundle_()["text/html"]
    assert all(f'"{anchor(name)}":' in text for name in entries)
    with pytest.raises(KeyError):
        term("no such term", "words")


def test_a_dial_of_ones_own_study():
    ds = rnb.make_study(n_problems=40, n_attempts=10, seed=3)
    dial = rnb.cost_dial(ds)
    names = [each["name"] for each in dial.told["strategies"]]
    assert names == [
        "Try again",
        "The published rule",
        "One operator for all",
        "Count, then choose",
    ]
    assert dial.told["sentences"][dial.start] in dial._repr_mimebundle_()["text/plain"]
