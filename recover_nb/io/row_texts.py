"""Which value of a row is the text of its rollout, or the texts of several."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from recover_nb.io.fields import NAMES, ambiguous, is_number, is_text, tell_name
from recover_nb.io.lines import Row
from recover_nb.io.messages import (
    BESIDE,
    REASONING,
    is_messages,
    reasoning_beside,
    words_of_messages,
)
from recover_nb.io.replies import (
    USAGE,
    Reply,
    conversation,
    joined,
    replies_of,
    thought_tokens,
)
from recover_nb.io.rows import REASON

#: What holds several texts of one problem, or what an API returned.
LISTS = (
    "generated_texts",
    "responses",
    "completions",
    "outputs",
    "generations",
    "samples",
    "predictions",
    "code",
    "choices",
    "candidates",
    "message",
)
_LISTS = frozenset(LISTS)
#: Those that hold objects; texts there are something else.
OBJECTS = ("choices", "candidates", "message")
#: What says of a row's reasoning.
_THOUGHTS = frozenset((*REASONING, *BESIDE, "content", "value", "parts", *USAGE))
#: Parts of names that texts of a rollout have.
HINTS = ("response", "output", "completion", "generat", "reply", "predict")
#: What holds a whole conversation, the reply at its end.
MESSAGES = ("messages", "conversation", "conversations")
#: Fields that hold one value for each of a row's texts.
PER_TEXT = (
    *NAMES["is_correct"],
    "scores",
    "rewards",
    *NAMES["rollout_idx"],
    *REASON,
    "finish_reasons",
    "stop_reasons",
    "ended",
    "truncated",
)
#: Their names where they hold several.
SINGULAR = {
    "scores": "score",
    "rewards": "reward",
    "finish_reasons": "finish_reason",
    "stop_reasons": "stop_reason",
}


@dataclass(frozen=True)
class Found:
    """The replies of a row, where they stood, and the prompt where that is messages."""

    name: str = ""
    replies: list[Reply] | None = None
    prompt: str = ""


def find_replies(row: Row, tell: Callable[[str, str], None]) -> Found:
    """Return the replies of a row.

    Raises
    ------
    InputError
        Two fields with different texts, or a field of the text that holds none.
    """
    own, *others = NAMES["generated_text"]
    given = row.values.get(own)
    found = _candidates(row, others)
    talk = next((row.values[each] for each in MESSAGES if is_messages(row.values.get(each))), None)
    if given is not None:
        mine = _replies(row, own)
        if mine is None:
            raise row.wrong(own, given, "text, a list of texts, or a reply of an API")
        _tell_unread(row, own, mine, found, tell)
        return Found(own, _whole(row, mine), _before(talk, mine))
    said = {name: each for name, each in found.items() if any(one.text for one in each)} or found
    texts = {tuple(one.text for one in each) for each in said.values()}
    if len(texts) > 1:
        raise ambiguous(row.where, own, list(said))
    if said:
        name, mine = next(iter(said.items()))
        tell_name(own, name, tell)
        _tell_unread(row, name, mine, {}, tell)
        return Found(name, _whole(row, mine), _before(talk, mine))
    if talk is not None:
        prompt, reply = conversation(talk)
        return Found("messages", _whole(row, None if reply is None else [reply]), prompt)
    _refuse_unreadable(row, others)
    # Cut off while it thought: there is no answer. An `answer` may be one (`settle_texts`).
    if reasoning_beside(row.values) and row.values.get("answer") is None:
        return Found("reasoning", _whole(row, [Reply("")]))
    return Found()


def split(row: Row, found: Found) -> list[tuple[Row, Reply | None]]:
    """Return a row for each reply, with what the fields that hold lists say of it.

    Raises
    ------
    InputError
        A list that is not as long as there are texts.
    """
    replies: list[Reply | None] = list(found.replies or [None])
    lists = {name: row.values[name] for name in PER_TEXT if isinstance(row.values.get(name), list)}
    n = len(replies)
    if found.replies is None and lists:
        # Verdicts alone: as many rollouts as there are.
        name, values = next(iter(lists.items()))
        n = len(values)
        replies = [None] * n
        if not n:
            raise row.wrong(name, values, "one value for each rollout")
    for name, values in lists.items():
        if len(values) != n:
            allowed = f"one value for each of the {n} texts in {found.name!r}"
            raise row.wrong(name, f"{len(values)} values", allowed)
    if n > 1:
        _refuse_one_verdict(row, found, n)
    if not lists and n == 1:
        return [(row, replies[0])]
    rest = {name: each for name, each in row.values.items() if name not in lists}
    rest = {name: each for name, each in rest.items() if n == 1 or name not in ONE_EACH}
    tokens = {name: _tokens(row, name, n) for name in ONE_EACH if n > 1}
    return [
        (
            Row(
                row.where if n == 1 else f"{row.where}, text {i + 1}",
                rest
                | {SINGULAR.get(name, name): values[i] for name, values in lists.items()}
                | {name: each[i] for name, each in tokens.items() if each is not None},
            ),
            reply,
        )
        for i, reply in enumerate(replies)
    ]


#: Fields of a single rollout's trace.
ONE_EACH = ("output_ids", "token_ids", "signals", "n_tokens")


def _tokens(row: Row, name: str, n: int) -> list[Any] | None:
    values = row.values.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != n or is_number(values[0]):
        raise row.wrong(name, values, f"one list for each of the {n} texts")
    return values


def _refuse_one_verdict(row: Row, found: Found, n: int) -> None:
    for name in NAMES["is_correct"]:
        value = row.values.get(name)
        if value is not None and not isinstance(value, list | dict):
            raise row.wrong(name, value, f"a list with one verdict for each of the {n} texts")


def _candidates(row: Row, names: list[str]) -> dict[str, list[Reply]]:
    """Return the replies of a row by the names they could be read from."""
    there = [name for name in names if row.values.get(name) is not None]
    found = {name: replies for name in there if (replies := _replies(row, name))}
    # Beside a text, a number is something else, such as how many tokens it has.
    texts = {name: each for name, each in found.items() if not is_number(row.values[name])}
    for name in () if _LISTS.isdisjoint(row.values) else LISTS:
        value = row.values.get(name)
        parts = value if isinstance(value, list) else [value]
        # Plain texts in `choices` are what a problem offers; a `message` may be that of an error.
        plain = not all(isinstance(each, dict) for each in parts)
        if isinstance(value, list | dict) and not (plain and name in OBJECTS):
            replies = replies_of(value)
            texts |= {name: replies} if replies else {}
    return texts or found


def _replies(row: Row, name: str) -> list[Reply] | None:
    value = row.values.get(name)
    if is_number(value):
        return [Reply(row.text(name))]
    return replies_of(value)


def _whole(row: Row, replies: list[Reply] | None) -> list[Reply] | None:
    """Add to a single reply the reasoning that stands beside it in the row."""
    if replies is None or len(replies) != 1:
        return replies
    if _THOUGHTS.isdisjoint(row.values):
        return replies
    one = joined(replies[0], row.values)
    if thought_tokens(row.values) and not one.joined:
        one = Reply(one.text, one.values, True, one.called, one.refused)
    return [one]


def _before(talk: list | None, replies: list[Reply]) -> str:
    """Return the messages that a reply answers, which may be the last of them."""
    if talk is None:
        return ""
    before, last = conversation(talk)
    same = last is not None and last.text in {each.text for each in replies}
    return before if same else words_of_messages(talk)


def unread_texts(row: Row, *parts: str) -> list[str]:
    """Return the names of a row's texts that are not read, of those with such a part in them."""
    found = []
    for name in _other_names(tuple(row.values), parts):
        value = row.values[name]
        if is_text(value[0] if isinstance(value, list) and value else value):
            found.append(name)
    return found


@lru_cache(maxsize=64)
def _other_names(names: tuple[str, ...], parts: tuple[str, ...]) -> list[str]:
    """Return the names that are of no known field, of those with such a part in them."""
    known = {each for fields in NAMES.values() for each in fields}
    known |= {"family", "method", "task", "intervention", "custom_id"}
    hinted = [name for name in names if any(part in name.lower() for part in parts or ("",))]
    return [name for name in hinted if name not in known]


def _tell_unread(
    row: Row,
    own: str,
    mine: list[Reply],
    found: dict[str, list[Reply]],
    tell: Callable[[str, str], None],
) -> None:
    """Tell of what looks like a text and is not the one that is read."""
    texts = [each.text for each in mine]
    others = {name: replies_of(row.values[name]) or [] for name in unread_texts(row, *HINTS)}
    others.pop(own, None)
    for name, replies in (others | found).items():
        if [each.text for each in replies] != texts:
            tell(
                f"{name}_not_read",
                f"{name!r} looks like the text of a rollout, too; {own!r} is read, and {name!r} is"
                " not (in {n} rows)",
            )


def _refuse_unreadable(row: Row, names: list[str]) -> None:
    """Refuse a row whose text is there, and of a shape that is not known."""
    for name in (*names, *(each for each in LISTS if each not in OBJECTS), *MESSAGES):
        value = row.values.get(name)
        if isinstance(value, list | dict) and value and not _is_error(value):
            raise row.wrong(
                name,
                value,
                "text, a list of texts, messages, or a reply of an API, such as choices",
            )


def _is_error(value: Any) -> bool:
    inner = value.get("body") if isinstance(value, dict) else None
    return isinstance(value, dict) and bool(
        value.get("error") or (isinstance(inner, dict) and inner.get("error"))
    )
