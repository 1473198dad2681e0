"""Gather what the site is made of: pages of ``docs``, the data card, and notebooks that have run.

``make docs`` runs this.

Widgets of a notebook are shown as they stood when it had run, by the stills that they leave
themselves. Sphinx and MyST-NB (``docs/conf.py``) make the site of what is gathered here.
"""

import argparse
import copy
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import nbformat
from nbclient import NotebookClient

from recover_nb.widgets.parts.classroom import ANSWERS

VIEW = "application/vnd.jupyter.widget-view+json"

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"

#: Pages from elsewhere than ``docs`` and ``notebooks``: file of the repository -> file of the site.
ELSEWHERE = {
    "data/README.md": "data.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}

#: Lists what a call has gathered, so that the next one removes nothing else.
GATHERED = ".gathered"


def execute(path: Path, *, timeout: int = 600, more: Iterable[str] = ()) -> nbformat.NotebookNode:
    """Return a notebook as it is after it has run in its own folder; a cell that fails raises.

    Predictions work out their answers, which no reader of a page can ask for, and fold them away.

    Parameters
    ----------
    path : Path
    timeout : int
        Seconds for a cell.
    more : iterable of str
        Cells that run after those of the notebook. They are its last; their errors are outputs.
    """
    notebook = nbformat.read(path, as_version=4)
    for source in more:
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]})
        notebook.cells.append(cell)
    NotebookClient(
        notebook, timeout=timeout, resources={"metadata": {"path": str(path.parent)}}
    ).execute(env={**os.environ, ANSWERS: "1"})
    return notebook


def stilled(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an executed notebook without its live widgets: what needs no kernel stays.

    Parameters
    ----------
    notebook : NotebookNode
        After `execute`; it is not changed.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(VIEW, None)
    return notebook


def title(notebook: nbformat.NotebookNode) -> str:
    """Return the first heading of a notebook."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else "notebook"


def place(path: str) -> str:
    """Return where a file of the repository lies in the site, both as paths from the top."""
    return ELSEWHERE.get(path, path.removeprefix("docs/"))


def _leads_to(link: str, path: str) -> str:
    """Return where a relative link of a file of the repository leads from its page in the site."""
    target = place(posixpath.normpath(posixpath.join(posixpath.dirname(path), link)))
    return posixpath.relpath(target, posixpath.dirname(place(path)) or ".")


def relink(text: str, path: str) -> str:
    """Point the relative links of Markdown at where their files lie in the site.

    Parameters
    ----------
    text : str
    path : str
        The file of the repository that the text is from.
    """

    def moved(found: re.Match[str]) -> str:
        return f"]({_leads_to(found[1], path)}{found[2] or ''})"

    return re.sub(r"\]\((?![\w+.-]+:|#)([^)#\s]+)(#[^)\s]*)?\)", moved, text)


def relink_html(text: str, path: str) -> str:
    """Point the relative links of an HTML output at pages of the site.

    Parameters
    ----------
    text : str
    path : str
        The notebook of the repository that the output is from.
    """

    def moved(found: re.Match[str]) -> str:
        page = posixpath.splitext(_leads_to(found[1], path))[0]
        mark = re.sub(r"[^\w-]", "", unquote(found[2] or "").lower())
        return f'href="{page}.html{"#" if mark else ""}{mark}"'

    return re.sub(r'href="(?![\w+.-]+:|#|/)([^"#?]+\.(?:ipynb|md))(#[^"]*)?"', moved, text)


def sources() -> Iterator[Path]:
    """Yield every file of the repository that the site is made of."""
    docs = ROOT / "docs"
    for pattern in ("*.md", "*.png", "*.svg", "*.webp", "findings/*.svg", "api/*.rst"):
        yield from sorted(docs.glob(pattern))
    yield from (ROOT / path for path in ELSEWHERE if (ROOT / path).exists())
    yield from sorted(NOTEBOOKS.glob("*.ipynb"))


def gather(path: Path, out: Path, run: Callable[[Path], nbformat.NotebookNode] = execute) -> Path:
    """Write what the site shows of a file of the repository into the folder `out`.

    `run` executes a notebook.
    """
    name = path.relative_to(ROOT).as_posix()
    target = out / place(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".ipynb":
        if not stale(target, path):
            return target
        print(f"{name} ...", flush=True)
        notebook = stilled(run(path))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = relink(cell.source, name)
            for output in cell.get("outputs", []):
                if "text/html" in output.get("data", {}):
                    output["data"]["text/html"] = relink_html(output["data"]["text/html"], name)
        nbformat.write(notebook, target)
    elif path.suffix == ".md":
        target.write_text(relink(path.read_text("utf-8"), name), "utf-8")
    else:
        shutil.copyfile(path, target)
    return target


def stale(target: Path, notebook: Path) -> bool:
    """Return whether a notebook has to run again: it or what it runs on is newer than `target`."""
    if not target.exists():
        return True
    folders = (ROOT / "recover_nb", ROOT / "data", Path(__file__).parent)
    used = [
        each
        for folder in folders
        for each in folder.rglob("*")
        if each.suffix in (".py", ".js", ".css", ".zip")
    ]
    return max(each.stat().st_mtime for each in [notebook, *used]) > target.stat().st_mtime


def build(
    out: Path, *, workers: int, run: Callable[[Path], nbformat.NotebookNode] = execute
) -> None:
    """Gather everything into the folder `out`, and remove what is gone from the repository."""
    paths = list(sources())
    before = gathered(out, {out / place(path.relative_to(ROOT).as_posix()) for path in paths})
    # Each notebook has a process of its own; the threads wait for them.
    with ThreadPoolExecutor(workers) as pool:
        kept = set(pool.map(lambda path: gather(path, out, run), paths))
    for path in before - kept:
        path.unlink()
    (out / GATHERED).write_text(
        "".join(f"{path.relative_to(out).as_posix()}\n" for path in sorted(kept)), "utf-8"
    )


def gathered(out: Path, wanted: set[Path]) -> set[Path]:
    """Return the files that an earlier call gathered in `out`; stop if there are others.

    The others would be lost.
    """
    record = out / GATHERED
    listed = (
        {out / name for name in record.read_text("utf-8").splitlines()}
        if record.is_file()
        else set()
    )
    found = {path for path in out.rglob("*") if path.is_file() and path != record}
    strange = sorted(found - listed - wanted)
    if strange:
        raise SystemExit(
            f"{strange[0]} was not gathered here; move it away, or gather the site in another"
            " folder"
        )
    return found


def main() -> None:
    """Gather the sources of the site."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the sources")
    parser.add_argument(
        "--workers", type=int, default=min(4, os.cpu_count() or 1), help="notebooks at a time"
    )
    given = parser.parse_args()
    build(given.out.resolve(), workers=given.workers)


if __name__ == "__main__":
    main()
