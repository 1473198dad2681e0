"""The glossary has every name, one or two sentences each, and every link to it arrives."""

import json
import re
from pathlib import Path

import pytest

from recover_nb.core.labels import Anchoring, Feature, Intervention, Regime, Signal

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "glossary.md").read_text("utf-8")
ENTRIES = dict(re.findall(r"^### ([^\n]+)\n(.+?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
HEADINGS = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)

#: Of docs/method.md, sections 1 to 8, beside the package's names for interventions and signals.
WORDS = """specialist; ancestor; rollout; failed; post-training method; family; problem unit;
    intervention; logits; top-k; junction; window; feature reliability; mixture; firing;
    threshold; warm-up; continuation; twin; rescue_rate; rescue at k; regime; route;
    z-score; policy; fallback; lift; published; null; excess; split; all; best fixed; random
    routing; permuted routing; oracle; paired bootstrap; permutation test; holm correction"""


def anchor(heading):
    """Return a plain heading's anchor, on which GitHub, JupyterLab and the pages agree."""
    return heading.replace(" ", "-")


ANCHORS = {anchor(heading) for heading in HEADINGS}


def test_headings_are_plain_and_there_is_one_of_each():
    assert len(ANCHORS) == len(HEADINGS)
    odd = [heading for heading in HEADINGS if not re.fullmatch(r"[a-z_]+([ -][a-z_]+)*", heading)]
    assert not odd


@pytest.mark.parametrize(
    "names", [Intervention, Signal, Feature, Regime], ids=lambda names: names.__name__
)
def test_every_name_of_the_package_has_an_entry(names):
    assert {name.value for name in names} <= set(HEADINGS)


@pytest.mark.parametrize("word", [" ".join(word.split()) for word in WORDS.split(";")])
def test_every_word_of_the_method_has_an_entry(word):
    assert word in HEADINGS


def test_values_that_share_an_entry_are_named_in_it():
    assert all(f"`{way.value}`" in ENTRIES["anchoring"] for way in Anchoring)


@pytest.mark.parametrize("heading", HEADINGS)
def test_an_entry_is_one_or_two_sentences(heading):
    prose = re.sub(r"^    .*$", "", ENTRIES[heading], flags=re.MULTILINE).strip()
    assert prose.endswith(".")
    assert len(re.findall(r"[.?!](?=\s|$)", prose)) in (1, 2), prose
    assert "$" not in ENTRIES[heading]


def test_the_page_is_short():
    assert len(TEXT.split()) <= 2350


def test_links_within_the_glossary_arrive():
    linked = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert linked <= ANCHORS


def sources():
    """Return name -> text of everything that may link to the glossary."""
    texts = {
        path.name: path.read_text("utf-8")
        for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    }
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        texts[path.name] = "\n".join(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
        )
    return texts


@pytest.mark.parametrize("name", sorted(sources()))
def test_links_to_the_glossary_arrive(name):
    linked = set(re.findall(r"glossary\.md#([\w-]+)", sources()[name]))
    assert linked <= ANCHORS, f"{name}: no entry {sorted(linked - ANCHORS)}"
