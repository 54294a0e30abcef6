"""Exact arithmetic on short rows of tokens: + - * / and parentheses, nothing else, bounded depth and size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Token = Fraction | str

MAX_TOKENS = 200
MAX_DEPTH = 20


class _NoValue(Exception):
    """The row is no arithmetic expression."""


def evaluate(tokens: Sequence[Token]) -> Fraction | None:
    """The value of a row of numbers, operators and parentheses, or None where it has none.

    >>> evaluate([Fraction(5), "+", Fraction(7), "*", Fraction(2)])
    Fraction(19, 1)
    """
    if not tokens or len(tokens) > MAX_TOKENS:
        return None
    try:
        value, at = _sum(tokens, 0, 0)
    except _NoValue:
        return None
    return value if at == len(tokens) else None


def _sum(tokens: Sequence[Token], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in ("+", "-"):
        right, after = _product(tokens, at + 1, depth)
        value, at = (value + right if tokens[at] == "+" else value - right), after
    return value, at


def _product(tokens: Sequence[Token], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _atom(tokens, at, depth)
    while at < len(tokens) and tokens[at] in ("*", "/"):
        right, after = _atom(tokens, at + 1, depth)
        if tokens[at] == "/" and right == 0:
            raise _NoValue
        value, at = (value * right if tokens[at] == "*" else value / right), after
    return value, at


def _atom(tokens: Sequence[Token], at: int, depth: int) -> tuple[Fraction, int]:
    if at >= len(tokens) or depth > MAX_DEPTH:
        raise _NoValue
    token = tokens[at]
    if isinstance(token, Fraction):
        return token, at + 1
    if token in ("-", "+"):
        value, at = _atom(tokens, at + 1, depth + 1)
        return (-value if token == "-" else value), at
    if token == "(":
        value, at = _sum(tokens, at + 1, depth + 1)
        if at < len(tokens) and tokens[at] == ")":
            return value, at + 1
    raise _NoValue
