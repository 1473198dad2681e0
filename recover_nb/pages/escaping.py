"""Text in scripts and in Markdown: no name, token or answer is read as either."""

import json
import re
from collections.abc import Iterator
from typing import Any

from recover_nb.core.visible import visible

#: Characters that mean something in HTML, or end a line in JavaScript but not in JSON.
SPECIAL = "<>&\u2028\u2029"
#: What means something in Markdown, HTML within it, or a formula. A sign between blanks does not.
_MARKS = re.compile(r"[<&](?=\S)|(?<=\S)>|[`*\[\]$\\~{}]|__+|!(?=\[)")


def script_safe(text: str) -> str:
    """Return JSON that means the same and can stand inside a script element.

    The characters it escapes are only in strings.
    """
    for character in SPECIAL:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def markdown_safe(value: Any) -> Any:
    """Return a text, or plain data with all of its texts, that Markdown shows as it is.

    Marks are written as entities, which are text to every reader of Markdown.
    """
    if isinstance(value, dict):
        return {markdown_safe(name): markdown_safe(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [markdown_safe(each) for each in value]
    return _MARKS.sub(_entities, visible(value)) if isinstance(value, str) else value


def _entities(found: re.Match[str]) -> str:
    return "".join(f"&#{ord(char)};" for char in found[0])


class ScriptSafe(json.JSONEncoder):
    """Writes JSON that can stand inside a script element: ``json.dumps(value, cls=ScriptSafe)``."""

    def encode(self, o: Any) -> str:
        """Return JSON."""
        return script_safe(super().encode(o))

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:
        """Yield JSON in pieces."""
        return map(script_safe, super().iterencode(o, _one_shot))
