"""The page of the method: headings can be linked, links to it arrive, functions it names exist."""

import ast
import json
import re
from pathlib import Path

import pytest

import recover_nb

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "recover_nb"
TEXT = (ROOT / "docs" / "method.md").read_text("utf-8")
WIDTH = 120
#: Ways to name a section of the page without a link; comments and line ends are taken out first.
BARE = re.compile(
    r"method\.md(?!#)\W{0,3}sections?\s+\d|sections?\s+\d[\w ,]*?\sof\s+\S*method\.md(?!#)"
)


def headings(text):
    """Return (level, heading) of every heading outside code blocks."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [
        (len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", outside, re.MULTILINE)
    ]


def slugs(text):
    """Return what GitHub links each heading by, repetitions numbered."""
    found = {}
    for _, title in headings(text):
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        yield f"{slug}-{found[slug]}" if found[slug] else slug


SLUGS = set(slugs(TEXT))


def dead_links(text):
    """Return the links to the page that lead to none of its headings."""
    return sorted(set(re.findall(r"(?<![\w-])method\.md#([\w-]+)", text)) - SLUGS)


def joined(text):
    """Return text without line ends, and without the marks of comments that go on."""
    return re.sub(r"\s*\n\s*(#:?\s*)?", " ", text)


def texts(paths):
    """Return path -> text; of a notebook, its cells."""
    found = {}
    for path in paths:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        found[path.relative_to(ROOT).as_posix()] = text
    return found


MODULES = texts(sorted(PACKAGE.rglob("*.py")))
PAGES = texts(
    [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "notebooks").glob("*.ipynb")),
    ]
)


def test_slugs_are_those_of_github():
    text = (
        "# The method\n## 8. Estimators\n### BCa interval\n### Rescue@k, c / n\n### BCa"
        " interval\n```\n# no\n```\n"
    )
    assert list(slugs(text)) == [
        "the-method",
        "8-estimators",
        "bca-interval",
        "rescuek-c--n",
        "bca-interval-1",
    ]


def test_sections_are_numbered_in_order():
    numbers = [re.match(r"(\d+)\. ", title) for level, title in headings(TEXT) if level == 2]
    assert [int(each[1]) for each in numbers if each] == list(range(1, 20))


def test_headings_are_short_plain_and_there_is_one_of_each():
    plain = re.compile(r"(\d+\. )?[\w-]+( [\w-]+){0,2}")
    assert not [title for _, title in headings(TEXT) if not plain.fullmatch(title)]
    assert len(SLUGS) == len(headings(TEXT))


def test_lines_fit():
    assert not [line for line in TEXT.splitlines() if len(line) > WIDTH]


def test_links_within_the_page_arrive():
    linked = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert linked
    assert set(linked) <= SLUGS


def test_files_that_the_page_links_to_are_there():
    linked = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT)
    assert not [
        each for each in linked if "://" not in each and not (ROOT / "docs" / each).exists()
    ]


def test_links_to_the_page_arrive():
    dead = {name: dead_links(text) for name, text in (MODULES | PAGES).items()}
    assert not {name: found for name, found in dead.items() if found}


@pytest.mark.parametrize(
    "doctored",
    [
        "See docs/method.md#no-such-heading.",
        "[here](method.md#8-estimator)",
        "docs/method.md#Junction",
    ],
)
def test_a_dead_link_is_found(doctored):
    assert dead_links(doctored)
    assert not dead_links("docs/method.md#junction, docs/method.md#8-estimators; mymethod.md#none")


def test_functions_that_the_page_names_are_there():
    defined = set()
    for text in MODULES.values():
        nodes = list(ast.walk(ast.parse(text)))
        defined |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    sentences = re.findall(r"Computed by (.+?)(?:\.\s|\.$|;)", joined(TEXT))
    computed = {name for sentence in sentences for name in re.findall(r"`(\w+)`", sentence)}
    assert len(computed) > 10
    assert computed <= defined, sorted(computed - defined)
    public = set(re.findall(r"`rnb\.(\w+)", TEXT))
    assert public <= set(dir(recover_nb)), sorted(public - set(dir(recover_nb)))
    # Looked up by name, not imported: some need torch.
    inner = set(re.findall(r"`rnb\.\w+\.(\w+)", TEXT))
    assert inner <= defined, sorted(inner - defined)


@pytest.mark.parametrize(
    "bare",
    [
        "Source: method.md section 3.",
        "the figure (method.md\n    sections 3 and 9)",
        "#: K of method.md\n#: section 2.",
        "as section 8 of docs/method.md says",
        "method.md, section 8",
    ],
)
def test_a_section_named_without_a_link_is_found(bare):
    assert BARE.search(joined(bare))
    assert not BARE.search(
        "docs/method.md#3-features, section 2 of the paper; docs/method.md#junction section"
    )


def test_no_section_is_named_without_a_link():
    assert not [name for name, text in MODULES.items() if BARE.search(joined(text))]
