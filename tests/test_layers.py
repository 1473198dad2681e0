"""No module imports leftwards, only its own layer and those before it (docs/design.md)."""

import ast
from pathlib import Path

import pytest

import recover_nb

ROOT = Path(recover_nb.__file__).parent

#: From left to right. A name stands for a module or a whole folder.
LAYERS = (
    ("errors", "labels", "checkpoints", "places", "escaping"),
    ("schema", "tasks", "signal_math"),
    ("signals", "signals_topk"),
    ("reliability", "features"),
    ("recoverability", "resampling"),
    ("agreement",),
    ("routing",),
    ("derive",),
    ("split_half",),
    ("remapping",),
    ("clustering",),
    ("nulls", "budgets", "summaries", "estimators", "tabulation", "evaluation", "simulate"),
    ("prediction", "ngrams", "units"),
    ("topography", "transfer"),
    ("io",),
    ("theme",),
    ("decoding",),
    ("lab",),
    ("study",),
    (
        "transcripts",
        "reading",
        "trials",
        "ablations",
        "routers",
        "tables",
        "charts",
        "charts_ablations",
        "charts_routers",
        "charts_clustering",
        "charts_remapping",
        "charts_topography",
        "charts_prediction",
        "charts_traces",
    ),
    ("claims",),
    ("widgets",),
    ("report",),
    ("converters", "commands", "cli"),
)
PLACE = {name: place for place, layer in enumerate(LAYERS) for name in layer}

#: Need torch, so nothing outside these (and the command line, inside functions) may import them.
TORCH = {
    "decoding",
    "lab",
    "study.ablation",
    "study.cluster",
    "study.generate",
    "study.imported",
    "study.live",
    "study.recompute",
    "study.runner",
    "study.stepping",
    "study.surgery",
}

MODULES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py"))


def unit_of(module):
    """Return the layer name of a dotted module below recover_nb."""
    return module.split(".")[0]


def imports(path, top_level_only=False):
    """Return what a module imports from recover_nb, dotted and without the package."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if not top_level_only else _top_level(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "recover_nb":
            base = node.module.split(".")[1:]
            found |= {".".join(base)} if base else {each.name for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                each.name.partition(".")[2]
                for each in node.names
                if each.name.startswith("recover_nb.")
            }
    return {
        name for name in found if name and (ROOT / name.split(".")[0]).with_suffix("").name in PLACE
    }


def _top_level(tree):
    """Nodes that run on import: not in functions, not under TYPE_CHECKING."""
    stack = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        stack.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_every_module_has_a_layer(module):
    assert module.split("/")[0] in PLACE, (
        f"{module} is in no layer: add it to LAYERS and docs/design.md"
    )


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_nothing_imports_leftwards(module):
    here = module.split("/")[0]
    later = [name for name in imports(ROOT / f"{module}.py") if PLACE[unit_of(name)] > PLACE[here]]
    assert not later, f"{module} imports {', '.join(later)}, which is to its right"


@pytest.mark.parametrize("module", MODULES)
def test_only_generation_imports_torch_when_imported(module):
    dotted = module.removesuffix("/__init__").replace("/", ".")
    if unit_of(dotted) in TORCH or dotted in TORCH:
        return
    path = ROOT / f"{module}.py"
    heavy = {
        name
        for name in imports(path, top_level_only=True)
        if unit_of(name) in TORCH or name in TORCH
    }
    assert not heavy, (
        f"{module} imports {', '.join(heavy)} at the top; import it inside the function"
    )
    tops = [
        node
        for node in _top_level(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {each.name for node in tops if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in tops if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & {"torch", "transformers"}


def test_layer_test_can_fail(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from recover_nb.cli import main\nfrom recover_nb import report\n")
    assert imports(wrong) == {"cli", "report"}
    assert PLACE["cli"] > PLACE["signals"]
