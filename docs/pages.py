"""Run every notebook and write it as a page that opens anywhere, without a network or a kernel: ``make html``.

A page loads nothing: its content policy allows only what is in the file. Charts and token views work in it by
themselves; what needs a kernel is written as it stood when the notebook had run (`still`).
"""

import argparse
import copy
import html
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html
from still import STATE, Still, still_outputs

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
GLOSSARY = ROOT / "docs" / "glossary.md"

#: What a page may load: nothing. Its scripts, styles and pictures are in it; Vega compiles its expressions.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)

#: nbconvert's page of JupyterLab, less everything that it would fetch, plus the dark theme for those who ask for it.
TEMPLATE = """\
{%- extends "lab/index.html.j2" -%}
{% block html_head_js %}
<meta http-equiv="Content-Security-Policy" content="{{ resources.policy }}">
<meta name="color-scheme" content="light dark">
{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}
{{ resources.include_css("static/theme-dark.css")
   | replace("<style"|safe, '<style media="(prefers-color-scheme: dark)"'|safe) }}
<style>{{ resources.styles | safe }}</style>
{% endblock %}
{% block body_header %}
{{ super() }}
<nav class="still-note"><a href="index.html">Contents</a>. A notebook as it stood after it had run: controls show their
values, charts and traces can be hovered. To change something, open it in JupyterLab (<code>make lab</code>).</nav>
{% endblock %}
{% block body_footer %}
{{ resources.scripts | safe }}
{{ super() }}
{% endblock %}
"""

STYLES = """\
body { max-width: 1100px; margin: 0 auto; padding: 16px; background: var(--jp-layout-color0); }
body, .jp-RenderedHTMLCommon, .jp-OutputArea-output pre { color: var(--jp-content-font-color1); }
.still-box { margin: 6px 0; }
.still-row { display: flex; flex-wrap: wrap; gap: 12px; align-items: baseline; }
.jp-OutputArea-output { overflow-x: auto; }
.still-control { border: 1px solid var(--jp-border-color1); border-radius: 3px; padding: 1px 6px; margin: 2px; }
.still-note { color: var(--jp-content-font-color2); font-size: 13px; }
.still-note a { color: var(--jp-content-link-color); }
"""


def execute(path: Path, *, timeout: int = 600) -> nbformat.NotebookNode:
    """Return a notebook as it is after it has run in its own folder; a cell that fails raises."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(path.parent)}}).execute()
    return notebook


def page(notebook: nbformat.NotebookNode, folder: Path = NOTEBOOKS) -> str:
    """Return an executed notebook as one HTML page.

    Parameters
    ----------
    notebook : NotebookNode
        After `execute`; it is not changed.
    folder : Path
        Where the notebook lies, for the pictures it names.
    """
    notebook = copy.deepcopy(notebook)
    state = notebook.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    still = Still(state)
    still_outputs(notebook.cells, still.html)
    exporter = HTMLExporter(
        template_file="page.html.j2",
        extra_loaders=[DictLoader({"page.html.j2": TEMPLATE})],
        embed_images=True,
        exclude_anchor_links=True,
    )
    resources = {
        "metadata": {"name": title(notebook), "path": str(folder)},
        "policy": POLICY,
        "styles": STYLES + still.styles(),
        "scripts": still.scripts(),
    }
    text, _ = exporter.from_notebook_node(notebook, resources)
    return relink(text)


def title(notebook: nbformat.NotebookNode) -> str:
    """Return the first heading of a notebook."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else "notebook"


def relink(text: str) -> str:
    """Point links to notebooks and to the glossary at their pages."""
    text = re.sub(r'href="(?:\./)?([\w-]+)\.ipynb(#[^"]*)?"', r'href="\1.html\2"', text)
    return re.sub(r'href="(?:\.\./docs/)?glossary\.md(#[^"]*)?"', r'href="glossary.html\1"', text)


def plain_page(heading: str, body: str) -> str:
    """Return a page that is no notebook."""
    style = (
        ":root { color-scheme: light dark } body { max-width: 44em; margin: 2em auto; padding: 0 1em; "
        "font: 16px/1.5 system-ui, sans-serif } code { font-size: 0.95em } :target { background: Highlight } "
        ".anchor-link { margin-left: 0.3em; opacity: 0 } :hover > .anchor-link, .anchor-link:focus { opacity: 1 }"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{html.escape(heading)}</title><style>{style}</style></head><body>{body}</body></html>\n"
    )


def glossary_page(markdown: str) -> str:
    """Return the glossary as a page with the same anchors."""
    return plain_page("Glossary", relink(markdown2html(markdown)))


def index_page(titles: dict[str, str]) -> str:
    """Return a list of the pages; `titles` maps a notebook's name to its first heading."""
    items = "".join(f'<li><a href="{name}.html">{html.escape(text)}</a></li>' for name, text in titles.items())
    return plain_page("recover_nb", f'<h1>recover_nb</h1><ol>{items}</ol><p><a href="glossary.html">Glossary</a></p>')


def build(paths: Sequence[Path], out: Path) -> list[Path]:
    """Run notebooks and write their pages, the glossary and an index into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    written, titles = [], {}
    for path in paths:
        print(f"{path.name} ...", flush=True)
        notebook = execute(path)
        titles[path.stem] = title(notebook)
        written.append(out / f"{path.stem}.html")
        written[-1].write_text(page(notebook, path.parent), "utf-8")
    for name, text in (("glossary", glossary_page(GLOSSARY.read_text("utf-8"))), ("index", index_page(titles))):
        written.append(out / f"{name}.html")
        written[-1].write_text(text, "utf-8")
    return written


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the pages")
    for path in build(sorted(NOTEBOOKS.glob("*.ipynb")), parser.parse_args().out):
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
