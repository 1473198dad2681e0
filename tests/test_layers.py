"""Rooms stand on floors: each imports from those below its own, and no file from itself."""

import ast
import re
from pathlib import Path

import house
import pytest

import recover_nb

ROOT = Path(recover_nb.__file__).parent
FLOOR = {room: place for place, floor in enumerate(house.FLOORS) for room in floor}
FILES = sorted(path for paths in house.rooms().values() for path in paths)

#: Need torch, so nothing outside these imports them when it is imported; inside functions it may.
TORCH = (
    "generation.ablation_run",
    "generation.decoding",
    "generation.distributed",
    "generation.generate",
    "generation.lab",
    "generation.recompute",
    "generation.recover",
    "generation.recovering",
    "generation.run",
    "generation.single_trace",
    "generation.steering",
    "generation.step_ahead",
    "generation.step_rows",
    "generation.step_scores",
    "generation.stepping",
    "generation.surgery",
    "generation.traces",
)


def needs_torch(module):
    """Return whether a module, or what holds it, is listed as one that needs torch."""
    return any(module == each or module.startswith(f"{each}.") for each in TORCH)


def name_of(path):
    """Return the dotted name of a file, without the package's."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def file_arrows(files):
    """Return file -> files it imports, when any of them is imported, by dotted name."""
    known = {name_of(path) for path in files}

    def found(name):
        return name if name in known else name.rpartition(".")[0]

    return {
        name_of(path): {found(name) for name in house.imports(path, top_level_only=True)}
        & known - {name_of(path)}
        for path in files
    }


def circle(graph):
    """Return one circle of a graph as a list of names, or an empty list."""
    done = set()
    for start in graph:
        trail, stack = [], [(start, iter(sorted(graph[start])))]
        trail.append(start)
        while stack:
            name, rest = stack[-1]
            following = next((each for each in rest if each not in done), None)
            if following is None:
                done.add(name)
                stack.pop()
                trail.pop()
            elif following in trail:
                return trail[trail.index(following) :]
            else:
                trail.append(following)
                stack.append((following, iter(sorted(graph[following]))))
    return []


def test_every_room_has_a_floor():
    assert set(house.rooms()) == set(FLOOR) == set(house.CAPTIONS)


def test_the_top_of_the_package_shows_the_rooms_and_little_else():
    entries = {
        path.name
        for path in ROOT.iterdir()
        if path.name not in ("__pycache__", "py.typed") and path.suffix != ".pyi"
    }
    assert entries == {*FLOOR, "__init__.py"}
    assert len(entries) <= 16 and len(house.FLOORS) <= 8


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_imports_up(path):
    here = FLOOR[path.relative_to(ROOT).parts[0]]
    room = path.relative_to(ROOT).parts[0]
    up = {
        name
        for name in house.imports(path)
        if name.partition(".")[0] in FLOOR
        and name.partition(".")[0] != room
        and FLOOR[name.partition(".")[0]] >= here
    }
    assert not up, f"{name_of(path)} imports {', '.join(sorted(up))}, which is not below it"


def test_no_file_imports_itself_through_others():
    assert circle(file_arrows(FILES)) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", [ROOT / "__init__.py", *FILES], ids=name_of)
def test_only_generation_imports_torch_when_imported(path):
    if needs_torch(name_of(path)):
        return
    heavy = {name for name in house.imports(path, top_level_only=True) if needs_torch(name)}
    assert not heavy, (
        f"{name_of(path)} imports {', '.join(heavy)} at the top; import it inside the function"
    )
    tops = [
        node
        for node in house._top_level(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {each.name for node in tops if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in tops if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & {"torch", "transformers"}


def test_an_import_that_runs_up_is_found(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from recover_nb.cli.main import main\nfrom recover_nb import report\n")
    assert house.imports(wrong) == {"cli.main.main", "report"}
    assert FLOOR["cli"] > FLOOR["features"]


def test_an_arrow_that_a_chain_stands_for_is_not_drawn():
    assert house.needed({("a", "b"), ("b", "c"), ("a", "c")}) == {("a", "b"), ("b", "c")}


def test_the_picture_is_drawn_from_the_imports():
    assert house.PICTURE.read_text("utf-8") == house.draw(), "run: make picture"


def test_every_room_has_a_paragraph():
    page = (house.ROOT / "docs" / "design.md").read_text("utf-8")
    assert re.findall(r"^### `(\w+)/`", page, re.MULTILINE) == [
        room for floor in house.FLOORS for room in floor
    ]
