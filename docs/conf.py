"""The site: Sphinx, MyST-NB, the theme Furo.

Its sources are what ``docs/pages.py`` gathers; it opens offline.
"""

import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature
from traitlets import HasTraits

import recover_nb

project = "recover_nb"
version = release = recover_nb.__version__
author = "The recover_nb developers"
copyright = author

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb"]
root_doc = "index"
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
suppress_warnings = ["toc.excluded"]
# `name` in a docstring is a link where it is a public name, and code where it is not.
default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"

autodoc_typehints = "none"  # numpydoc's sections tell the types
autodoc_preserve_defaults = True
numpydoc_show_class_members = False

# Notebooks have run when they come here, and their widgets are written as HTML: nothing is loaded
# for either.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True
myst_heading_anchors = 4

html_theme = "furo"
html_title = "recover_nb"
html_static_path = ["site.css", "site.js"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
# Summaries would be fetched, which a page opened from a file cannot do; results are found without
# them.
html_show_search_summary = False

#: What a page may load: what lies beside it. Vega compiles its expressions; widgets are modules in
#: the page.
POLICY = (
    "default-src 'none'; script-src 'self' file: blob: 'unsafe-inline' 'unsafe-eval'; style-src"
    " 'self' file: 'unsafe-inline'; img-src 'self' file: data: blob:; font-src 'self' file: data:;"
    " base-uri 'none'; form-action 'self' file:"
)


def add_policy(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let no page load anything from elsewhere, whatever an output of a notebook asks for."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    context["metatags"] = policy + context.get("metatags", "")


def level_captions(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say of which level the captions over lists of pages are: Sphinx calls them headings."""
    for name in ("body", "furo_navigation_tree"):
        if name in context:
            context[name] = context[name].replace(
                '<p class="caption" role="heading">',
                '<p class="caption" role="heading" aria-level="2">',
            )


def link_pages(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Make ``docs/PAGE.md#ANCHOR`` in a docstring a link.

    Pages with docstrings lie one folder down.
    """
    for number, line in enumerate(lines):
        lines[number] = re.sub(
            r"`*docs/([\w-]+)\.md#([\w-]+)`*", r"`\1: \2 <../\1.html#\2>`__", line
        )


def sign_widgets(
    app: Sphinx, what: str, name: str, obj: Any, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Show the arguments of a widget, which traitlets hides behind its own."""
    if what != "class" or not issubclass(obj, HasTraits):
        return None
    given = inspect.signature(obj.__init__)
    own = [each for each in given.parameters.values() if each.name not in ("self", "args")]
    return stringify_signature(given.replace(parameters=own), show_annotation=False), returns


def add_slugs(app: Sphinx, doctree: nodes.document) -> None:
    """Give headings the anchors that GitHub gives them, beside Sphinx's own."""
    for section in doctree.findall(nodes.section):
        slug = section.get("slug")
        if slug and slug not in section["ids"]:
            section["ids"].append(slug)


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("html-page-context", add_policy)
    # After the theme, which writes the list of pages.
    app.connect("html-page-context", level_captions, priority=900)
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("autodoc-process-signature", sign_widgets)
    app.connect("doctree-read", add_slugs)
