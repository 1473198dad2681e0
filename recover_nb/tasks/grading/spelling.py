r"""One spelling for what people and models write in many: digits, signs, spaces, LaTeX.

`plain` is for whole texts: it maps characters. `unlatex` is for the few words at an answer.
"""

import re
import unicodedata
from functools import cache

#: Stands for a thin or fixed space: between digits it groups them, elsewhere it is a space.
THIN = "\u2009"

_MINUS = "\u2212\u2012\u2013\u2010\u2011\ufe63\u208b\u02d7\u2796"
_FIXED_SPACES = "\u2009\u202f\u00a0\u2007\u2008\u2006"
_SPACES = "\u2002\u2003\u2004\u2005\u200a\u205f\u3000"
_GONE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u2061\u2062\u2063\u2064\ufe0f"
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻\u207a"
_SUPERSCRIPT = re.compile(f"[{_SUPERSCRIPTS}]+")
_MAPPED = {
    **dict.fromkeys(map(ord, _MINUS), "-"),
    **dict.fromkeys(map(ord, _FIXED_SPACES), THIN),
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(map(ord, _GONE), ""),
    **{0xFF00 + code - 0x20: chr(code) for code in range(0x21, 0x7F)},
    **dict.fromkeys(map(ord, "\u00d7\u2715\u2716\u22c5\u2217"), "*"),
    **dict.fromkeys(map(ord, "\u2215\u2044"), "/"),
    **dict.fromkeys(map(ord, "\u207a\u208a"), "+"),
    ord("\u2014"): " ",
    ord("\u3002"): ". ",
    ord("\u066b"): ".",
    ord("\u066c"): ",",
    ord("\ufe6a"): "%",
    ord("\u066a"): "%",
    ord("\u00ba"): "°",
    ord("\u2019"): "'",
}


@cache
def _mapped(char: str) -> str:
    """Return a character in plain spelling."""
    code = ord(char)
    if code in _MAPPED:
        return _MAPPED[code]
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    spelt = unicodedata.normalize("NFKC", char)
    if "\u2044" in spelt and spelt[0].isdigit():  # a vulgar fraction, with its space: 1½ is 1 1/2
        return " " + spelt.replace("\u2044", "/")
    if unicodedata.name(char, "").startswith("MATHEMATICAL "):
        return spelt
    return char


class _Plain(dict):
    def __missing__(self, code: int) -> str:
        return _mapped(chr(code))


_TABLE = _Plain()


def plain(text: str) -> str:
    """Return a text with plain digits, signs and spaces.

    Examples
    --------
    >>> plain("\u2212\uff15, 2\u00d710\u00b3, 1\u00bd")
    '-5, 2*10^3, 1 1/2'
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    text = _SUPERSCRIPT.sub(_raised, text)
    return text.translate(_TABLE)


def _raised(match: re.Match[str]) -> str:
    """Spell superscripts as a power."""
    digits = unicodedata.normalize("NFKC", match[0]).replace("\u2212", "-")
    return "^" + digits


_RENAMED = re.compile(r"\\(?:dfrac|tfrac|cfrac|sfrac|nicefrac)(?![A-Za-z])")
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|boldsymbol|bigl?|bigr?|Bigl?|Bigr?|limits|!)"
    r"(?![A-Za-z])|\\!|\\[()\[\]]"
)
_THIN = re.compile(r"\\(?:,|;|:|>|~| |thinspace|quad|qquad)|~")
_WORDS = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathit|mathsf|mbox|hbox|bm|emph|"
    r"operatorname|underline|bf|rm)\s*\{([^{}]*)\}"
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree(?![A-Za-z])")
_TIMES = re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])")
_ABOUT = re.compile(r"\\(?:approx|simeq|thickapprox)(?![A-Za-z])")
_PART = r"\s*(?:\{([^{}]*)\}|(\d))"
_FRACTION = re.compile(r"\\frac" + _PART + _PART)
_PLAIN_PART = re.compile(r"\s*([-+]?)\s*([\d.,_" + THIN + r"]+)\s*")


def unlatex(text: str) -> str:
    r"""Return a short text without the LaTeX that only sets it: what stays has a backslash.

    Examples
    --------
    >>> unlatex(r"1\frac12 \text{ cm}, 1{,}000, 5\%")
    '1 1/2  cm , 1,000, 5%'
    >>> unlatex(r"\dfrac{\sqrt{2}}{2}")
    '\\frac{\\sqrt{2}}{2}'
    """
    if "\\" not in text and "{" not in text and "~" not in text:
        return text
    text = _DROPPED.sub("", _RENAMED.sub(r"\\frac", text.replace("{,}", ",")))
    text = _DEGREES.sub("°", text).replace(r"\%", "%").replace(r"\$", "$").replace(r"\_", "_")
    text = _ABOUT.sub("≈", _TIMES.sub("*", _THIN.sub(THIN, text)))
    for _ in range(4):  # words within words; deeper ones stay, and are no number
        text, changed = _WORDS.subn(r" \1 ".replace("  ", " "), text)
        if not changed:
            break
    return _FRACTION.sub(_fraction, text)


def _fraction(match: re.Match[str]) -> str:
    """Spell a fraction of two numbers with a slash; leave any other."""
    above = _PLAIN_PART.fullmatch(match[1] or match[2] or "")
    below = _PLAIN_PART.fullmatch(match[3] or match[4] or "")
    if above is None or below is None:
        return match[0]
    negative = (above[1] == "-") != (below[1] == "-")
    return f" {'-' if negative else ''}{above[2]}/{below[2]}"
