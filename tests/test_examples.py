"""Examples in docstrings run, and every name that a notebook calls has one."""

import ast
import doctest
import inspect
import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from shipped_notebooks import NOTEBOOKS

import recover_nb as rnb

PACKAGE = Path(rnb.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documented(node, name):
    """Return what is documented under a node, as pairs of a dotted name and a docstring."""
    found = [(name, ast.get_docstring(node) or "")]
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.ClassDef):
            found += documented(each, f"{name}.{each.name}")
    return found


def with_examples():
    """Return the dotted names whose docstrings hold an example; nothing is imported for it."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        found += documented(ast.parse(path.read_text()), module)
    return {name for name, text in found if ">>>" in text}


def called():
    """Return the names of the package that cells of the notebooks call."""
    cells = [
        cell.source
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]
    return sorted(set(re.findall(r"\brnb\.((?:[a-z]+\.)*\w+)", "\n".join(cells))))


def defined(dotted):
    """Return where a public name is defined, as in `EXAMPLES`."""
    thing = reduce(getattr, dotted.split("."), rnb)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        thing = type(thing)  # a constant is told by its class
    return f"{thing.__module__}.{thing.__qualname__}".removeprefix("recover_nb.")


EXAMPLES = sorted(with_examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    if name.startswith("generation."):
        pytest.importorskip("torch")
    if name.startswith("tasks.reasoning_gym."):
        # The extra gym is in no lock: a part of it must be compiled.
        pytest.importorskip("reasoning_gym")
    parts = name.split(".")
    while (
        not (PACKAGE.joinpath(*parts)).is_dir()
        and not PACKAGE.joinpath(*parts).with_suffix(".py").exists()
    ):
        parts.pop()
    module = import_module(".".join(["recover_nb", *parts]))
    thing = reduce(getattr, name.split(".")[len(parts) :], module)
    tests = doctest.DocTestFinder(recurse=False).find(thing, name, module)
    assert len(tests) == 1 and tests[0].examples
    report = []
    outcome = doctest.DocTestRunner(optionflags=FLAGS).run(tests[0], out=report.append)
    assert not outcome.failed, "".join(report)


def test_every_name_that_a_notebook_calls_has_an_example():
    pytest.importorskip("torch")  # some names are of the room that needs it
    names = called()
    assert len(names) > 70
    assert {"story", "evaluate_routing", "tables.for_people"} <= set(names)
    missing = [name for name in names if defined(name) not in EXAMPLES]
    assert not missing, f"no example in the docstring of: {', '.join(missing)}"
