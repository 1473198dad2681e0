"""The notebooks of the project: their errors once run, their exercises, and what they teach by."""

import ast
import html
import re
from collections import namedtuple
from pathlib import Path

import nbformat

STATE = "application/vnd.jupyter.widget-state+json"

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
TOUR = NOTEBOOKS[0]
NUMBERED = [path for path in NOTEBOOKS if path.stem[0].isdigit()]

#: `hint` and `solution` are the text of their folded blocks, None where there is none.
Exercise = namedtuple("Exercise", "number text hint solution")
#: What a notebook sets on something that it made under an earlier heading.
Late = namedtuple("Late", "cell name")

_FOLDED = re.compile(r"<details>\s*<summary>(\w+)</summary>\n\n(.*?)\n\n</details>", re.DOTALL)
#: Prints what each prediction has, as the kernel has it, and what waits for one.
PROBE = """
import json as _json
from recover_nb.widgets.parts.classroom import CLASSROOM as _CLASSROOM
print(_json.dumps([
    {"question": ask.question, "because": ask._because, "revealed": ask.revealed,
     "answer": ask._get("answer", ask._answer), "right": ask._get("right", ask._right)}
    for ask in _CLASSROOM.asks
]))
"""


def errors_of(notebook):
    """Return the errors in the outputs of cells, and those that `Output` widgets swallowed."""
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    swallowed = [
        out
        for model in models.values()
        if model.get("model_name") == "OutputModel"
        for out in model.get("state", {}).get("outputs", [])
    ]
    return [out for out in (*shown, *swallowed) if out["output_type"] == "error"]


def words_of(notebook):
    """Return the text of a notebook: its Markdown cells, one after the other."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def exercises(notebook):
    """Return the exercises: numbered items under ``## Exercises``, each with what it folds."""
    section = re.split(r"^## Exercises *$", words_of(notebook), flags=re.MULTILINE)[1:]
    text = re.split(r"^## ", section[0], flags=re.MULTILINE)[0] if section else ""
    parts = re.split(r"^(\d+)\. ", text, flags=re.MULTILINE)[1:]
    found = []
    for number, item in zip(parts[::2], parts[1::2], strict=True):
        folded = dict(_FOLDED.findall(item))
        asked = item.partition("<details>")[0].strip()
        found.append(Exercise(int(number), asked, folded.get("Hint"), folded.get("Solution")))
    return found


def code_of(solution):
    """Return the Python of a solution, or an empty text."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", solution or "", re.DOTALL | re.MULTILINE))


def sections(notebook):
    """Yield (number of the ``## `` heading a code cell stands under, cell)."""
    number = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            number += len(re.findall(r"^## ", cell.source, re.MULTILINE))
        else:
            yield number, cell


def set_late(notebook):
    """Return where a cell sets a trait of something that an earlier section made."""
    made, late = {}, []
    for number, cell in sections(notebook):
        tree = ast.parse(cell.source)
        here = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        made |= dict.fromkeys(here, number)
        names = dict.fromkeys(_names_set(tree))
        late += [Late(cell.id, name) for name in names if made.get(name, number) != number]
    return late


def _names_set(tree):
    """Yield the names whose attributes are set: by assignment, or by a call that sets traits."""
    for node in ast.walk(tree):
        stored = isinstance(getattr(node, "ctx", None), ast.Store)
        if stored and any(isinstance(each, ast.Attribute) for each in ast.walk(node)):
            yield from _root(node)
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "setattr" and node.args:
            yield from _root(node.args[0])
        if isinstance(called, ast.Attribute) and called.attr in ("set_trait", "set_state"):
            yield from _root(called)


def _root(node):
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def predictions(notebook):
    """Yield the calls of ``Predict``, as syntax."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
                if name == "Predict":
                    yield node


def in_the_open(output):
    """Return the text that an output shows while everything that folds is folded."""
    data = output.get("data", {})
    page = data.get("text/html")
    if page is None:
        return "".join(output.get("text", data.get("text/plain", "")))
    page = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    while "<details" in page:
        # The innermost first: those that fold may hold others.
        less = re.sub(
            r"<details\b(?:(?!<details).)*?</details>", "", page, count=1, flags=re.DOTALL
        )
        if less == page:
            break
        page = less
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def gives_away(text, ask):
    """Say whether a text has an answer in it: its sentence, its reason, or all of its figures."""
    sentences = [each.strip() for each in (ask["answer"], ask["because"]) if each.strip()]
    figures = set(re.findall(r"[+-]?\d+\.\d+", ask["answer"]))
    told = len(figures) > 1 and figures <= set(re.findall(r"[+-]?\d+\.\d+", text))
    return told or any(" ".join(each.split()) in text for each in sentences)


def read(path):
    """Return a notebook as it is committed."""
    return nbformat.read(path, as_version=4)
