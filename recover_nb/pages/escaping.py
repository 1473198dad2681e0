"""Text in scripts: no name, token or answer can end the script that holds it."""

import json
from collections.abc import Iterator
from typing import Any

#: Characters that mean something in HTML, or end a line in JavaScript but not in JSON.
SPECIAL = "<>&\u2028\u2029"


def script_safe(text: str) -> str:
    """Return JSON that means the same and can stand inside a script element.

    The characters it escapes are only in strings.
    """
    for character in SPECIAL:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


class ScriptSafe(json.JSONEncoder):
    """Writes JSON that can stand inside a script element: ``json.dumps(value, cls=ScriptSafe)``."""

    def encode(self, o: Any) -> str:
        """Return JSON."""
        return script_safe(super().encode(o))

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:
        """Yield JSON in pieces."""
        return map(script_safe, super().iterencode(o, _one_shot))
