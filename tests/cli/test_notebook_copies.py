"""`recover-nb notebooks FOLDER`: links work, nothing is overwritten, all or nothing is written."""

import json
import re
from pathlib import Path

import pytest

from recover_nb.cli import notebooks
from recover_nb.cli.main import main
from recover_nb.cli.notebooks import copy_notebooks
from recover_nb.core.errors import InputError
from recover_nb.core.shipped import shipped_folder

LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#[^)\s]*)?\)")


def page(path):
    """Markdown of a page or a notebook."""
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def files(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Return a package: a notebook, and pages that lead to each other, outside and to a picture."""
    root = tmp_path / "package"
    texts = {
        "docs/terms.md": (
            "[the notebook](../notebooks/a.ipynb) [b](more.md#b) [card](../data/README.md)"
        ),
        "docs/more.md": (
            "# b\n![seen](seen.png) [code](../recover_nb/routing/policy.py)"
            " [gone](gone.md) [t](terms.md)"
        ),
        "docs/unused.md": "nobody leads here",
        "docs/seen.png": "a picture",
        "data/README.md": "[up](../README.md) [web](https://example.org/x.md) [b](../docs/more.md)",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "[terms](../docs/terms.md#x) [here](#A)"]},
        {"cell_type": "code", "source": ["print('[terms](../docs/terms.md)')"]},
    ]
    (root / "notebooks").mkdir()
    (root / "notebooks" / "a.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(notebooks, "shipped_folder", lambda name: root / name)
    return root


def test_what_is_linked_comes_along_and_no_more(shipped, tmp_path):
    assert copy_notebooks(tmp_path / "new" / "mine") == [tmp_path / "new" / "mine" / "a.ipynb"]
    mine = tmp_path / "new" / "mine"
    assert files(mine) == [
        "a.ipynb",
        "data/README.md",
        "docs/more.md",
        "docs/seen.png",
        "docs/terms.md",
    ]
    cells = json.loads((mine / "a.ipynb").read_text())["cells"]
    assert cells[0]["source"] == ["# A\n", "[terms](docs/terms.md#x) [here](#A)"]
    assert cells[1]["source"] == ["print('[terms](../docs/terms.md)')"]
    assert (
        page(mine / "docs/terms.md")
        == "[the notebook](../a.ipynb) [b](more.md#b) [card](../data/README.md)"
    )
    # What is not there to lead to becomes words.
    assert page(mine / "docs/more.md") == "# b\n![seen](seen.png) code gone [t](terms.md)"
    assert (
        page(mine / "data/README.md") == "up [web](https://example.org/x.md) [b](../docs/more.md)"
    )
    assert (mine / "docs/seen.png").read_text() == "a picture"


def test_every_link_of_the_shipped_notebooks_works(tmp_path):
    copied = copy_notebooks(tmp_path)
    assert [path.name for path in copied] == sorted(
        path.name for path in shipped_folder("notebooks").glob("*.ipynb")
    )
    n_links = 0
    for path in (*tmp_path.rglob("*.ipynb"), *tmp_path.rglob("*.md")):
        for target in LINK.findall(page(path)):
            leads_to = (path.parent / target).resolve() if target else path
            assert leads_to.is_file(), f"{path.name}: {target}"
            assert leads_to.is_relative_to(tmp_path.resolve())
            n_links += 1
    assert n_links > 100


def test_other_files_are_left_alone(shipped, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "b.ipynb").write_text("mine")
    copy_notebooks(tmp_path / "mine")
    assert (tmp_path / "mine" / "b.ipynb").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.ipynb", "docs/more.md"])
def test_nothing_is_overwritten_and_nothing_written_then(shipped, tmp_path, name):
    taken = tmp_path / "mine" / name
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    with pytest.raises(InputError, match=rf"has {name} already, and nothing is overwritten"):
        copy_notebooks(tmp_path / "mine")
    assert files(tmp_path / "mine") == [name] and taken.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_taken_too(shipped, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    with pytest.raises(InputError, match="nothing is overwritten"):
        copy_notebooks(tmp_path / "mine")
    assert not (tmp_path / "elsewhere.ipynb").exists()


def test_a_disk_that_is_full_leaves_no_half(shipped, tmp_path, monkeypatch):
    opened = Path.open

    def full(path, mode="r", *args, **kwargs):
        if path.name == "more.md" and "x" in mode:
            raise OSError(28, "No space left on device", str(path))
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(InputError, match=r"no room is left for .*mine \(No space left"):
        copy_notebooks(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_command_refuses_in_one_line(tmp_path, capsys):
    assert main(["notebooks", str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "mine" / "00_tour.ipynb")
    assert main(["notebooks", str(tmp_path / "mine")]) == 2
    assert re.search(r"has 00_tour\.ipynb, .* and \d+ more already", capsys.readouterr().err)
    (tmp_path / "file").write_text("")
    assert main(["notebooks", str(tmp_path / "file" / "mine")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == f"recover-nb: {tmp_path / 'file'} is not a folder; name a folder, which may be new"
    )
