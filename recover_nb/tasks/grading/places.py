r"""Where the answer stands in a text, `\boxed{}` or "the answer is", and where a text ends."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: Of a longer text, only the end is read.
LONGEST = 100_000
#: So many boxes, announcements and new questions of a text are looked at.
_MANY = 8


@dataclass(frozen=True)
class Found(Generic[T]):
    """What a reader found: a value (None: it cannot read what stands there), and where."""

    value: T | None
    place: str


_STOP = re.compile(
    r"(?:^|\n|(?<=[.!?\d)])[ \t]{1,4})[ \t]{0,8}(?:\#{1,6}[ \t]*)?\*{0,2}"
    r"(?:(?:Question|Problem|Exercise|Q|Human|User|USER|HUMAN)[ \t]*\d{0,4}\*{0,2}[ \t]*:"
    r"|(?<=\# )Instruction:?)"
    r"|<\|[^|<>\s]{1,40}\|>|</s>|<eos>|<end_of_turn>|<start_of_turn>"
)
_FINAL = "<|channel|>final<|message|>"
_THOUGHTS = re.compile(r"</(?:think|thinking|reasoning|thought)>|<\|end_of_thought\|>")


def parts(text: str) -> Iterator[str]:
    """Yield what to read, the likeliest first: a text up to each new question, then all of it.

    A model that goes on with a question of its own gives another answer after it. Thoughts in tags
    are left out if anything follows them.
    """
    if _FINAL in text:
        text = text.rpartition(_FINAL)[2]
    if thoughts := deque(_THOUGHTS.finditer(text), maxlen=1):
        text = text[thoughts[0].end() :].strip() or text
    for n, stop in enumerate(_STOP.finditer(text)):
        if n == _MANY:
            break
        if head := text[max(0, stop.start() - LONGEST) : stop.start()].strip():
            yield head
    yield text[-LONGEST:].strip()


_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{)?")
_WORD = re.compile(r"[^\s$]*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def boxed(text: str) -> str | None:
    r"""Return what the last filled `\boxed{}` holds, braces in it included, or None without one.

    A box that is never closed ends with its line.

    Examples
    --------
    >>> boxed(r"\boxed{1} or \boxed{\frac{1}{2}}, not \boxed{}")
    '\\frac{1}{2}'
    """
    if "\\boxed" not in text and "\\fbox" not in text:
        return None
    for box in reversed(deque(_BOX.finditer(text), maxlen=_MANY)):
        word = _WORD.match(text, box.end())
        inside = _braced(text, box.end()) if box[1] or word is None else word[0]
        if inside.strip():
            return inside.strip()
    return None


def _braced(text: str, start: int) -> str:
    """Return the text up to the brace that closes the one before `start`."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start : brace.start()]
    return text[start:].partition("\n")[0]


_HASHED = re.compile(r"####(?!#)[ \t]*([^\n]*)")
#: A heading and no answer: "#### 3. Add them up", "#### Step 3: add".
_HEADING = re.compile(r"(?:\d{1,2}[.):]\s+\S|[A-Z][^=]*:\s*$|(?:Step|Part|Case)\b)")


def hashed(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what stands after `####`, the last first, and whether it is the end of the text."""
    if "####" not in text:
        return
    for mark in reversed(deque(_HASHED.finditer(text), maxlen=_MANY)):
        line = mark[1].strip()
        if line and not _HEADING.match(line):
            yield line, not text[mark.end() :].strip()


_ANNOUNCED = re.compile(
    r"\b(?:answers?|ans|solution is|choice is|option is)\b"
    r"(?:[ \t]+(?:to|for|of|in)\b[^.:\n]{1,80}?)?"
    r"(?:[ \t](?:must|should|would|will|has to|can only))?"
    r"[ \t]*[*_]{0,3}[ \t]*(?:\b(?:is|are|was|be|becomes|equals)\b|[:=\n]|(?<=\bis))"
    r"|答案\s*(?:是|为|為|:)",
    re.IGNORECASE,
)
#: Before the answer itself: "is therefore:", a line that only opens a formula.
_FILLER = re.compile(
    r"\A(?:(?:is|be|therefore|thus|hence|then|so|clearly|probably|likely|most|definitely|indeed|still|"
    r"simply|actually|now|given by|option)\b[\s,:*_]*){1,4}|\A(?:\\\[|\$\$)[ \t]*\n\s*",
    re.IGNORECASE,
)
_END_OF_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n")


@dataclass(frozen=True)
class Announced:
    """What follows "the answer is" (`said`), to the end of its sentence and its line."""

    said: bool
    sentence: str
    line: str


def announced(text: str) -> list[Announced]:
    """Return what stands after each announcement of an answer, the last first."""
    found = []
    for match in reversed(deque(_ANNOUNCED.finditer(text), maxlen=_MANY)):
        rest = text[match.end() : match.end() + 400].lstrip(" \t\n*_:=")
        rest = _FILLER.sub("", rest).lstrip(" \t\n*_:=")
        line = rest.partition("\n")[0]
        end = _END_OF_SENTENCE.search(line)
        sentence = line[: end.start()] if end else line
        found.append(Announced(match[0][-1] not in ":=\n", sentence.strip(), line.strip()))
    return found


_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
#: "1.", "Step 2:": bold, and a heading.
_MARKER = re.compile(r"\d+[.)]|.*:|(?:Step|Part|Case)\b.*")


def bold(text: str) -> Iterator[str]:
    """Yield what is bold and no heading, the last first, if no sum and no new line follows it."""
    if "**" not in text:
        return
    for mark in reversed(deque(_BOLD.finditer(text), maxlen=_MANY)):
        after = text[mark.end() :]
        if "=" in after or re.search(r"\n[^\n]*\d", after):
            return
        if not _MARKER.fullmatch(mark[1].strip()):
            yield mark[1].strip()
