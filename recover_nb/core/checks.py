"""Checks of arguments: one door for each kind, and one form of sentence for all of them.

`takes` puts them before a function, `settle` into a dataclass, `check` anywhere else.
"""

import functools
import inspect
import math
import os
import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from recover_nb.core.kind import Kind, Wrong, check, is_flag, near, scalar, shown
from recover_nb.core.kind import settle as settle
from recover_nb.core.kind import takes as takes

#: More of anything that is counted out one by one is a slip of the keyboard.
MOST = 10_000_000
#: Seeds are below this: every generator that is fed one takes 32 bits.
SEEDS = 2**32


def _asarray(value: Any) -> Any:
    import numpy as np

    return np.asarray(value)


def whole(least: int = 0, most: int = MOST, *, what: str = "") -> Kind:
    """Return the kind of whole numbers from `least` to `most`."""
    return Kind(
        what or f"a whole number of at least {least}",
        functools.partial(_whole, least=least, most=most, say=not what),
    )


def _whole(value: Any, least: int, most: int, say: bool) -> int:
    if isinstance(value, str):
        written = int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value) else least - 1
        raise Wrong(f"write {written}, without quotes" if least <= written <= most else "")
    if isinstance(value, Real) and not isinstance(value, Integral):
        raise Wrong(_without_point(float(value), least, most))
    if not isinstance(value, Integral) or isinstance(value, bool) or (plain := int(value)) < least:
        raise Wrong
    if plain > most:
        raise Wrong(f"the largest is {most}" if say else "")
    return plain


def _without_point(value: float, least: int, most: int) -> str:
    if not value.is_integer() or not least <= value <= most:
        return ""
    return f"write {int(value)}, without a point"


def place(n: int) -> Kind:
    """Return the kind of places along `n` things: as in isel(), from 0."""
    return whole(0, n - 1, what=f"a place from 0 to {n - 1}, as in isel()")


def number(
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    what: str = "",
) -> Kind:
    """Return the kind of finite numbers from `least` to `most`, above `above`, below `below`."""

    def read(value: Any) -> float:
        if isinstance(value, str):
            raise Wrong("write it without quotes") if _is_number(value) else Wrong
        if not isinstance(value, Real) or is_flag(value):
            raise Wrong
        try:
            plain = float(value)
        except OverflowError:
            raise Wrong from None
        if not math.isfinite(plain) or not (least <= plain <= most and above < plain < below):
            share = (least, most) == (0, 1) and 2 <= plain <= 100
            raise Wrong(f"{plain:g} % is {plain / 100:g}") if share else Wrong
        return scalar(value)

    return Kind(what or "a number", read)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def one_of(known: Iterable[str]) -> Kind:
    """Return the kind of one name among `known`."""
    among = tuple(str(name) for name in known)
    return Kind(f"one of {', '.join(among)}", lambda value: _one(value, among))


def _one(value: Any, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise Wrong(near(value, known) if isinstance(value, str) else "give one name, as a text")
    return str(value)


def check_name(name: str, value: Any, known: Iterable[str]) -> str:
    """Return a text that is among `known`, or raise an `InputError` that lists them."""
    return check(name, value, one_of(known))


def listed(value: Any) -> list[Any]:
    """Return what was given for a list as a list: one text or number is a list of one.

    Raises `Wrong` for what has no order or no parts.
    """
    if isinstance(value, str | Integral | Real) and not isinstance(value, bool):
        return [value]
    if isinstance(value, bytes | Mapping | bool | set | frozenset) or not isinstance(
        value, Iterable
    ):
        raise Wrong("give a list")
    # Of arrays, plain and labelled, and of columns of a frame.
    values = getattr(value, "values", value)
    return _asarray(values).tolist() if hasattr(values, "dtype") else list(value)


def names(known: Iterable[str] | None = None, *, word: str = "names", empty: bool = False) -> Kind:
    """Return the kind of lists of names, among `known` if that is given, each taken once.

    One name alone is a list of one.
    """
    among = None if known is None else tuple(str(name) for name in known)

    def read(value: Any) -> tuple[str, ...]:
        found = listed(value)
        if not found and not empty:
            raise Wrong("give at least one")
        for each in found:
            if not isinstance(each, str):
                raise Wrong(f"{shown(each)} is no text")
            if among is not None and each not in among:
                raise Wrong(f"{each!r} is none of them{_after(near(each, among))}")
        return tuple(dict.fromkeys(str(each) for each in found))

    said = f"{word}" if among is None else f"{word} among {', '.join(among)}"
    return Kind(f"a list of {said}", read)


def _after(hint: str) -> str:
    return f"; {hint}" if hint else ""


def several(
    each: Kind, word: str, *, none: bool = False, n: int | None = None, least: int = 1
) -> Kind:
    """Return the kind of lists whose parts are of a kind: `n` of them, or `least` and more.

    One part alone is a list of one.
    """

    def read(value: Any) -> tuple[Any, ...]:
        found = listed(value)
        if len(found) < least:
            raise Wrong("give at least one")
        if n is not None and len(found) != n:
            raise Wrong(f"give {n}")
        return tuple(part if none and part is None else _part(part, each) for part in found)

    return Kind(f"a list of {word}", read)


def _part(part: Any, kind: Kind) -> Any:
    try:
        return kind.read(part)
    except Wrong as wrong:
        raise Wrong(f"{shown(part)} is not {kind.what}{_after(str(wrong))}") from None


def instance(of: type | tuple[type, ...], what: str, hint: str = "") -> Kind:
    """Return the kind of objects of a class; `hint` says where they come from."""

    def read(value: Any) -> Any:
        if not isinstance(value, of):
            raise Wrong(hint)
        return value

    return Kind(what, read)


def having(names: tuple[str, ...], what: str, hint: str = "") -> Kind:
    """Return the kind of objects that have these attributes, where their class is not at hand."""

    def read(value: Any) -> Any:
        # A text has `encode`, bytes have `decode`.
        if isinstance(value, type | str | bytes) or not all(hasattr(value, name) for name in names):
            raise Wrong(hint)
        return value

    return Kind(what, read)


def calls(n: int, what: str) -> Kind:
    """Return the kind of functions that can be called with `n` arguments."""

    def read(value: Any) -> Any:
        if not callable(value) or isinstance(value, type):
            raise Wrong
        try:
            inspect.signature(value).bind(*[None] * n)
        except TypeError:
            raise Wrong(f"it must take {n} argument{'s' * (n != 1)}") from None
        except ValueError:
            pass  # Some builtins do not say what they take.
        return value

    return Kind(what, read)


def either(first: Kind, second: Kind, what: str = "") -> Kind:
    """Return the kind of what is of the first kind or of the second."""

    def read(value: Any) -> Any:
        try:
            return first.read(value)
        except Wrong as wrong:
            try:
                return second.read(value)
            except Wrong as other:
                raise Wrong(str(wrong) or str(other)) from None

    return Kind(what or f"{first.what}, or {second.what}", read)


def _paths(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _path(value)
    if not value or not all(isinstance(name, str) for name in value):
        raise Wrong("name each file by its intervention")
    return {name: _path(each) for name, each in value.items()}


def _tokens(value: Any) -> Any:
    found = _asarray(_array(value))
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iu":
        raise Wrong("give the ids of one trace, without what stands past its end")
    return value


def _wholes(value: Any) -> Any:
    found = _asarray(value if hasattr(value, "dtype") else _ordered(value))
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise Wrong
    return value


def _ordered(value: Any) -> Any:
    if not isinstance(value, list | tuple | range):
        raise Wrong
    return list(value)


def _labelled(value: Any) -> Any:
    if not hasattr(value, "dims") or not hasattr(value, "dtype"):
        raise Wrong("give ds['correct']")
    return value


def _flag(value: Any) -> bool:
    if not is_flag(value):
        raise Wrong
    return bool(value)


def _path(value: Any) -> Any:
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise Wrong("the study comes first, then the path" if hasattr(value, "data_vars") else "")
    said = os.fspath(value)
    if not said.strip():
        raise Wrong
    if "\0" in said:
        part = next(each for each in said.split(os.sep) if "\0" in each)
        raise Wrong(f"{shown(part)} holds a NUL, which no file name can have; choose another name")
    if not said.startswith("~"):
        return value
    # A home of nobody stays as it is: a file may be called so.
    return type(value)(os.path.expanduser(said)) if isinstance(value, Path | str) else value


def _nothing(value: Any) -> None:
    if value is not None:
        raise Wrong


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong
    return value


def _array(value: Any) -> Any:
    # Tensors and labelled arrays say what they hold; lists are tried.
    if isinstance(value, list | tuple):
        try:
            holds = _asarray(value).dtype.kind
        except (ValueError, TypeError, OverflowError):
            raise Wrong("its rows are of different lengths or types") from None
        if not value or holds not in "biuf":
            raise Wrong
        return value
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "shape"):
        raise Wrong
    if getattr(dtype, "kind", "f") not in "biuf":
        raise Wrong
    return value


def _counts(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Wrong
    for name, count in value.items():
        if not isinstance(name, str):
            raise Wrong(f"{shown(name)} is no text")
        (_counts if isinstance(count, Mapping) else DRAWS.read)(count)
    return value


def _mapping(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Wrong
    return value


SEED = whole(0, SEEDS - 1, what=f"a whole number from 0 to {SEEDS - 1}")
COUNT = whole(1)
#: Processes on one machine.
WORKERS = whole(1, 1024)
#: A number of draws that may be none.
DRAWS = whole(0)
SHARE = number(0, 1, what="a share from 0 to 1")
POSITIVE = number(above=0, what="a number above 0")
NOT_NEGATIVE = number(0, what="a number of at least 0")
FLAG = Kind("True or False", _flag)
PATH = Kind("a path (a text or a Path)", _path)
TEXT = Kind("a text", _text)
NOTHING = Kind("None", _nothing)
NAMES = names()
TEXTS = several(TEXT, "texts")
#: Family and method of the models that a study of other people's rollouts is of.
UNIT = Kind("two texts, (family, method)", several(TEXT, "texts", n=2).read)
NUMBER = number()
ROLLOUTS = whole(1, 100_000)
SIZES = several(COUNT, "whole numbers of at least 1")
KEY = whole(0, 2**64 - 1, what="a whole number from 0 to 2**64 - 1")
PATHS = Kind("a path, or a dict of paths by intervention", _paths)
WHOLES = Kind("a list of whole numbers", _wholes)
TOKENS = Kind("a list of token ids", _tokens)
LABELLED = Kind("a DataArray (problem, rollout, intervention)", _labelled)
ARRAY = Kind("an array of numbers", _array)
MAPPING = Kind("a mapping (a dict)", _mapping)
#: Numbers of draws by name, such as {"n_bootstrap": 500}.
COUNTS = Kind("a dict of names and whole numbers", _counts)
#: What comes of models, told by what it has, as torch need not be there.
PAIR = having(
    ("specialist", "ancestor", "tokenizer"),
    "a pair of models",
    "load one with rnb.load_lineage or rnb.load_pair",
)
_LOAD = "load it with transformers.AutoTokenizer.from_pretrained(...)"
TOKENIZER = having(("decode",), "a tokenizer", _LOAD)
#: Of tokenizers, where only text is cut up, and where only tokens are told by their names.
ENCODES = having(("encode",), "a tokenizer", _LOAD)
VOCABULARY = having(("get_vocab",), "a tokenizer", _LOAD)
CALIBRATION = having(
    ("threshold", "n_failed"), "a calibration", "make it with rnb.decoding.calibrate"
)
DECODED = having(("token_id", "n_tokens"), "what rnb.decode returns")
GENERATOR = having(
    ("random", "integers"), "a random generator", "write it as numpy.random.default_rng(0)"
)
#: What `progress` is where it hears the name of each stage, and where it hears a count.
TELL = calls(1, "a function of one argument, the name of a stage")
COUNTED = calls(1, "a function of one argument, a number of steps")
#: Sizes of charts, in pixels and in panels.
PIXELS = whole(1, 10_000, what="a whole number of pixels from 1 to 10000")
COLUMNS = whole(1, 100, what="a whole number of at least 1")


def check_whole(name: str, value: Any, least: int) -> int:
    """Return a whole number of at least `least`, or raise an `InputError`."""
    return check(name, value, whole(least))
