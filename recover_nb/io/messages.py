"""Messages of conversations, as the APIs of chat models write them, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

#: Fields of a message, and types of a part of its content, that hold what a model thought.
REASONING = ("reasoning_content", "reasoning", "thinking")
#: Types of a part whose reasoning was taken out or written in cipher.
HIDDEN = ("redacted", "redacted_thinking", "redacted_reasoning", "reasoning.encrypted")
#: Lists of parts that stand beside a message's content and hold its reasoning.
BESIDE = ("reasoning_details", "thinking_blocks")
#: Names of the model's side of a conversation.
MODEL = ("assistant", "model", "gpt", "ai", "bot")
#: What tools call the writer of a message, and its content.
ROLE, CONTENT = ("role", "from"), ("content", "value", "parts")
#: Parts inside parts that are still read.
DEPTH = 8


def words_of_content(content: Any) -> str:
    """Return the text of a message's content: plain, or that of its parts, reasoning included."""
    return _words(content, DEPTH)


def words_of_message(message: Mapping[str, Any]) -> str:
    """Return what a message says: its reasoning, then its content; else why it refuses."""
    said = words_of_content(_first(message, CONTENT))
    if not said and isinstance(message.get("refusal"), str):
        said = message["refusal"]
    thought = reasoning_beside(message)
    # Some servers write the reasoning into the content as well.
    return said if thought and thought in said else "\n".join(filter(None, (thought, said)))


def words_of_messages(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the messages of a conversation one after another, as a prompt is stored."""
    return "\n".join(filter(None, map(words_of_message, messages)))


def reasoning_beside(message: Mapping[str, Any]) -> str:
    """Return the reasoning that stands beside a content; empty where there is none to read."""
    found = (words_of_content(message.get(name)) for name in (*REASONING, *BESIDE))
    return next(filter(None, found), "")


def hides_reasoning(message: Mapping[str, Any]) -> bool:
    """Tell whether a message was reasoned about in words that the log does not show.

    Parameters
    ----------
    message : mapping
        As an API wrote it. Parts that are redacted, in cipher, or a summary hide what was thought.

    Returns
    -------
    bool
    """
    parts = [message.get(name) for name in (*CONTENT, *BESIDE, *REASONING)]
    return any(
        isinstance(part, Mapping) and _hides(part)
        for each in parts
        if isinstance(each, list)
        for part in each
    )


def is_messages(value: Any) -> bool:
    """Tell whether a value is a conversation: a list of messages, each with its writer."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Mapping) and role_of(each) for each in value)
    )


def role_of(message: Mapping[str, Any]) -> str:
    """Return who wrote a message; empty where it does not say."""
    role = _first(message, ROLE)
    return role.lower() if isinstance(role, str) else ""


def calls_a_tool(message: Mapping[str, Any]) -> bool:
    """Tell whether a message asks for a tool."""
    return bool(message.get("tool_calls") or message.get("function_call"))


def _first(message: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((message[name] for name in names if message.get(name) is not None), None)


def _hides(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    if part.get("redacted") is True or kind in HIDDEN:
        return True
    reasons = isinstance(kind, str) and kind.partition(".")[0] in REASONING
    return reasons and not _words_of_part(part, DEPTH)


def _words(content: Any, depth: int) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes) or not depth:
        return ""
    return "\n".join(filter(None, (_words_of_part(part, depth - 1) for part in content)))


def _words_of_part(part: Any, depth: int) -> str:
    if isinstance(part, str):
        return part
    # What is redacted stands there in cipher, which are no words.
    if not isinstance(part, Mapping) or part.get("redacted") is True or part.get("type") in HIDDEN:
        return ""
    found = (_words(part.get(name), depth) for name in ("text", *REASONING, "content", "refusal"))
    return next(filter(None, found), "")
