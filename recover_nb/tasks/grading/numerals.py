r"""The rule "numeric": the number that a text gives as its answer, as an exact fraction."""

import re
from collections import deque
from fractions import Fraction

from recover_nb.tasks.grading.places import Found, announced, bold, boxed, hashed, parts
from recover_nb.tasks.grading.spelling import THIN, plain, unlatex

#: Longer numbers and larger powers are not read.
_MOST_DIGITS = 1000
#: Longer words around a number are prose.
_LONGEST_PLACE = 200
#: Of a running text, so many characters are read first.
_END = 240

_RAW = rf"(?:\d+(?:[.,_'{THIN}]\d+)*|\.\d+)"
_POWER = r"\s{0,2}(?:\^|\*\*)\s{0,2}[({]?\s?(?P<%s>[-+]?\d+)\s?[)}]?"
_NUMBER = re.compile(
    rf"(?P<head>{_RAW})(?:"
    r"[eE](?P<e>[-+]?\d+)(?!\w)"
    rf"|\s{{0,2}}[*x]\s{{0,2}}10{_POWER % 'ten'}"
    rf"|{_POWER % 'power'}"
    rf"|[ {THIN}]{{1,3}}(?P<above>\d+)/(?P<under>\d+)"
    rf"|\s?/\s?(?P<below>{_RAW})"
    r")?"
)
_GROUPED = re.compile(
    rf"[1-9]\d{{0,2}}(?:([,_'{THIN}])\d{{3}}(?:\1\d{{3}})*)(?:\.\d+)?"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?"
)
_UNGROUPED = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_SPACED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?: \d{3})+(?![\d/]|\.\d{4})")

_CURRENCY = "$€£¥₹₩₽₪฿¢"
_NAMED_CURRENCY = re.compile(r"\b(?:US\$|Rs\.?|USD|EUR|GBP|INR|CNY|RMB|CAD|AUD)[ \t]*(?=[-+.]?\d)")
#: Dates, times, ratios, versions: digits that are no number.
_NO_NUMBER = r"(?<!\d)\d{1,8}(?:(?P<sep>[-/.:])\d{1,8}(?:(?P=sep)\d+)+|:\d+)"
#: What makes a LaTeX expression of the digits in it.
_EXPRESSION = (
    r"\\(?:sqrt|frac|binom|log|ln|pi|pm|infty)(?![A-Za-z])\s?(?:\[[^\[\]{}]{0,40}\])?"
    r"(?:\s?\{(?:[^{}]|\{[^{}]{0,60}\}){0,60}\}){0,2}|√\s?\(?\d*|[π∞±]"
)
_ASIDE = r"\((?:see|from|by|cf|using|as|step)\b[^()\n]{0,80}\)"
_TOKEN = re.compile(
    rf"(?P<aside>{_ASIDE})|(?P<expression>{_EXPRESSION})|(?P<other>{_NO_NUMBER})"
    r"|(?<![A-Za-z_^\d])(?<!\^[-{(])(?<!\^[{(]-)"
    rf"{_NUMBER.pattern}(?P<glued>(?=\s?(?:\\pi|\\sqrt|[π√]|[xyzn](?![A-Za-z]))))?"
)

_LEAD = re.compile(
    r"\s*(?:(?:about|approximately|approx\.?|around|roughly|nearly|exactly|precisely|only|just|"
    r"equal to|equals?|therefore|thus|then|so|simply|also|now|given by)\b|[=≈~:*_`\"'“”])\s*",
    re.IGNORECASE,
)
#: What may stand left of an equals sign: a name, or a sum of numbers.
_NAME = re.compile(r"\s*[A-Za-z][A-Za-z ]{0,40}(?:_\{?\w{1,8}\}?)?\s*|[\d\s+*/^().,$%-]*")
_SIGNED = re.compile(rf"\s*([-+]?)\s*[{_CURRENCY}]?\s*([-+]?)\s*(?=[\d.])")
_SIGN_WORD = re.compile(r"\s*(?:minus|negative)\s+", re.IGNORECASE)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})\b", re.IGNORECASE)
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])\s*\^\s*[({]?-?\d[)}]?")
_NO_UNIT = re.compile(
    r"[\d+*^=<>\\√π∞±|#&_]|^\s*/?\s*(?:[xyznkbijqrue]|a(?!\s\w))(?![A-Za-z'])|-\s*[a-z]\b"
)
_LIST = re.compile(r"\s*(?:,|-|/|&|and\b|or\b|to\b)\s*[-+$]?[\d.]*\d\s*[^\w\s]*\s*$", re.IGNORECASE)
_OPERATOR = re.compile(r"\s*[-+*/^÷]\s*[\d($\\.]")


def _plain_value(raw: str) -> Fraction | None:
    """Return the value of digits with or without grouping; None if it is no grouping."""
    if len(raw) > _MOST_DIGITS:
        return None
    if _UNGROUPED.fullmatch(raw):
        return Fraction(raw)
    if _GROUPED.fullmatch(raw):
        return Fraction(re.sub(rf"[,_'{THIN}]", "", raw))
    return None


def _value(match: re.Match[str]) -> Fraction | None:
    """Return the value of a matched number without its sign."""
    head = _plain_value(match["head"])
    if head is None:
        return None
    if match["e"] or match["ten"]:
        return _raised(Fraction(10), match["e"] or match["ten"], head)
    if match["power"]:
        return _raised(head, match["power"], Fraction(1))
    if match["above"]:
        part = _ratio(match["above"], match["under"])
        return None if part is None or part >= 1 or head.denominator != 1 else head + part
    return _ratio(match["head"], match["below"]) if match["below"] else head


def _ratio(above: str, below: str) -> Fraction | None:
    top, bottom = _plain_value(above), _plain_value(below)
    return None if top is None or not bottom else top / bottom


def _raised(base: Fraction, exponent: str, times: Fraction) -> Fraction | None:
    if len(exponent) > 5 or abs(int(exponent)) * len(str(base)) > _MOST_DIGITS:
        return None
    return None if base == 0 and int(exponent) < 0 else times * base ** int(exponent)


def only_number(text: str) -> Fraction | None:
    r"""Return the one number that a short text is, None where it holds anything but its units.

    Examples
    --------
    >>> only_number(r"x = \$1{,}000.50"), only_number("-1 1/2 cups")
    (Fraction(2001, 2), Fraction(-3, 2))
    >>> only_number("5 or 6") is None and only_number("1,23") is None
    True
    """
    if len(text) > _LONGEST_PLACE:
        return None
    text = _undressed(unlatex(_NAMED_CURRENCY.sub("$", plain(text))))
    for _ in range(3):
        text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    left, equals, right = text.rpartition("=")
    if equals and not all(_NAME.fullmatch(each) for each in re.split("[=≈]", left)):
        return None
    text = _undressed(right.rpartition("≈")[2])
    text = _SPACED.sub(lambda digits: digits[0].replace(" ", ""), text)
    value, rest = _first(text)
    return None if value is None or not _is_unit(rest) else value


def _undressed(text: str) -> str:
    """Return a text without what wraps it: markdown, dollars, quotes, brackets, a full stop."""
    for _ in range(4):
        text = text.strip(f" \t\n{THIN}*_`\"'“”;:$").removesuffix(".")
        if text[:1] in "([{" and text[-1:] in ")]}" and not re.search(r"[()\[\]{}]", text[1:-1]):
            text = text[1:-1]
    return text


def _first(text: str) -> tuple[Fraction | None, str]:
    """Return the number at the start of a text, and the rest; None if there is none to read."""
    negative = False
    if word := _SIGN_WORD.match(text):
        negative, text = True, text[word.end() :]
    signed = _SIGNED.match(text)
    match = _NUMBER.match(text, signed.end()) if signed else None
    if signed is None or match is None or (signed[1] and signed[2]):
        return None, text
    value, rest = _value(match), text[match.end() :]
    if value is not None and (scale := _SCALE.match(rest)):
        value, rest = value * 10 ** _SCALES[scale[1].lower()], rest[scale.end() :]
    negative ^= "-" in (signed[1], signed[2])
    return (value if value is None or not negative else -value), rest


def _is_unit(rest: str) -> bool:
    return not _NO_UNIT.search(_UNIT_POWER.sub("", rest))


def last_number(text: str) -> Found[Fraction] | None:
    """Return the last number of a running text, None without any.

    Dates, times, ratios and digits in names are no numbers. Where an expression comes last, such as
    a root, it cannot be read, and no number before it is taken in its place.
    """
    ending = text[-_END:]
    tokens = [] if ending.count("}") > ending.count("{") else _tokens(ending)
    if not tokens or tokens[-1].start() < _END // 4:  # it may begin before the ending
        tokens = _tokens(text)
    if not tokens:
        return None
    token = tokens[-1]
    text = token.string
    value = None if token["expression"] or token["glued"] is not None else _value(token)
    if value is not None and _is_negative(text, token.start()):
        value = -value
    if value is not None and (scale := _SCALE.match(text, token.end())):
        value *= 10 ** _SCALES[scale[1].lower()]
    return Found(value, "last number")


def _tokens(text: str) -> list[re.Match[str]]:
    """Return the last number or expression of a text, in a list; an empty list without any."""
    found = (
        each for each in _TOKEN.finditer(unlatex(text)) if not each["aside"] and not each["other"]
    )
    return list(deque(found, maxlen=1))


_BEFORE = re.compile(rf"(?P<minus>-|\b(?:minus|negative)\s)(?P<gap>[ \t]*)[{_CURRENCY}]?[ \t]*$")


def _is_negative(text: str, start: int) -> bool:
    """Whether the minus before a number is its sign: no hyphen, range, bullet or difference."""
    before = text[max(0, start - 40) : start].rstrip("(")
    sign = _BEFORE.search(before)
    if sign is None:
        return False
    left = before[: sign.start()]
    previous = left.rstrip(" \t")[-1:]
    if previous.isdigit() or previous in {")", "]", "}", "%", "-", "°"}:
        return False
    if sign["minus"] != "-":
        return True
    if sign["gap"]:
        return previous != "" and previous in "=:({[,≈~<>"
    return not left[-1:].isalnum() and left[-1:] not in {"_", "'", '"'}


def _stated(text: str) -> Found[Fraction] | None:
    """Return the number that a statement starts with or comes to; None if it does neither."""
    value = only_number(text)
    if value is not None:
        return Found(value, "")
    text = _undressed(unlatex(text[: 2 * _LONGEST_PLACE]))
    for _ in range(3):
        text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    text = re.sub(r"\A[A-Za-z]\w?\s{0,2}=\s{0,2}", "", text)
    first, rest = _first(text.lstrip("$({["))
    if first is None:
        if re.match(r"[-+$\\√]?\s?[\d√]|\\(?:frac|sqrt)|[A-Za-z]\w?\s*=", text):
            return Found(only_number(text.rpartition("=")[2]) if "=" in text else None, "")
        return None
    if _LIST.match(rest):
        return Found(None, "")
    if _OPERATOR.match(rest):
        return Found(only_number(rest.rpartition("=")[2]) if "=" in rest else None, "")
    blocked = re.match(r":\d|\s*(?:\\(?:pi|sqrt|frac)|[π√^!_]|[xyzn](?![A-Za-z]))", rest)
    return Found(None if blocked else first, "")


def _placed(text: str) -> Found[Fraction] | None:
    """Return the number at the place where a part of a text gives its answer."""
    whole = only_number(text)
    if whole is not None:
        return Found(whole, "whole text")
    inside = boxed(text)
    if inside is not None:
        return Found(None if re.search(r"\d\s*!", inside) else only_number(inside), "boxed")
    for line, ends in hashed(text):
        found = _stated(line)
        if found or ends:
            return Found(found.value if found else None, "####")
    statements = announced(text)
    for each in statements:
        if found := _stated(each.sentence):
            return Found(found.value, "announced")
    for words in bold(text):
        if (value := only_number(words)) is not None:
            return Found(value, "bold")
    for each in statements:
        if each.said and (found := last_number(each.sentence)):
            return Found(found.value, "announced")
    return None


def read_number(text: str) -> Found[Fraction] | None:
    """Return the number that a text gives as its answer, and where; None if it gives none."""
    for part in parts(_NAMED_CURRENCY.sub("$", plain(text))):
        if found := _placed(part) or last_number(part):
            return found
    return None


def read_gold_number(answer: str) -> Found[Fraction] | None:
    """Return the number that a gold answer is: alone with its units, or at an announced place."""
    found = read_number(answer)
    return None if found is None or found.place == "last number" else found
