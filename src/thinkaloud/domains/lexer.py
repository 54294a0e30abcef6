"""An answer's text -> numbers, words and signs: the first half of reading a number.

LaTeX, typographic signs and number words are brought to one plain form; every number becomes an exact fraction whose
size was bounded before it was formed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

MAX_DIGITS = 100
MAX_EXPONENT = 300

Kind = Literal["number", "word", "sign", "mark"]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text. `mark` is punctuation without meaning; `spaced` tells whether white space stands before it."""

    kind: Kind
    text: str
    value: Fraction = Fraction(0)
    spaced: bool = False
    spelled: bool = False


class TooLarge(Exception):
    """A number has more digits than are read."""


_FRACTIONS = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_PLAIN = str.maketrans(
    dict(zip("−–—⁄∕÷×·⋅≈≃％＄²³º", [*"---///***==%$", "^2", "^3", "°"], strict=True))
    | {sign: f" {text} " for sign, text in _FRACTIONS.items()}
)
_LATEX = (
    (re.compile(r"\\(?:text|textbf|mathrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r" (\1)/(\2) "),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2 "),
    (re.compile(r"\^\s*\{\s*([-+]?\d+)\s*\}"), r"^\1"),
    (re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:approx|simeq)(?![a-zA-Z])"), "="),
    (re.compile(r"\^?\s*\{?\\(?:circ|degree)(?![a-zA-Z])\}?"), "°"),
    (re.compile(r"\\(?:left|right|displaystyle|quad|qquad)(?![a-zA-Z])|\\[,;:!()\[\] ]"), " "),
    (re.compile(r"\\([%$#&_])"), r"\1"),
    (re.compile(r"\(\s*(-?\s*\d+)\s*\)\s*/\s*\(\s*(-?\s*\d+)\s*\)"), r"\1/\2"),
    (re.compile(r"(?<=\d)\s*[*x]\s*10\s*(?:\^|\*\*)\s*\(?\s*([-+]?\d+)\s*\)?(?![\d.])"), r"e\1"),
)
_THIN_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")  # 12 345, as printed
_EMPHASIS = re.compile(r"(?<![\w*)])\*{1,2}([^\s*][^*]*)\*{1,2}(?![\w*(])")
_PAIRED_DOLLARS = re.compile(r"(?<!\\)\$([^$]*)\$")
_TOKEN = re.compile(
    r"(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE](?P<exponent>[-+]?\d+)(?!\w))?"
    r"|(?P<word>[^\W\d_][^\W_]*(?:['’-][^\W\d_][^\W_]*)*)"
    r"|(?P<sign>\*\*|±|[-+*/^=()$€£¥%°√∛π∞<>≤≥≠|\\{}¢])"
    r"|(?P<mark>\S)"
)
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPELLED = dict(zip(_ONES, range(20), strict=True)) | dict(zip(_TENS, range(20, 100, 10), strict=True))
SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9}


def simplify(text: str) -> str:
    """`text` with LaTeX and typographic signs in plain form: `\\frac{3}{4}` becomes `3/4`, `−5` becomes `-5`."""
    text = _THIN_SPACE.sub(",", text).translate(_PLAIN)
    text = _EMPHASIS.sub(r"\1", " ".join(text.split()))
    if "\\" in text or "{" in text or "10" in text or ")/(" in text:
        for _ in range(2):  # twice, for one inside another: \boxed{\frac{3}{4}}
            for pattern, plain in _LATEX:
                text = pattern.sub(plain, text)
    if text.count("$") >= 2:  # $5$ is mathematics, $5 is money
        text = _PAIRED_DOLLARS.sub(r" \1 ", text)
    return text


def tokenize(text: str) -> list[Token]:
    """Tokens of a text in plain form (`simplify`), number words included.

    Raises:
        TooLarge: a number is longer than `MAX_DIGITS` or its exponent beyond `MAX_EXPONENT`.
    """
    tokens: list[Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        spaced = match.start() > end or match.start() == 0
        end = match.end()
        kind = match.lastgroup if match.lastgroup != "exponent" else "number"
        if kind == "number":
            tokens.append(Token("number", match[0], _value(match["number"], match["exponent"]), spaced))
        elif kind == "word":
            tokens += _word(match[0], spaced)
        else:
            tokens.append(Token("sign" if kind == "sign" else "mark", match[0], spaced=spaced))
    return _without_lone_one(_with_scales(tokens))


def _value(digits: str, exponent: str | None) -> Fraction:
    plain = digits.replace(",", "")
    if len(plain) > MAX_DIGITS or len(exponent or "") > 5 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise TooLarge
    return Fraction(plain) * Fraction(10) ** int(exponent or 0)


def _word(text: str, spaced: bool) -> list[Token]:
    """A word, or the number that it spells ("twenty-five")."""
    parts = text.casefold().split("-")
    if all(part in _SPELLED for part in parts):
        if len(parts) == 1:
            return [Token("number", text, Fraction(_SPELLED[parts[0]]), spaced, spelled=True)]
        if len(parts) == 2 and _SPELLED[parts[0]] >= 20 and 0 < _SPELLED[parts[1]] < 10:
            return [Token("number", text, Fraction(_SPELLED[parts[0]] + _SPELLED[parts[1]]), spaced, spelled=True)]
    return [Token("word", text, spaced=spaced)]


def _without_lone_one(tokens: list[Token]) -> list[Token]:
    """The word "one" is a pronoun wherever another number stands."""
    if sum(token.kind == "number" for token in tokens) < 2:
        return tokens
    return [
        Token("word", token.text, spaced=token.spaced) if token.text.casefold() == "one" else token for token in tokens
    ]


def _with_scales(tokens: list[Token]) -> list[Token]:
    """A number and the scale after it ("5 million", "two hundred thousand") as one number."""
    merged: list[Token] = []
    for token in tokens:
        scale = SCALES.get(token.text.casefold()) if token.kind == "word" else None
        if scale and merged and merged[-1].kind == "number":
            last = merged[-1]
            if last.value > 10**MAX_DIGITS:
                raise TooLarge
            merged[-1] = Token("number", f"{last.text} {token.text}", last.value * scale, last.spaced, spelled=True)
        else:
            merged.append(token)
    return merged
