"""A number as it is written: integer, decimal, fraction, mixed number, power of ten."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from thinkaloud.domains.values.lexer import MAX_EXPONENT, Token, TooLarge
from thinkaloud.domains.values.units import find_unit

_PARTS_OF_ONE = frozenset({"half", "third", "quarter"})


class Literal(NamedTuple):
    """A number without sign and unit, and the place after it."""

    value: Fraction
    form: str
    written: tuple[int, int] | None
    end: int


def read_literal(tokens: Sequence[Token], at: int) -> Literal | None:
    """An integer, decimal, fraction, mixed number, power of ten or "half"."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    if token.text == "\\frac":
        return _fraction_command(tokens, at)
    if token.kind == "word":
        return _word_fraction(tokens, at)
    if token.text == "(":
        return _division(tokens, at)
    if token.kind != "number":
        return None
    return (
        _mixed(tokens, at)
        or _division(tokens, at)
        or _scientific(tokens, at)
        or Literal(token.value, token.form, None, at + 1)
    )


def _word_fraction(tokens: Sequence[Token], at: int) -> Literal | None:
    """`half`, `a quarter`: one part of a whole."""
    start = at
    if tokens[at].lower in ("a", "an") and at + 1 < len(tokens):
        at += 1
    if tokens[at].lower not in _PARTS_OF_ONE or (at == start and tokens[at].lower != "half"):
        return None
    unit, _ = find_unit([tokens[at].text])
    assert unit is not None
    return Literal(unit.factor, "words", None, at + 1)


def _integer(tokens: Sequence[Token], at: int) -> int | None:
    if at < len(tokens) and tokens[at].kind == "number" and tokens[at].form in ("integer", "words"):
        return int(tokens[at].value)
    return None


def _signed_integer(tokens: Sequence[Token], at: int) -> tuple[int | None, int]:
    """`3`, `(3)` or `(-3)`, and the place after it."""
    if at >= len(tokens) or tokens[at].text != "(":
        return _integer(tokens, at), at + 1
    signed = at + 1 < len(tokens) and tokens[at + 1].text in ("-", "+")
    value, end = _integer(tokens, at + 1 + signed), at + 2 + signed
    if value is None or end >= len(tokens) or tokens[end].text != ")":
        return None, at
    return (-value if signed and tokens[at + 1].text == "-" else value), end + 1


def _division(tokens: Sequence[Token], at: int) -> Literal | None:
    """`3/4` or `(-3)/(4)` of two integers, not followed by a further division."""
    over, end = _signed_integer(tokens, at)
    if over is None or end >= len(tokens) or tokens[end].text not in ("/", "\\div"):
        return None
    under, end = _signed_integer(tokens, end + 1)
    if not under or (end < len(tokens) and tokens[end].text in ("/", "^", "!")):
        return None
    return Literal(Fraction(over, under), "fraction", (over, under) if under > 0 else (-over, -under), end)


def _fraction_command(tokens: Sequence[Token], at: int) -> Literal | None:
    """`\\frac{3}{4}`, `\\frac34`, `\\frac3{4}` of integers."""
    over, end, rest = _argument(tokens, at + 1, "")
    if over is None:
        return None
    under, end, rest = _argument(tokens, end, rest)
    if not under or rest:
        return None
    return Literal(Fraction(over, under), "fraction", (over, under), end)


def _argument(tokens: Sequence[Token], at: int, rest: str) -> tuple[int | None, int, str]:
    """An integer in braces or one digit; the place after it, and the digits left over of its token."""
    if rest:
        return int(rest[0]), at, rest[1:]
    if at < len(tokens) and tokens[at].text == "{":
        negative = at + 1 < len(tokens) and tokens[at + 1].text == "-"
        value = _integer(tokens, at + 1 + negative)
        end = at + 2 + negative
        if value is None or end >= len(tokens) or tokens[end].text != "}":
            return None, at, ""
        return (-value if negative else value), end + 1, ""
    if at < len(tokens) and tokens[at].text.isascii() and tokens[at].text.isdigit():
        return int(tokens[at].text[0]), at + 1, tokens[at].text[1:]
    return None, at, ""


def _mixed(tokens: Sequence[Token], at: int) -> Literal | None:
    """`3 1/2`, `3 and 1/2`, `3\\frac12`."""
    whole = _integer(tokens, at)
    if whole is None or at + 1 >= len(tokens) or (tokens[at + 1].text == "/"):
        return None
    skip = 2 if tokens[at + 1].lower == "and" else 1
    if at + skip >= len(tokens):
        return None
    if tokens[at + skip].text == "\\frac":
        part = _fraction_command(tokens, at + skip)
    elif tokens[at + skip].kind == "number" and (tokens[at + skip].spaced or skip == 2):
        part = _division(tokens, at + skip)
    else:
        part = None
    if part is None or not 0 < part.value < 1 or tokens[at].form == "words":
        return _mixed_words(tokens, at, whole)
    return Literal(whole + part.value, "mixed", None, part.end)


def _mixed_words(tokens: Sequence[Token], at: int, whole: int) -> Literal | None:
    """`two and three quarters`, `3 and a third`."""
    if tokens[at + 1].lower != "and" or at + 3 >= len(tokens):
        return None
    count = 1 if tokens[at + 2].lower in ("a", "one") else _integer(tokens, at + 2)
    unit, used = find_unit([tokens[at + 3].text])
    if (
        not count
        or unit is None
        or unit.dimension
        or not used
        or unit.factor * count >= 1
        or unit.factor.numerator != 1
    ):
        return None
    if tokens[at + 3].text == "%" or tokens[at + 3].lower.startswith("percent"):
        return None
    return Literal(whole + count * unit.factor, "mixed", None, at + 4)


def _scientific(tokens: Sequence[Token], at: int) -> Literal | None:
    """`3.2 * 10^5` and `10^{-3}`; raises TooLarge for exponents beyond what is read."""
    first = tokens[at]
    row = [token.lower for token in tokens[at + 1 : at + 4]]
    if first.text == "10" and row[:1] == ["^"]:
        base, at = Fraction(1), at + 2
    elif row[:1] in (["*"], ["x"]) and row[1:] == ["10", "^"]:
        base, at = first.value, at + 4
    else:
        return None
    closing = {"{": "}", "(": ")"}.get(tokens[at].text) if at < len(tokens) else None
    at += closing is not None
    negative = at < len(tokens) and tokens[at].text == "-"
    at += negative or (at < len(tokens) and tokens[at].text == "+")
    exponent = _integer(tokens, at)
    if exponent is None or (closing and (at + 1 >= len(tokens) or tokens[at + 1].text != closing)):
        return None
    if exponent > MAX_EXPONENT:
        raise TooLarge
    value = base * Fraction(10) ** (-exponent if negative else exponent)
    return Literal(value, "scientific", None, at + (2 if closing else 1))
