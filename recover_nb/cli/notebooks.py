"""Copy the notebooks out of the package, with the pages and pictures that they link to.

Every link works in the copy.

Notebooks travel in the package; a reader wants them in a folder of their own, where they can be
changed and saved.
"""

import json
import posixpath
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from recover_nb.core.errors import InputError
from recover_nb.core.shipped import shipped_folder
from recover_nb.core.writable import cannot_write

NOTEBOOKS = "notebooks"
#: What is copied where a link leads to it; another link becomes plain text.
COPIED = (".ipynb", ".md", ".png", ".svg")
#: How many names an error lists.
MOST_NAMED = 5

#: A link or a picture of Markdown to a file beside the text: not to a place in the text, and not to
#: another host.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def copy_notebooks(folder: str | Path) -> list[Path]:
    """Write the notebooks into `folder`, and what they link to into folders in it.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing. Other files in it are left alone.

    Returns
    -------
    list of Path
        The notebooks, in their order.

    Raises
    ------
    InputError
        If a file is already where one would be written, `folder` is no folder, or it cannot be
        written: nothing is left there then.
    """
    folder = Path(folder)
    files = gathered()
    _check_free(folder, sorted(files))
    made: list[Path] = []
    try:
        for name, content in files.items():
            path = folder / name
            _make_folder(path.parent, made)
            with path.open("xb") as file:
                made.append(path)
                file.write(content)
    except BaseException as error:
        for path in reversed(made):
            # What went wrong first is what is told.
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            raise cannot_write(folder, error) from error
        raise
    return sorted(folder / name for name in files if name.endswith(".ipynb"))


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder and those it lies in, and note which are new."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
        made.append(each)


def _check_free(folder: Path, names: list[str]) -> None:
    for parent in (folder, *folder.parents):
        if parent.exists() and not parent.is_dir():
            raise InputError(f"{parent} is not a folder; name a folder, which may be new")
    # A link that leads nowhere is taken, too.
    taken = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if taken:
        more = f" and {len(taken) - MOST_NAMED} more" if len(taken) > MOST_NAMED else ""
        raise InputError(
            f"{folder} has {', '.join(taken[:MOST_NAMED])}{more} already, and nothing is"
            " overwritten; name another folder, or move them first"
        )


def gathered() -> dict[str, bytes]:
    """Return path in the folder -> content, of every notebook and of all that it leads to.

    This includes what it leads to indirectly.
    """
    queue = [f"{NOTEBOOKS}/{path.name}" for path in shipped_folder(NOTEBOOKS).glob("*.ipynb")]
    found: dict[str, bytes] = {}
    while queue:
        origin = queue.pop()
        if _place(origin) in found:
            continue
        content = _source(origin).read_bytes()
        if origin.endswith((".ipynb", ".md")):
            text, targets = _relinked(content.decode(), origin)
            content = text.encode()
            queue += targets
        found[_place(origin)] = content
    return found


def _source(origin: str) -> Path:
    """Return where a file lies that is called `origin` in a checkout."""
    first, _, rest = origin.partition("/")
    return shipped_folder(first) / rest


def _place(origin: str) -> str:
    """Return where the copy lies, from the folder."""
    return origin.removeprefix(f"{NOTEBOOKS}/")


def _is_copied(origin: str) -> bool:
    if not origin.endswith(COPIED) or origin.startswith("..") or "/" not in origin:
        return False
    try:
        return _source(origin).is_file()
    except InputError:
        return False


def _relinked(text: str, origin: str) -> tuple[str, list[str]]:
    """Return a page or notebook with links pointed at the copies, and the files they lead to."""
    targets: list[str] = []
    here = posixpath.dirname(origin)

    def moved(link: re.Match[str]) -> str:
        mark, words, path, place = link.groups()
        target = posixpath.normpath(posixpath.join(here, path))
        if not _is_copied(target):
            return words
        targets.append(target)
        path = posixpath.relpath(_place(target), posixpath.dirname(_place(origin)) or ".")
        return f"{mark}[{words}]({path}{place or ''})"

    if PurePosixPath(origin).suffix == ".ipynb":
        return _in_markdown(text, lambda line: _LINK.sub(moved, line)), targets
    return _LINK.sub(moved, text), targets


def _in_markdown(text: str, change: Callable[[str], str]) -> str:
    """Return a notebook whose Markdown cells have changed; the rest stays as it was written."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = change("".join(cell["source"])).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
