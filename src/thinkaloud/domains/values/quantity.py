"""One number with its sign, unit and rate, at a place in a row of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from thinkaloud.domains.values.grammar import FUNCTIONS
from thinkaloud.domains.values.kinds import Number
from thinkaloud.domains.values.lexer import Token
from thinkaloud.domains.values.literals import Literal, read_literal
from thinkaloud.domains.values.units import CURRENCY, Unit, find_unit
from thinkaloud.domains.values.vocabulary import word_set

_NEGATIVE = frozenset({"-", "negative", "minus"})
_MATHEMATICAL = FUNCTIONS | {"pi", "mod", "lim", "o'clock", "inf", "infinity"}
MAX_NOUNS = 4


def scan(tokens: Sequence[Token], at: int) -> tuple[Number, int] | None:
    """The quantity that starts at `at`, and the place after it; None where there is none, or part of a formula."""
    sign = 1
    start = at
    currency: Unit | None = None
    while at < len(tokens) and at - start < 3:
        text = tokens[at].lower
        if text in _NEGATIVE and sign == 1 and not (at > start and text == "minus"):
            sign = -1
        elif text in CURRENCY and currency is None:
            currency = CURRENCY[text]
        elif text != "+" or at > start:
            break
        at += 1
    literal = read_literal(tokens, at) or (_in_parentheses(tokens, at) if sign < 0 else None)
    if literal is None:
        return None
    value, form, written, at = literal
    if at < len(tokens) and tokens[at].text in ("^", "!", "_"):
        return None
    if written and sign < 0:
        written = (-written[0], written[1])
    words = [token.text for token in tokens[at : at + 9]]
    unit, used = find_unit(words)
    if currency is not None:
        unit, used = _scaled(currency, unit, used, words)
    at += used
    per, used = _rate(tokens, at)
    return Number(value if sign > 0 else -value, unit, form, written, per), at + used


def _in_parentheses(tokens: Sequence[Token], at: int) -> Literal | None:
    """The `(2/3)` of `-(2/3)`."""
    if at >= len(tokens) or tokens[at].text != "(":
        return None
    literal = read_literal(tokens, at + 1)
    if literal is None or literal.end >= len(tokens) or tokens[literal.end].text != ")":
        return None
    return literal._replace(end=literal.end + 1)


def _scaled(currency: Unit, unit: Unit | None, used: int, words: list[str]) -> tuple[Unit | None, int]:
    """The unit of an amount with a currency sign: `$5 dollars` is dollars, `$5 m` is nothing that is known."""
    if unit is None or (unit.dimension == currency.dimension and unit.factor == currency.factor):
        return currency, used
    return currency, 0


def _rate(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """`/day`, `per box`: the word after it, and how many tokens it takes."""
    if at + 1 < len(tokens) and tokens[at].lower in ("/", "per") and is_noun(tokens[at + 1]):
        return tokens[at + 1].lower.removesuffix("s"), 2
    return "", 0


def is_noun(token: Token) -> bool:
    """A word that is neither a variable nor a function."""
    return token.kind == "word" and len(token.text) > 1 and token.lower not in _MATHEMATICAL


def with_noun(tokens: Sequence[Token], number: Number, at: int) -> tuple[Number, int]:
    """`number` with the words after it (`apples per day`), and the place after them."""
    nouns: list[str] = []
    while at < len(tokens) and is_noun(tokens[at]) and len(nouns) < MAX_NOUNS and tokens[at].lower not in _JOINING:
        nouns.append(tokens[at].lower)
        at += 1
    per, used = ("", 0) if number.per else _rate(tokens, at)
    if not nouns and not used:
        return number, at
    return (
        Number(number.value, number.unit, number.form, number.written, per or number.per, " ".join(nouns)),
        at + used,
    )


_JOINING = word_set("and or so per is are which because since that")


def compound(numbers: Sequence[Number]) -> Number | None:
    """`3 hours 20 minutes` as one number; None unless the units are of one kind and get smaller."""
    first = numbers[0]
    if first.unit is None or first.value.denominator != 1:
        return None
    total, last = first.size, first
    for number in numbers[1:]:
        unit = number.unit
        if unit is None or last.unit is None or unit.dimension != first.unit.dimension or not unit.dimension:
            return None
        if unit.factor >= last.unit.factor or number.size >= last.unit.factor or number.value < 0:
            return None
        total, last = total + (number.size if first.value >= 0 else -number.size), number
    return Number(total / first.unit.factor, first.unit, "sum")
