"""Messages of conversations, as the APIs of chat models write them, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

#: Fields of a message, and types of a part of its content, that hold what a model thought.
REASONING = ("reasoning_content", "reasoning", "thinking")


def words_of_content(content: Any) -> str:
    """Return the text of a message's content: plain, or that of its parts, reasoning included."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    return "\n".join(filter(None, map(_words_of_part, content)))


def words_of_message(message: Mapping[str, Any]) -> str:
    """Return what a message says: its reasoning, then its content."""
    thought = next((message[name] for name in REASONING if isinstance(message.get(name), str)), "")
    said = words_of_content(message.get("content"))
    return "\n".join(each for each in (thought, said) if each)


def words_of_messages(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the messages of a conversation one after another, as a prompt is stored."""
    return "\n".join(map(words_of_message, messages))


def _words_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    found = (part.get(name) for name in ("text", *REASONING))
    return next((each for each in found if isinstance(each, str) and each), "")
