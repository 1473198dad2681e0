"""Which outputs of a notebook can be seen: opened again without what made them, or converted."""

import subprocess
import sys

import nbformat
from chromium import closed_context
from lab_page import OPEN
from nbformat.sign import NotebookNotary

VIEW = "application/vnd.jupyter.widget-view+json"

#: One entry for each output on the page: whether anything of it can be seen, and its text.
SEEN = """() => [...document.querySelectorAll(".jp-OutputArea-child")].map((child) => {
    const box = child.getBoundingClientRect();
    const drawn = [...child.querySelectorAll("img")].every((one) => one.naturalWidth > 0);
    const some = child.innerText.trim() || child.querySelector("img, svg");
    const seen = getComputedStyle(child).display !== "none" && box.height > 8 && some && drawn;
    return [Boolean(seen), child.innerText.trim()];
})"""
#: As many outputs as the file has, and every picture is there.
READY = """(outputs) => document.querySelectorAll(".jp-OutputArea-child").length === outputs
    && [...document.querySelectorAll(".jp-OutputArea-child img")].every((one) => one.complete)
    && !document.body.innerText.includes("Loading widget")"""


def outputs_of(notebook):
    """Return every output of a notebook: of a widget there are two, itself and its still."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def without_state(path, server):
    """Write a copy without the state of widgets, as JupyterLab saves it by default; trusted."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    copy = path.with_name(f"reopened-{path.name}")
    nbformat.write(notebook, copy)
    notary = NotebookNotary(data_dir=str(server.root.parent / "data"))
    notary.sign(nbformat.read(copy, as_version=4))
    notary.store.close()
    return copy


def seen(page, notebook):
    """Return how many outputs should be seen, and how many are; nothing says what is missing."""
    outputs = outputs_of(notebook)
    page.wait_for_function(READY, arg=len(outputs), timeout=OPEN)
    found = page.evaluate(SEEN)
    assert not [text for can_be_seen, text in found if can_be_seen and "not found" in text]
    live = sum(VIEW in output.get("data", {}) for output in outputs)
    return len(outputs) - live, sum(can_be_seen for can_be_seen, _ in found)


def seen_in_html(browser, path, notebook):
    """Return how many outputs are seen in the page that nbconvert makes, with the network off."""
    call = [sys.executable, "-m", "nbconvert", "--to", "html", str(path)]
    subprocess.run(call, check=True, capture_output=True, timeout=300)
    # nbconvert itself asks for the typesetting of formulas; everything is shown without it.
    context, _ = closed_context(browser)
    try:
        page = context.new_page()
        page.goto(path.with_suffix(".html").as_uri(), timeout=OPEN)
        return seen(page, notebook)[1]
    finally:
        context.close()
