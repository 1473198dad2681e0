"""Checkpoint folders that somebody made to do harm, and what `load_pair` makes of each.

``python tests/generation/decoding/hostile_folders.py`` loads every one in a process of its own and
prints what came of it: a pair, a sentence, a traceback, a hang, or code that ran.
"""

import json
import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

from decoding_models import char_tokenizer, tiny_model

LOADS, REFUSED, EITHER = "loads", "refused", "either"
PAIR, SENTENCE, TRACEBACK, HANG, CODE = "pair", "sentence", "traceback", "hang", "code ran"
#: Seconds that a folder may take.
LIMIT = 20
#: Longest sentence that still is one.
LONGEST = 3000
#: What a folder's own code would make.
MARK = "ran"

CONFIG, GENERATION, WEIGHTS = "config.json", "generation_config.json", "model.safetensors"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
INDEX = "model.safetensors.index.json"
FILES = (CONFIG, GENERATION, WEIGHTS, INDEX, TOKENIZER, TOKENIZER_CONFIG)
#: Files that may lie beside them, and are read where they do.
MORE = ("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "vocab.json")


@cache
def good():
    """Return a folder with two checkpoints that fit each other, ``s`` and ``a``."""
    root = Path(tempfile.mkdtemp(prefix="hostile_"))
    for seed, name in enumerate(("s", "a")):
        tiny_model(seed=seed, vocab_size=28).save_pretrained(root / name)
        char_tokenizer().save_pretrained(root / name)
    return root


# ------------------------------------------------------------------ what lies in place of a file


def _socket(path):
    here = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)
    os.chdir(here)


def _outside(path):
    """Another good file, out of the folder: how the hub's own cache stores every file."""
    elsewhere = path.parent.parent / "blobs"
    elsewhere.mkdir(exist_ok=True)
    origin = good() / "s" / path.name
    if origin.is_file():
        shutil.copy(origin, elsewhere / path.name)
    path.symlink_to(elsewhere / path.name)


PLACED = {
    "a pipe": lambda path: os.mkfifo(path),
    "a socket": _socket,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "nothing in it": lambda path: path.write_bytes(b""),
    "deep lists": lambda path: path.write_text("[" * 200_000),
    "deep objects": lambda path: path.write_text('{"a":' * 200_000 + "1" + "}" * 200_000),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a text": lambda path: path.write_text('"\\u001b[2J"'),
    "null": lambda path: path.write_text("null"),
    "a long number": lambda path: path.write_text("9" * 100_000),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe\xff{}"),
    "NULs": lambda path: path.write_bytes(b"\0" * 4096),
}


def _placed(name, place):
    def change(folder):
        path = folder / name
        path.unlink(missing_ok=True)
        if name == INDEX:
            (folder / WEIGHTS).unlink()
        PLACED[place](path)

    return change


def _away(name):
    def change(folder):
        (folder / name).unlink(missing_ok=True)
        _outside(folder / name)

    return change


# ------------------------------------------------------------------ what a file says


def _said(name, **told):
    """Change what a JSON file says."""

    def change(folder):
        path = folder / name
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**found, **told}), "utf-8")

    return change


def _vocab(change):
    def changed(folder):
        path = folder / TOKENIZER
        told = json.loads(path.read_text("utf-8"))
        told["model"]["vocab"] = change(dict(told["model"]["vocab"]))
        path.write_text(json.dumps(told), "utf-8")

    return changed


def _renamed(text):
    """Give an ordinary token another name."""
    return _vocab(lambda vocab: {text if name == "x" else name: i for name, i in vocab.items()})


def _shared(change):
    """Change both checkpoints alike, so that they fit each other."""

    def changed(folder):
        change(folder)
        other = folder.parent / "a"
        shutil.rmtree(other)
        shutil.copytree(good() / "a", other)
        change(other)

    return changed


def _special(text):
    def change(folder):
        path = folder / TOKENIZER
        told = json.loads(path.read_text("utf-8"))
        for each in told["added_tokens"]:
            if each["content"] == "<pad>":
                each["content"] = text
        told["model"]["vocab"] = {
            text if name == "<pad>" else name: i for name, i in told["model"]["vocab"].items()
        }
        path.write_text(json.dumps(told), "utf-8")
        _said(TOKENIZER_CONFIG, pad_token=text)(folder)

    return change


def _tokenizer(**told):
    return _said(TOKENIZER, **told)


def _code(name):
    """Lay a module beside that makes a mark where it is run."""

    def change(folder):
        mark = folder.parent / MARK
        code = f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n"
        (folder / "evil.py").write_text(code)
        kinds = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
        told = {"auto_map": kinds}
        if name == TOKENIZER_CONFIG:
            told = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
        _said(name, **told, trust_remote_code=True)(folder)

    return change


class _Runs:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (self.mark,))


def _pickle(path):
    path.write_bytes(pickle.dumps(_Runs(str(path.parent.parent / MARK))))


def _pickled(folder):
    (folder / WEIGHTS).unlink()
    _pickle(folder / "pytorch_model.bin")


def _pickled_in_index(folder):
    _pickle(folder / "evil.bin")
    _index(lambda _: "evil.bin")(folder)


def _index(where):
    """Say in an index where weights are."""

    def change(folder):
        from safetensors import safe_open

        with safe_open(folder / WEIGHTS, "pt") as file:
            names = list(file.keys())
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        told = {"metadata": {}, "weight_map": {name: where(folder) for name in names}}
        (folder / INDEX).write_text(json.dumps(told))

    return change


def _named_by_config(folder):
    """Weights of another folder, named by the configuration."""
    (folder / WEIGHTS).rename(folder / "part.safetensors")
    _said(CONFIG, transformers_weights="../a/model.safetensors")(folder)


def _header(told, *, size=None):
    def change(folder):
        text = json.dumps(told).encode() if not isinstance(told, bytes) else told
        length = len(text) if size is None else size
        (folder / WEIGHTS).write_bytes(length.to_bytes(8, "little") + text)

    return change


def _template(text):
    def change(folder):
        (folder / "chat_template.jinja").write_text(text)

    return change


def _adapter(folder):
    """Name another base beside whole weights: none of it is to be asked for."""
    told = {"base_model_name_or_path": "evil/base", "peft_type": "LORA", "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(told))


def _merges(folder):
    told = json.loads((folder / TOKENIZER).read_text("utf-8"))
    vocab = told["model"]["vocab"]
    told["model"] = {"type": "BPE", "vocab": vocab, "merges": [["no", "such"]], "unk_token": "?"}
    (folder / TOKENIZER).write_text(json.dumps(told))


ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m"
LOOP = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
    "{% endfor %}{% endfor %}{% endfor %}"
)
PATTERN = {
    "type": "Split",
    "pattern": {"Regex": "(a+)+(a+)+(a+)+$"},
    "behavior": "Isolated",
    "invert": False,
}

FOLDERS = {
    **{f"{place}: {name}": (EITHER, _placed(name, place)) for name in FILES for place in PLACED},
    **{
        f"{place}: {name}": (EITHER, _placed(name, place))
        for name in MORE
        for place in list(PLACED)[:3]
    },
    **{f"out of the folder: {name}": (LOADS, _away(name)) for name in FILES if name != INDEX},
    # tokens
    "escapes in a token": (LOADS, _shared(_renamed(ESCAPES))),
    "escapes in a token of one": (REFUSED, _renamed(ESCAPES)),
    "an HTML comment as a token": (LOADS, _shared(_renamed("<!--<script>alert(1)</script>-->"))),
    "marks of direction in a token": (LOADS, _shared(_renamed("\u202eabc\u2066\u200b"))),
    "a NUL in a token": (LOADS, _shared(_renamed("a\0b"))),
    "half a character in a token": (EITHER, _shared(_renamed("\ud83d"))),
    "a token of 10 MB": (EITHER, _shared(_renamed("y" * 10_000_000))),
    "a token of 10 MB in one": (REFUSED, _renamed(" " * 10_000_000)),
    "escapes in the padding token": (LOADS, _shared(_special(ESCAPES))),
    "an empty token": (EITHER, _shared(_renamed(""))),
    "two tokens of one id": (EITHER, _shared(_vocab(lambda v: {**v, "x": v["y"]}))),
    "an id that is a text": (REFUSED, _vocab(lambda v: {**v, "x": "7"})),
    "an id that is negative": (REFUSED, _vocab(lambda v: {**v, "x": -7})),
    "an id that is half": (REFUSED, _vocab(lambda v: {**v, "x": 7.5})),
    "an id of 2**31": (REFUSED, _shared(_vocab(lambda v: {**v, "x": 2**31}))),
    "an id of 2**40": (REFUSED, _shared(_vocab(lambda v: {**v, "x": 2**40}))),
    "an id that is null": (REFUSED, _vocab(lambda v: {**v, "x": None})),
    "a vocabulary that is a list": (REFUSED, _vocab(list)),
    "an empty vocabulary": (REFUSED, _vocab(lambda v: {})),
    "merges of no token": (REFUSED, _merges),
    "a pattern that takes for ever": (EITHER, _shared(_tokenizer(pre_tokenizer=PATTERN))),
    "a pattern that is none": (
        REFUSED,
        _tokenizer(pre_tokenizer={**PATTERN, "pattern": {"Regex": "(((("}}),
    ),
    "a model of no type": (REFUSED, _tokenizer(model={"type": "Evil"})),
    "padding to 10**12": (
        EITHER,
        _shared(
            _tokenizer(
                padding={
                    "strategy": {"Fixed": 10**12},
                    "direction": "Left",
                    "pad_to_multiple_of": None,
                    "pad_id": 0,
                    "pad_type_id": 0,
                    "pad_token": "<pad>",
                }
            )
        ),
    ),
    "added tokens that are texts": (REFUSED, _tokenizer(added_tokens=["a", "b"])),
    "an end of sequence that is none": (EITHER, _said(TOKENIZER_CONFIG, eos_token={"a": 1})),
    "an end of sequence that is a number": (EITHER, _said(TOKENIZER_CONFIG, eos_token=7)),
    "a class that is none": (EITHER, _said(TOKENIZER_CONFIG, tokenizer_class="os.system")),
    "a class of another model": (EITHER, _said(TOKENIZER_CONFIG, tokenizer_class="T5Tokenizer")),
    "a file of its own named": (
        EITHER,
        _said(TOKENIZER_CONFIG, tokenizer_file="/dev/zero", vocab_file="/dev/zero"),
    ),
    "a name of another folder": (
        EITHER,
        _said(TOKENIZER_CONFIG, name_or_path="evil/hub", _name_or_path="evil/hub"),
    ),
    # code
    "code of a configuration": (EITHER, _code(CONFIG)),
    "code of a tokenizer": (EITHER, _code(TOKENIZER_CONFIG)),
    "pickled weights": (REFUSED, _pickled),
    "pickled weights beside": (LOADS, lambda folder: _pickle(folder / "pytorch_model.bin")),
    "pickled weights in an index": (REFUSED, _pickled_in_index),
    "pickled weights by name": (
        REFUSED,
        lambda folder: (_pickle(folder / "x.safetensors"), (folder / WEIGHTS).unlink()),
    ),
    "attention of a hub": (EITHER, _said(CONFIG, attn_implementation="evil/kernel")),
    "attention of a hub, within": (EITHER, _said(CONFIG, _attn_implementation="evil/kernel")),
    "a base of a hub beside": (EITHER, _adapter),
    # where weights are
    "an index of other names": (LOADS, _index(lambda _: "part.safetensors")),
    "an index that leads out": (REFUSED, _index(lambda f: "../a/model.safetensors")),
    "an index with a path": (REFUSED, _index(lambda f: str(f.parent / "a" / WEIGHTS))),
    "an index that names a device": (REFUSED, _index(lambda _: "/dev/zero")),
    "an index that names nothing": (REFUSED, _index(lambda _: "no.safetensors")),
    "an index that names numbers": (REFUSED, _index(lambda _: 7)),
    "an index that names itself": (REFUSED, _index(lambda _: INDEX)),
    "weights named by the configuration": (REFUSED, _named_by_config),
    # weights
    "a header of 2**63 bytes": (REFUSED, _header({}, size=2**63)),
    "a header of 10**8 bytes": (REFUSED, _header({}, size=10**8)),
    "a header of deep JSON": (REFUSED, _header(b"[" * 200_000)),
    "a header of huge shapes": (
        REFUSED,
        _header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}),
    ),
    "a header of negative shapes": (
        REFUSED,
        _header({"a": {"dtype": "F32", "shape": [-4, -4], "data_offsets": [0, 64]}}),
    ),
    "a header of texts": (
        REFUSED,
        _header({"a": {"dtype": "F32", "shape": ["4"], "data_offsets": [0, 16]}}),
    ),
    # what the configuration says
    **{
        f"{name} is {value!r}": (EITHER, _said(CONFIG, **{name: value}))
        for name, value in (
            ("num_hidden_layers", 10**7),
            ("num_hidden_layers", 10**12),
            ("num_hidden_layers", -1),
            ("num_hidden_layers", "2"),
            ("vocab_size", 10**9),
            ("hidden_size", 10**8),
            ("intermediate_size", 10**10),
            ("num_attention_heads", 0),
            ("num_attention_heads", 10**9),
            ("max_position_embeddings", 10**15),
            ("max_position_embeddings", -5),
            ("head_dim", 10**9),
            ("eos_token_id", "x"),
            ("eos_token_id", [[1]]),
            ("pad_token_id", 10**12),
            ("hidden_act", "__import__('os').system('x')"),
            ("model_type", "evil"),
            ("model_type", "../../evil"),
            ("model_type", ESCAPES),
            ("architectures", ["os.system"]),
            ("architectures", 7),
            ("dtype", "int8"),
            ("dtype", ["x"]),
            ("rope_parameters", {"rope_type": "evil", "rope_theta": 1}),
            ("rope_parameters", {"rope_type": "default", "rope_theta": 0}),
            ("rope_parameters", 7),
            ("quantization_config", {"quant_method": ESCAPES}),
            ("quantization_config", [1]),
            ("text_config", {"num_hidden_layers": 10**7}),
            ("use_cache", "no"),
            ("tie_word_embeddings", "no"),
        )
    },
    **{
        f"generation: {name} is {value!r}": (EITHER, _said(GENERATION, **{name: value}))
        for name, value in (
            ("eos_token_id", list(range(100_000))),
            ("eos_token_id", "x"),
            ("eos_token_id", {"a": 1}),
            ("eos_token_id", [None]),
            ("cache_implementation", "evil"),
            ("watermarking_config", {"a": 1}),
        )
    },
    # chat templates
    "a template that loops": (REFUSED, _template(LOOP)),
    "a template of a huge range": (REFUSED, _template("{% for a in range(10**18) %}{% endfor %}")),
    "a template that doubles a text": (
        REFUSED,
        _template(
            "{% set n = namespace(x='a' * 1000) %}{% for i in range(60) %}"
            "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}"
        ),
    ),
    "a template of a huge text": (REFUSED, _template("{{ 'a' * 10**13 }}")),
    "a template that reaches for Python": (
        EITHER,
        _template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    ),
    "a template that calls itself": (
        REFUSED,
        _template("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    ),
    "a template that includes a file": (REFUSED, _template("{% include '/etc/passwd' %}")),
    "a template of deep brackets": (REFUSED, _template("{{ " + "(" * 100_000 + " }}")),
    "a template of escapes": (EITHER, _template("{{ raise_exception('" + ESCAPES + "') }}")),
}


# ------------------------------------------------------------------ what comes of it


def made(name, root):
    """Return a folder that holds the hostile checkpoint ``s`` and the ancestor ``a``."""
    for each in ("s", "a"):
        shutil.copytree(good() / each, root / each)
    FOLDERS[name][1](root / "s")
    return root


def outcome(name, root):
    """Return the kind of what `load_pair` does with a folder, and what it says."""
    from recover_nb.core.errors import InputError
    from recover_nb.generation.decoding import load_pair

    chat = (root / "s" / "chat_template.jinja").exists()
    try:
        pair = load_pair(root / "s", root / "a", device="cpu", chat=chat)
        pair.encode(["1+2=3"])
        found = PAIR, ""
    except InputError as error:
        said = str(error)
        found = (SENTENCE if "\n" not in said and len(said) <= LONGEST else TRACEBACK), said
    except BaseException as error:
        found = TRACEBACK, f"{type(error).__name__}: {error}"
    return (CODE, "") if (root / MARK).exists() else found


def judged(name, found):
    """Return whether what came of a folder is right."""
    kind, _ = found
    wanted = FOLDERS[name][0]
    return kind == {LOADS: PAIR, REFUSED: SENTENCE}.get(wanted, kind) and kind in (PAIR, SENTENCE)


def apart(name):
    """Return what comes of a folder in a process of its own, which is ended where it hangs."""
    with tempfile.TemporaryDirectory() as folder:
        root, said = made(name, Path(folder)), Path(folder) / "said.json"
        child = os.fork()
        if not child:
            signal.alarm(2 * LIMIT)
            try:
                said.write_text(json.dumps(outcome(name, root)), "utf-8", "surrogatepass")
            finally:
                os._exit(0)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if os.waitpid(child, os.WNOHANG)[0]:
                break
            time.sleep(0.02)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return HANG, f"more than {LIMIT} seconds"
        if not said.exists():
            return TRACEBACK, "the process died"
        return tuple(json.loads(said.read_text("utf-8", "surrogatepass")))


def main(names):
    """Load every folder, and print what came of it."""
    counts, wrong = Counter(), 0
    for name in names or FOLDERS:
        start = time.monotonic()
        found = apart(name)
        counts[found[0]] += 1
        if not judged(name, found):
            wrong += 1
            print(f"{found[0]}, not {FOLDERS[name][0]}: {name}: {found[1][:300]!r}", flush=True)
        elif os.environ.get("SAY"):
            print(
                f"{found[0]} {time.monotonic() - start:.1f} s: {name}: {found[1][:250]!r}",
                flush=True,
            )
    told = ", ".join(f"{kind} {counts[kind]}" for kind in (PAIR, SENTENCE, TRACEBACK, HANG, CODE))
    print(f"{counts.total()} folders: {told}; {wrong} not as they should be")
    return bool(wrong)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main(sys.argv[1:]))
