"""What a model replied, whatever API or tool wrote it down: plain text, messages, choices.

Known are the answers of OpenAI (chat, completions, responses, batches), Anthropic, Gemini, vLLM,
SGLang, TGI, llama.cpp and ollama, lists of texts, and conversations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recover_nb.io.messages import (
    CONTENT,
    MODEL,
    calls_a_tool,
    hides_reasoning,
    is_messages,
    reasoning_beside,
    role_of,
    words_of_content,
    words_of_message,
    words_of_messages,
)

#: Where an object holds several replies, and where it holds the one.
SEVERAL = (
    "choices",
    "candidates",
    "outputs",
    "generations",
    "completions",
    "responses",
    "samples",
)
ONE = ("body", "message", "response", "output", "completion", "generation")
#: Where an object holds the text itself.
TEXTS = (
    "generated_text",
    "text",
    "response",
    "output",
    "completion",
    "generation",
    "output_text",
    "model_output",
    "prediction",
)
#: Objects inside objects that are still looked into.
DEPTH = 6
#: Types of the parts of a reply in OpenAI's Responses API that are not messages.
ITEMS = ("message", "reasoning", "function_call", "output_text", "text", "thinking", "tool_use")

#: Where an API counts tokens.
USAGE = ("usage", "usageMetadata", "usage_metadata")
#: Types of a part that hold a thought.
THINKS = ("reasoning", "thinking")


@dataclass(frozen=True)
class Reply:
    """One reply of a model.

    Attributes
    ----------
    text : str
        What it wrote: reasoning, then answer.
    values : mapping
        The object it stood in, which may say why it ended, and whether it is correct.
    hidden : bool
        Whether it was reasoned about in words that the log does not show.
    called, refused : bool
        Whether it is a call of a tool without a text; whether it is a refusal.
    joined : bool
        Whether the reasoning stood apart from the answer.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    hidden: bool = False
    called: bool = False
    refused: bool = False
    joined: bool = False


def replies_of(value: Any, depth: int = DEPTH) -> list[Reply] | None:
    """Return the replies in a value; None where it is no reply of any known shape."""
    if isinstance(value, str):
        return [Reply(value)]
    if not depth or not value:
        return None
    if isinstance(value, list):
        return _of_list(value, depth - 1)
    return _of_object(value, depth - 1) if isinstance(value, Mapping) else None


def conversation(messages: list[Mapping[str, Any]]) -> tuple[str, Reply | None]:
    """Return what came before a model's last message, as a prompt, and that message."""
    mine = [i for i, each in enumerate(messages) if role_of(each) in MODEL]
    if not mine:
        return words_of_messages(messages), None
    return words_of_messages(messages[: mine[-1]]), _of_message(messages[mine[-1]])


def thought_tokens(values: Mapping[str, Any]) -> bool:
    """Tell whether the counts of a reply say that it was reasoned about."""
    for usage in map(values.get, USAGE):
        if not isinstance(usage, Mapping):
            continue
        found = [usage, usage.get("completion_tokens_details"), usage.get("output_tokens_details")]
        for each in found:
            if isinstance(each, Mapping) and any(
                isinstance(each.get(name), int | float) and each[name] > 0
                for name in ("reasoning_tokens", "thoughtsTokenCount", "thoughts_token_count")
            ):
                return True
    return False


def _of_list(values: list[Any], depth: int) -> list[Reply] | None:
    if is_messages(values):
        return [_of_messages(values)]
    kinds = [each.get("type") if isinstance(each, Mapping) else None for each in values]
    if all(isinstance(kind, str) for kind in kinds) and any(kind in ITEMS for kind in kinds):
        return [_of_parts(values)]
    found = []
    for each in values:
        inside = replies_of(each, depth)
        if inside is None or len(inside) != 1:
            return None
        found += inside
    return found


def _of_object(value: Mapping[str, Any], depth: int) -> list[Reply] | None:
    if role_of(value) and any(name in value for name in (*CONTENT, "tool_calls")):
        return [_of_message(value)]
    for name in SEVERAL:
        if isinstance(value.get(name), list):
            return _with(value, replies_of(value[name], depth))
    for name in ONE:
        if isinstance(value.get(name), Mapping | list):
            return _with(value, replies_of(value[name], depth))
    for name in TEXTS:
        if isinstance(value.get(name), str):
            return [joined(Reply(value[name], value), value)]
    inner = value.get("content")
    if isinstance(inner, str | list):
        return [_of_message(value)]
    # Gemini: a candidate's content is an object with parts.
    return _with(value, replies_of(inner, depth)) if isinstance(inner, Mapping) else None


def _with(outer: Mapping[str, Any], replies: list[Reply] | None) -> list[Reply] | None:
    """Give replies what the object around them says: of their end, and of tokens of reasoning."""
    if replies is None:
        return None
    kept = {name: each for name, each in outer.items() if name not in (*SEVERAL, *ONE)}
    thought = thought_tokens(outer)
    return [
        replace(
            each,
            values={**kept, **each.values},
            hidden=each.hidden or (thought and not each.joined),
        )
        for each in replies
    ]


def joined(reply: Reply, beside: Mapping[str, Any]) -> Reply:
    """Put the reasoning that stands beside a text before it."""
    thought = reasoning_beside(beside)
    if not thought or thought in reply.text:
        return replace(reply, hidden=reply.hidden or hides_reasoning(beside))
    text = "\n".join(filter(None, (thought, reply.text)))
    return replace(reply, text=text, joined=True, hidden=reply.hidden or hides_reasoning(beside))


def _of_message(message: Mapping[str, Any]) -> Reply:
    text = words_of_message(message)
    content = next((message[name] for name in CONTENT if message.get(name) is not None), None)
    parts = content if isinstance(content, list) else []
    kinds = [each.get("type") for each in parts if isinstance(each, Mapping)]
    thought = bool(reasoning_beside(message)) or any(
        isinstance(each, Mapping)
        and (each.get("thought") is True or each.get("type") in THINKS)
        and words_of_content([each])
        for each in parts
    )
    return Reply(
        text,
        message,
        hidden=hides_reasoning(message),
        called=not text and (calls_a_tool(message) or "tool_use" in kinds),
        refused=bool(message.get("refusal")) or "refusal" in kinds,
        joined=thought,
    )


def _of_messages(messages: list[Mapping[str, Any]]) -> Reply:
    """Return a completion of one or more messages as one reply."""
    each = [_of_message(message) for message in messages]
    return Reply(
        words_of_messages(messages),
        each[-1].values,
        hidden=any(one.hidden for one in each),
        called=each[-1].called,
        refused=each[-1].refused,
        joined=any(one.joined for one in each),
    )


def _of_parts(parts: list[Mapping[str, Any]]) -> Reply:
    """Return parts of one reply: of a message's content, or of OpenAI's Responses API."""
    text = words_of_content(parts)
    kinds = [part.get("type") for part in parts]
    lists = [part["content"] for part in parts if isinstance(part.get("content"), list)]
    inner = [each.get("type") for some in lists for each in some if isinstance(each, Mapping)]
    return Reply(
        text,
        hidden=hides_reasoning({"content": parts}),
        called=not text and ("function_call" in kinds or "tool_use" in kinds),
        refused="refusal" in inner,
        joined=any(part.get("type") in THINKS and words_of_content([part]) for part in parts),
    )
