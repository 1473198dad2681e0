"""Draw the rooms of the package and what imports what: ``make picture`` writes ``docs/house.svg``.

Measured from the imports, never drawn by hand: `tests/test_layers.py` holds the picture to the
code, and the code to the floors below.
"""

import ast
import html
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "recover_nb"
PICTURE = Path(__file__).with_name("house.svg")

#: From the ground up. A room imports from the floors below its own, and from nothing else.
FLOORS = (
    ("core",),
    ("stats", "tasks", "pages"),
    ("features",),
    ("clustering", "routing"),
    ("io", "prediction"),
    ("generation", "tables"),
    ("charts",),
    ("cli", "report", "widgets"),
)

#: What a newcomer looks for in each room.
CAPTIONS = {
    "core": "what a study is",
    "stats": "bootstrap, permutation, folds",
    "tasks": "problems and checkers",
    "pages": "plain data to HTML",
    "charts": "a study or a result, drawn",
    "features": "step 2: signals to features",
    "clustering": "step 3: are there clusters?",
    "routing": "step 4: what would rescue it?",
    "io": "from_..., to_..., the store",
    "prediction": "what else features tell",
    "generation": "step 1: rollouts, the one loop",
    "tables": "a frame to read",
    "widgets": "views for notebooks",
    "report": "HTML report, findings",
    "cli": "recover-nb",
}


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Return what a file imports from the package: dotted modules without the package's name."""
    tree = ast.parse(path.read_text("utf-8"))
    found = set()
    for node in _top_level(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "recover_nb":
            found |= {f"recover_nb.{each.name}" for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{each.name}" for each in node.names}
    return {name.partition(".")[2] for name in found if name.startswith("recover_nb.")}


def _top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when a module is imported, but for ``if TYPE_CHECKING:``."""
    todo = list(ast.iter_child_nodes(tree))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def rooms(package: Path = PACKAGE) -> dict[str, list[Path]]:
    """Return the Python files of each room, by the room's name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        if len(parts) > 1:
            found.setdefault(parts[0], []).append(path)
    return found


def arrows(package: Path = PACKAGE) -> set[tuple[str, str]]:
    """Return (room, room it imports) for every pair of rooms."""
    known = rooms(package)
    return {
        (room, name.partition(".")[0])
        for room, paths in known.items()
        for path in paths
        for name in imports(path)
        if name.partition(".")[0] in known and name.partition(".")[0] != room
    }


def needed(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the arrows that no chain of other arrows stands for: the ones that are drawn."""
    below = {a: {b for x, b in pairs if x == a} for a, _ in pairs}

    def reach(room: str) -> set[str]:
        return {far for near in below.get(room, ()) for far in {near, *reach(near)}}

    return {(a, b) for a, b in pairs if not any(b in reach(mid) for mid in below[a] if mid != b)}


WIDE, GAP, ROW, TALL, MARGIN = 220, 70, 96, 54, 20
WIDTH = 3 * WIDE + 2 * GAP + 2 * MARGIN


def draw(package: Path = PACKAGE) -> str:
    """Return the picture as SVG: rooms on their floors, and the arrows of `needed`."""
    pairs = arrows(package)
    boxes = _places()
    height = ROW * len(FLOORS) + MARGIN
    said = f"{len(boxes)} rooms, {len(FLOORS)} floors, {len(pairs)} arrows"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="The rooms of recover_nb: {said}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#8a94a6"/></marker></defs>',
    ]
    parts += [_arrow(boxes[a], boxes[b]) for a, b in sorted(needed(pairs))]
    parts += [_box(room, *box) for room, box in boxes.items()]
    return "\n".join([*parts, "</svg>", ""])


def _places() -> dict[str, tuple[float, float, float]]:
    """Return left edge, top and width of every room; the top floor is drawn first."""
    found = {}
    for place, floor in enumerate(reversed(FLOORS)):
        # The right-hand column is left to arrows that go far down.
        first = 0.5 if len(floor) == 1 else 0
        for column, room in enumerate(floor, 1):
            left = MARGIN + (first + column - 1) * (WIDE + GAP)
            found[room] = (left, MARGIN + place * ROW, WIDE)
    return found


def _arrow(source: tuple[float, float, float], goal: tuple[float, float, float]) -> str:
    x1, y1 = source[0] + source[2] / 2, source[1] + TALL
    x2, y2 = goal[0] + goal[2] / 2, goal[1]
    # Ends are pulled apart a little, so that arrows into one room do not lie on one another.
    x2 += max(-goal[2] / 3, min(goal[2] / 3, (x1 - x2) / 4))
    bend = (y2 - y1) / 2
    return (
        f'<path d="M{x1:.1f} {y1} C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} '
        f'{x2:.1f} {y2}" '
        'fill="none" stroke="#8a94a6" stroke-width="1.3" marker-end="url(#tip)"/>'
    )


def _box(room: str, left: float, top: float, wide: float) -> str:
    middle = left + wide / 2
    return (
        f'<g><rect x="{left:.1f}" y="{top}" width="{wide}" height="{TALL}" rx="6" '
        f'fill="#eef3fb" stroke="#3b6fb6"/>'
        f'<text x="{middle:.1f}" y="{top + 23}" text-anchor="middle" font-size="16" '
        f'font-weight="600" '
        f'fill="#1d2b45">{html.escape(room)}</text>'
        f'<text x="{middle:.1f}" y="{top + 42}" text-anchor="middle" font-size="11.5" '
        f'fill="#44526b">{html.escape(CAPTIONS[room])}</text></g>'
    )


def main() -> None:
    """Write the picture, and say what it shows."""
    PICTURE.write_text(draw(), "utf-8")
    print(f"{PICTURE.name}: {len(rooms())} rooms, {len(FLOORS)} floors, {len(arrows())} arrows")


if __name__ == "__main__":
    main()
