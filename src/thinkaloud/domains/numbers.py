"""Reading the one number that an answer states: strictly, exactly and fast.

Read are integers, decimals, thousands commas, currency, percent, units, fractions, mixed numbers, scientific notation,
small number words, LaTeX's `\\frac` and `\\boxed`, "x = 5", and sums that come out right ("5 + 7 = 12"). Whatever could
mean two things is refused: two different numbers, "or", "not", a range, an expression left unevaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from thinkaloud.domains import arithmetic
from thinkaloud.domains.lexer import Token, TooLarge, simplify, tokenize
from thinkaloud.domains.quantities import Number, quantities
from thinkaloud.domains.units import CURRENCY

MAX_CHARS = 2_000
"""Nothing is read from a longer answer."""

_HEDGES = frozenset(
    {"or", "either", "neither", "nor", "not", "never", "between", "versus", "vs", "maybe", "cannot", "half", "halves"}
)
_OPERATORS = frozenset({"+", "*", "/", "^", "**", "±"})
_SYMBOLS = frozenset("√∛π∞<>≤≥≠|\\{}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the number, or None and the reason; `empty` where the text holds no number at all."""

    number: Number | None
    why: str = ""
    empty: bool = False


def read_number(text: str) -> Reading:
    """The one number that `text` states.

    Args:
        text: an answer, hostile perhaps.

    Returns:
        The number, or why there is none. Linear in the text; nothing of more than 2,000 characters is read.
    """
    if len(text) > MAX_CHARS:
        return Reading(None, f"the answer has {len(text):,} characters")
    try:
        tokens = tokenize(simplify(text))
    except TooLarge:
        return Reading(None, "a number is too large to read")
    if any(t.text.casefold() in _HEDGES or t.text.casefold().endswith(("n't", "n’t")) for t in tokens):
        if any(t.kind == "number" for t in tokens):
            return Reading(None, "the answer hedges or negates")
        return Reading(None, "no number", empty=True)
    sides = _split_sides(tokens)
    last = _read_side(sides[-1])
    if last.number is None:
        return last
    for side in sides[:-1]:
        if any(t.kind == "number" for t in side) and _evaluate(side) != last.number.value:
            return Reading(None, "two different numbers, or an equation that does not hold")
    return last


def read_numbers(text: str) -> list[Fraction] | None:
    """All numbers of a text that is a plain list of them ("3:2", "(3, 4)", "x = 1 or x = -1"), in order; else None."""
    if len(text) > MAX_CHARS:
        return None
    try:
        tokens = tokenize(simplify(text))
    except TooLarge:
        return None
    numbers, rest = quantities([t for t in tokens if t.text != "="])
    if not numbers or any(_breaks_list(token) for token in rest):
        return None
    return [number.value for number in numbers]


def _breaks_list(token: Token) -> bool:
    return token.text in _OPERATORS or token.text in _SYMBOLS - {"{", "}"} or token.text.casefold() == "not"


def _split_sides(tokens: list[Token]) -> list[list[Token]]:
    sides: list[list[Token]] = [[]]
    for token in tokens:
        if token.text == "=":
            sides.append([])
        else:
            sides[-1].append(token)
    return sides


def _read_side(tokens: list[Token]) -> Reading:
    numbers, rest = quantities(tokens)
    if not numbers:
        return Reading(None, "no number", empty=True)
    if any(token.text in _OPERATORS or token.text in _SYMBOLS or token.text == "-" for token in rest):
        return Reading(None, "an expression, not a number")
    if len({(number.value, number.percent) for number in numbers}) > 1:
        return Reading(None, "two different numbers")
    return Reading(next((number for number in numbers if number.unit), numbers[0]))


def _evaluate(tokens: list[Token]) -> Fraction | None:
    """The value of a side of an equation: words, units and currency signs do not count."""
    row: list[Fraction | str] = []
    for i, token in enumerate(tokens):
        if token.kind == "number":
            row.append(token.value)
        elif token.text in ("+", "-", "*", "/", "(", ")"):
            row.append(token.text)
        elif token.text.casefold() == "x" and 0 < i < len(tokens) - 1 and tokens[i + 1].kind == "number":
            row.append("*")
        elif token.kind == "sign" and token.text not in CURRENCY and token.text != "%":
            return None
    return arithmetic.evaluate(row)
