r"""The rule "choice": the letter, A to J, that a text gives as its answer."""

import re
from collections import deque

from recover_nb.tasks.grading.places import Found, announced, bold, boxed, hashed, parts
from recover_nb.tasks.grading.spelling import plain, unlatex

#: After these, a capital A or I is a choice; before any other word it is an article or a pronoun.
_GOES_ON = (
    r"(?:because|since|as|and|or|but|for|is|are|was|were|which|with|given|due|so|not|over|rather|"
    r"instead|seems?|looks?|would|must|fits?|follows?|does|can|cannot|has|gives?|says|than|then)\b"
)
_ARTICLE = rf"(?:(?<=[AI])(?![ \t]+(?!{_GOES_ON})[^\W\d_])|(?<=[B-HJ]))"
_DRESS = r"[\s*_`\"'“”$\[{:=>-]*"
_NAMED = r"(?:(?:option|choice|answer|letter|statement)\b[\s:]{0,3})?"
#: A capital, or a small letter that nothing but punctuation follows; in brackets, either.
_LETTER = re.compile(
    rf"{_DRESS}(?i:{_NAMED})[\s*_`\"'“”$]*"
    r"(?:[(\[]\s?(?P<bracketed>[A-Ja-j])\s?[)\]]"
    rf"|(?P<capital>[A-J])(?![\w'&]|\.[A-Za-z]){_ARTICLE}"
    r"|(?P<small>[a-j])(?=[).:]|[\s*_`\"'“”$.,;!\]}]*(?:\n|$)))"
)
_ANOTHER = re.compile(
    r"[\s*_$)\]}.]*(?:,|/|&|\b(?:and|or)\b)\s*(?:(?:option|choice)\s)?[*_$]*\(?[A-J]\)?(?![\w'])"
    r"(?!\s+[a-z])"
)
_ALONE = re.compile(r"[\s*_`\"'“”$)\]}.,;:!]*")
#: A letter that begins a line, as an option does.
_OPTION = re.compile(r"(?m)^[\s*_`>-]{0,6}(?:\([A-J]\)|[A-J][).:])")
_CHOSEN = re.compile(
    r"(?:\b(?:choose|chose|select|pick|go with|going with)\s+(?:with\s+)?"
    r"(?:option\s+|choice\s+|answer\s+)?(?=\W{0,4}[A-J]\b)"
    r"|(?<!\w)(?=\W{0,2}(?-i:[A-J])\W{0,4}\s(?:is|would be)\s(?:the\s)?(?:correct|right|best)))",
    re.IGNORECASE,
)
_FREE = re.compile(
    r"(?<![\w.'&-])(?:\((?P<bracketed>[A-J])\)"
    rf"|(?P<capital>[A-J])(?![\w'&]|\.[A-Za-z]){_ARTICLE})"
)


def _of(match: re.Match[str]) -> str:
    """Return the letter of a match, a capital."""
    return next(each for each in match.groups() if each).upper()


def _stated(text: str) -> Found[str] | None:
    """Return the letter that a statement starts with; of several letters, none."""
    text = unlatex(text[:400])
    match = _LETTER.match(text)
    if match is None:
        return None
    return Found(None if _ANOTHER.match(text, match.end()) else _of(match), "")


def _alone(text: str) -> str | None:
    """Return the letter that a short text is."""
    if len(text) > 60:
        return None
    text = unlatex(text)
    match = _LETTER.match(text)
    return _of(match) if match and _ALONE.fullmatch(text, match.end()) else None


def _placed(text: str) -> Found[str] | None:
    """Return the letter at the place where a part of a text gives its answer."""
    if letter := _alone(text):
        return Found(letter, "whole text")
    if (inside := boxed(text)) is not None:
        found = _stated(inside)
        return Found(found.value if found else None, "boxed")
    for line, ends in hashed(text):
        if (found := _stated(line)) or ends:
            return Found(found.value if found else None, "####")
    for each in announced(text):
        if found := _stated(each.line):
            return Found(found.value, "announced")
    for chosen in reversed(deque(_CHOSEN.finditer(text), maxlen=8)):
        if found := _stated(text[chosen.end() : chosen.end() + 80]):
            return Found(found.value, "announced")
    return _marked(text)


def _marked(text: str) -> Found[str] | None:
    """Return the one letter that begins a line as an option does, or the last in bold."""
    options = deque(_OPTION.finditer(text), maxlen=2)
    if len(options) == 1 and options[0].start() == 0 and (found := _stated(text)):
        return Found(found.value, "first")
    for words in bold(text):
        if (found := _stated(words)) and found.value:
            return Found(found.value, "bold")
    return None


def read_letter(text: str) -> Found[str] | None:
    """Return the letter that a text gives as its answer, and where; None if it gives none."""
    for part in parts(plain(text)):
        if found := _placed(part):
            return found
        if last := deque(_FREE.finditer(part), maxlen=1):
            return Found(_of(last[0]), "last letter")
    return None


def read_gold_letter(answer: str) -> Found[str] | None:
    """Return the letter that a gold answer is: alone, before its words, or announced."""
    found = read_letter(answer)
    return None if found is None or found.place == "last letter" else found
