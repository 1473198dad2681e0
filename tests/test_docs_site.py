"""The site: widgets without a kernel, links, names; all of it built from notebooks not yet run."""

import re
import subprocess
import sys
from collections import namedtuple
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import ipywidgets
import nbformat
import pages
import pytest
from chromium import chromium, closed_context
from conf import link_pages

import recover_nb as rnb
from recover_nb.widgets import TokenView
from recover_nb.widgets.parts.lasting import Lasting

DOCS = Path(pages.__file__).parent

TOKENS = ["a", "</script><script>window.broken = true</script>", "<!--<script>", "b"]
WIDE = f"<table><tr>{'<td>wide</td>' * 200}</tr></table>"
LINK = "A [rollout](../docs/glossary.md#null-mean), the [tour](00_tour.ipynb#4-was-it-luck)."


def notebook_of(*widgets):
    """Return a notebook that has run and shown each widget."""
    shown = [bundle for each in widgets for bundle in each.outputs()]
    outputs = [nbformat.v4.new_output("display_data", bundle) for bundle in shown]
    cells = [
        nbformat.v4.new_markdown_cell(f"# Widgets\n{LINK}"),
        nbformat.v4.new_code_cell("show()", outputs=outputs),
    ]
    metadata = {"widgets": {"state": {}}, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def test_only_stills_of_widgets_are_shown():
    notebook = pages.stilled(notebook_of(Lasting([TokenView(tokens=["a"])])))
    live, kept = notebook.cells[1].outputs
    assert "widgets" not in notebook.metadata
    assert live.data == {"text/html": "<div></div>", "text/plain": "Lasting"}
    assert (
        '<span class="token" title=""><span class="said">a</span></span>' in kept.data["text/html"]
    )


def test_an_executed_notebook_is_not_changed():
    notebook = notebook_of(Lasting([TokenView(tokens=TOKENS)]))
    pages.stilled(notebook)
    assert "widgets" in notebook.metadata
    assert pages.VIEW in notebook.cells[1].outputs[0].data


@pytest.mark.parametrize(
    ("path", "link", "moved"),
    [
        ("notebooks/00_tour.ipynb", "01_next.ipynb", "01_next.ipynb"),
        ("notebooks/00_tour.ipynb", "./01_next.ipynb#cell", "01_next.ipynb#cell"),
        ("notebooks/00_tour.ipynb", "../docs/glossary.md#null-mean", "../glossary.md#null-mean"),
        ("notebooks/00_tour.ipynb", "../data/README.md", "../data.md"),
        ("docs/findings.md", "../data/README.md#aims", "data.md#aims"),
        ("docs/findings.md", "../notebooks/00_tour.ipynb", "notebooks/00_tour.ipynb"),
        ("data/README.md", "../docs/formats.md", "formats.md"),
        ("docs/glossary.md", "#cell", "#cell"),
        (
            "docs/glossary.md",
            "https://arxiv.org/abs/2606.05145",
            "https://arxiv.org/abs/2606.05145",
        ),
    ],
)
def test_links_lead_to_where_files_lie_in_the_site(path, link, moved):
    assert pages.relink(f"[x]({link})", path) == f"[x]({moved})"


@pytest.mark.parametrize("said", ["docs/method.md#rescue-at-k", "`docs/method.md#rescue-at-k`"])
def test_a_docstring_links_to_a_page(said):
    lines = [f"Defined in {said}.", "No link: docs/method.md."]
    link_pages(None, "function", "recover_nb.rescue_rate", None, None, lines)
    assert lines == [
        "Defined in `method: rescue-at-k <../method.html#rescue-at-k>`__.",
        "No link: docs/method.md.",
    ]


NAMES = [
    *(f"recover_nb.{name}" for name in rnb.__all__),
    *(
        f"recover_nb.{module}.{name}"
        for module in ("tables", "widgets")
        for name in getattr(rnb, module).__all__
    ),
]


def test_every_public_name_has_one_entry():
    text = "".join(path.read_text("utf-8") for path in (DOCS / "api").glob("*.rst"))
    entries = re.findall(r"^\.\. (?:auto|py:)\w+:: (\S+)$", text, re.MULTILINE)
    assert sorted(set(entries)) == sorted(entries)
    assert set(NAMES) <= set(entries)


class Page(HTMLParser):
    """What a page of the site loads, links to, can be linked by, and its styles and policy."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.anchors, self.styles, self.policy = [], [], set(), "", ""
        self._in_style = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        names = {"a": (), "link": ("href",)}.get(
            tag, ("src", "srcset", "data", "poster", "background")
        )
        self.loads += [value for name, value in attrs if name in names and value]
        self.links += [told["href"]] if tag == "a" and told.get("href") else []
        self.anchors |= {told[name] for name in ("id", "name") if told.get(name)}
        self.styles += told.get("style") or ""
        self.policy += (
            told["content"] if told.get("http-equiv") == "Content-Security-Policy" else ""
        )
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        self.styles += data if self._in_style else ""


#: What a style loads and is neither in the page nor beside it.
FOREIGN_STYLE = r"@import|url\(\s*[\"']?(?:https?:|//)"


def test_what_a_page_loads_is_found(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        '<a href="x" id="i"><script src="s"></script><img src="m"><style>@import "k"</style><p'
        ' style="z">'
    )
    page = Page(path)
    assert (page.loads, page.links, page.anchors, page.styles) == (
        ["s", "m"],
        ["x"],
        {"i"},
        '@import "k"z',
    )


Site = namedtuple("Site", "folder code said")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, and in it one notebook more, which has run: what it holds is not to be believed."""
    top = tmp_path_factory.mktemp("site")
    source, folder = top / "source", top / "site"
    pages.build(source, workers=1, run=lambda path: nbformat.read(path, as_version=4))
    view = TokenView(tokens=TOKENS, junction=1)
    extra = pages.stilled(notebook_of(Lasting([view, ipywidgets.HTML(WIDE)])))
    extra.cells[0].source = pages.relink(extra.cells[0].source, "notebooks/widgets.ipynb")
    nbformat.write(extra, source / "notebooks" / "widgets.ipynb")
    call = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-c",
        DOCS,
        "-d",
        top / "trees",
        source,
        folder,
    ]
    done = subprocess.run(call, capture_output=True, text=True, timeout=600)
    return Site(folder, done.returncode, done.stderr)


@pytest.fixture(scope="module")
def html(site):
    return {path: Page(path) for path in sorted(site.folder.rglob("*.html"))}


@pytest.mark.slow
class TestSite:
    def test_it_is_built_without_a_warning(self, site):
        assert site.code == 0, site.said

    def test_pages_load_only_what_lies_beside_them(self, html):
        assert len(html) > 25
        for path, page in html.items():
            for url in page.loads:
                parts = urlsplit(url)
                assert parts.scheme in ("", "data") and not parts.netloc, (
                    f"{path.name}: {url[:100]}"
                )
                assert parts.scheme or (path.parent / unquote(parts.path)).exists(), (
                    f"{path.name}: {url}"
                )
            assert not re.search(FOREIGN_STYLE, page.styles), path.name
            assert page.policy.startswith("default-src 'none'") and "http" not in page.policy

    def test_styles_load_nothing_from_elsewhere(self, site):
        for path in site.folder.rglob("*.css"):
            assert not re.search(FOREIGN_STYLE, path.read_text("utf-8")), path.name

    def test_links_arrive(self, html):
        broken, followed = [], 0
        for path, page in html.items():
            for link in page.links:
                parts = urlsplit(link)
                if parts.scheme:
                    continue
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                anchors = (
                    html[target].anchors | {"", "top"}
                    if target in html
                    else {""}
                    if target.is_file()
                    else ()
                )
                followed += 1
                if unquote(parts.fragment) not in anchors:
                    broken.append(f"{path.name}: {link}")
        assert followed > 1000
        assert not broken

    def test_every_public_name_has_an_anchor(self, html):
        anchors = set().union(
            *(page.anchors for path, page in html.items() if path.parent.name == "api")
        )
        assert set(NAMES) <= anchors

    @pytest.mark.browser
    def test_pages_open_offline(self, site, html):
        with chromium() as browser:
            context, asked = closed_context(browser, offline=True)
            for path in html:
                opened, errors, loaded = context.new_page(), [], []
                opened.on(
                    "console",
                    lambda said, into=errors: (
                        into.append(said.text) if said.type == "error" else None
                    ),
                )
                opened.on("pageerror", lambda error, into=errors: into.append(str(error)))
                opened.on(
                    "request", lambda asks, into=loaded: into.append(urlsplit(asks.url).scheme)
                )
                opened.goto(path.as_uri(), timeout=60_000)
                wide = opened.evaluate("document.documentElement.scrollWidth - innerWidth")
                opened.close()
                assert not errors, path.name
                assert wide <= 0, f"{path.name} scrolls sideways by {wide} pixels"
                assert set(loaded) <= {"file", "blob", "data"}, path.name
            assert not asked

    @pytest.mark.browser
    def test_search_finds_a_name(self, site):
        with chromium() as browser:
            context, asked = closed_context(browser, offline=True)
            opened = context.new_page()
            opened.goto((site.folder / "index.html").as_uri(), timeout=60_000)
            opened.locator("input[name=q]").first.fill("evaluate_routing")
            opened.keyboard.press("Enter")
            opened.locator("#search-results a", has_text="recover_nb.evaluate_routing").click(
                timeout=60_000
            )
            opened.wait_for_url("**/api/routing.html*#recover_nb.evaluate_routing", timeout=60_000)
            assert not asked

    @pytest.mark.browser
    def test_a_widget_is_seen_in_a_page(self, site):
        with chromium() as browser:
            context, asked = closed_context(browser, offline=True)
            opened, errors = context.new_page(), []
            opened.on(
                "console", lambda said: errors.append(said.text) if said.type == "error" else None
            )
            opened.goto((site.folder / "notebooks" / "widgets.html").as_uri(), timeout=60_000)
            tokens = opened.locator(".recover-nb-still .token")
            assert tokens.nth(1).is_visible()
            assert tokens.nth(1).text_content() == TOKENS[1].replace(" ", "\u00b7")
            assert opened.evaluate("window.broken") is None
            assert not errors
            assert not asked
