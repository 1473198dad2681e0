"""No code comes in with data: no pickles, no weights but safetensors, remote code only if asked."""

import ast
import inspect
from pathlib import Path

import pytest

import recover_nb
from recover_nb.generation.decoding import load_pair

ROOT = Path(recover_nb.__file__).parents[1]
#: A call of any of these runs, or may run, what it reads.
CALLS = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def sources():
    """Return all Python that is shipped, beside tests."""
    folders = [ROOT / name for name in ("recover_nb", "binder", "benchmarks", "docs")]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(found) > 100
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def faults(source):
    """Return what is unsafe in a piece of Python, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [each.name for each in node.names] + [getattr(node, "module", "") or ""]
            found += [(node.lineno, name) for name in names if name.partition(".")[0] in MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in CALLS or name in ("torch.load", "torch.hub.load", "os.system", "yaml.load"):
            found.append((node.lineno, name))
        for word in node.keywords:
            constant = getattr(word.value, "value", None)
            if (word.arg, constant) in (
                ("allow_pickle", True),
                ("trust_remote_code", True),
                ("shell", True),
                ("weights_only", False),
                ("use_safetensors", False),
            ):
                found.append((node.lineno, f"{word.arg}={constant}"))
    return found


def test_nothing_that_is_read_is_run():
    unsafe = {
        str(path.relative_to(ROOT)): found
        for path in sources()
        if (found := faults(path.read_text()))
    }
    assert unsafe == {}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("torch.load('x')", "torch.load"),
        ("eval(text)", "eval"),
        ("np.load(p, allow_pickle=True)", "allow_pickle=True"),
        ("from_pretrained(x, trust_remote_code=True)", "trust_remote_code=True"),
        ("run(x, shell=True)", "shell=True"),
    ],
)
def test_this_test_can_fail(source, said):
    assert said in [name for _, name in faults(source)]


def test_safe_calls_pass():
    assert faults("model.eval()\nre.compile('x')\nnp.load(p)\nf(trust_remote_code=flag)") == []


def test_remote_code_is_off_unless_asked_for():
    assert inspect.signature(load_pair).parameters["trust_remote_code"].default is False
    assert inspect.signature(recover_nb.load_pair).parameters["trust_remote_code"].default is False


def test_weights_are_safetensors():
    shipped = [path.suffix for path in (ROOT / "data" / "lab").rglob("*") if path.is_file()]
    assert {".bin", ".pt", ".pth", ".pkl", ".ckpt"}.isdisjoint(shipped)
    assert shipped.count(".safetensors") == 10
