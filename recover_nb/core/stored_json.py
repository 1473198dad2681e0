"""What a study says of itself as JSON in an attribute: an object, or one sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.files import check_file

#: Largest file of figures that is read: our own have a few megabytes.
MOST_BYTES = 2**28


def json_attr(attrs: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Return the JSON object in an attribute of a study; empty where there is none.

    Raises
    ------
    InputError
        The attribute is no text, no JSON, nested too deeply, or not an object.
    """
    if name not in attrs:
        return {}
    return _object(attrs[name], f"attribute {name} of the study", "or delete the attribute")


def json_part(attrs: Mapping[Any, Any], name: str, part: str) -> dict[str, Any]:
    """Return an object within the JSON of an attribute; empty where there is none."""
    found = json_attr(attrs, name).get(part)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(
            f"attribute {name} of the study has {_kind(found)} as {part!r}; allowed: a JSON object,"
            " as recover-nb writes it, or none"
        )
    return found


def json_file(path: Path, what: str, hint: str) -> dict[str, Any]:
    """Return the JSON object that a file of ours holds.

    Raises
    ------
    InputError
        No such file, or it holds no object; `hint` says what to do.
    """
    check_file(path, what)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than {MOST_BYTES / 1e6:.0f} MB; give {what}")
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give {what}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; {hint}") from None
    return _object(text, str(path), hint)


def _object(text: Any, where: str, hint: str) -> dict[str, Any]:
    allowed = f"allowed: a JSON object, as recover-nb writes it; write it again, {hint}"
    if not isinstance(text, str):
        raise InputError(f"{where} is {_kind(text)}; {allowed}")
    try:
        found = json.loads(text)
    except RecursionError:
        raise InputError(f"{where} is nested too deeply; {allowed}") from None
    except ValueError as error:
        why = first_line(error) if isinstance(error, json.JSONDecodeError) else "a huge number"
        raise InputError(f"{where} is not JSON ({why}); {allowed}") from None
    if not isinstance(found, dict):
        raise InputError(f"{where} is {_kind(found)}; {allowed}")
    return found


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}"
