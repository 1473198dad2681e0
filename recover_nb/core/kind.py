"""A kind of argument: what it may be in words, and what reads it into its plain form.

Whatever is refused is refused in one form: ``NAME must be WHAT, got VALUE; WHAT TO DO``.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from recover_nb.core.errors import InputError

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Longer values are cut where a sentence shows them.
LONGEST = 60
NO = inspect.Parameter.empty


class Wrong(Exception):
    """A value is not of a kind. The text says what to do, where there is more to say."""


@dataclass(frozen=True)
class Kind:
    """What an argument may be: in words, and as a function from a value to its plain form."""

    what: str
    #: Returns the plain value, or raises `Wrong`.
    read: Callable[[Any], Any]


def check(name: str, value: Any, kind: Kind, *, default: Any = NO) -> Any:
    """Return `value` in its plain form, or raise an `InputError` that names the argument.

    The default itself always passes; where it is None, the sentence allows None.
    """
    if value is default:
        return value
    try:
        return kind.read(value)
    except Wrong as wrong:
        none = ", or None" if default is None else ""
        hint = f"; {wrong}" if str(wrong) else ""
        raise InputError(f"{name} must be {kind.what}{none}, got {shown(value)}{hint}") from None


def takes(**kinds: Kind) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Check arguments of a function by their kinds before it is called, and hand on plain forms."""

    def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
        known = inspect.signature(function).parameters
        places = tuple(known)
        default = {name: known[name].default for name in kinds}

        def plain(name: str, value: Any) -> Any:
            if name not in kinds:
                return value
            return check(name, value, kinds[name], default=default[name])

        @functools.wraps(function)
        def checked(*args: _P.args, **named: _P.kwargs) -> _R:
            read = [plain(name, value) for name, value in zip(places, args, strict=False)]
            given = {name: plain(name, value) for name, value in named.items()}
            # Plain forms are of the types that the function asks for.
            return cast(Any, function)(*read, *args[len(places) :], **given)

        return checked

    return wrap


def settle(target: Any, **kinds: Kind) -> None:
    """Check fields of a dataclass, frozen or not, and bring them to their plain form."""
    defaults = {each.name: each.default for each in fields(target)}
    for name, kind in kinds.items():
        default = NO if defaults[name] is MISSING else defaults[name]
        plain = check(name, getattr(target, name), kind, default=default)
        object.__setattr__(target, name, plain)


def shown(value: Any) -> str:
    """Return a value as a sentence shows it: its repr, or what it is where that is long."""
    if isinstance(value, str):
        said = repr(str(value))
    elif isinstance(value, bytes | Real | None) or is_flag(value):
        said = repr(scalar(value))
    elif isinstance(value, list | tuple | set | frozenset | dict):
        said = _of_many(value)
    elif callable(value) and hasattr(value, "__name__"):
        said = f"the function {value.__name__}"
    elif isinstance(value, Path):
        said = repr(str(value))
    else:
        return _what_it_is(value)
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 4]}...{said[-1]}"


def _of_many(value: Any) -> str:
    """Show a collection: by its repr if that holds nothing but plain values."""
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    plain = all(isinstance(each, str | bytes | bool | int | float | None) for each in parts)
    return repr(value) if plain else f"a {type(value).__name__} of {len(value)}"


def _what_it_is(value: Any) -> str:
    word = type(value).__name__
    article = "an" if word[:1].lower() in "aeiou" else "a"
    shape = getattr(value, "shape", None)
    return f"{article} {word}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def near(value: Any, names: Iterable[str]) -> str:
    """Return ``did you mean 'NAME'?`` for the likeliest of `names`, or an empty text."""
    asked, known = _key(value), {_key(name): str(name) for name in names}
    begins = [key for key in known if asked and key.startswith(asked)]
    close = difflib.get_close_matches(asked, known, 1, 0.6)
    found = [asked] if asked in known else (begins or close)[:1]
    return f"did you mean {known[found[0]]!r}?" if found else ""


def _key(name: Any) -> str:
    return str(name).strip().lower().replace("-", "_").replace(" ", "_")


def is_flag(value: Any) -> bool:
    """Whether a value is True or False, Python's or NumPy's."""
    # NumPy's own is known by its name: this module is imported by whatever answers at once.
    kind = type(value)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def scalar(value: Any) -> Any:
    """Return a NumPy scalar as a plain one."""
    return value.item() if type(value).__module__ == "numpy" else value
