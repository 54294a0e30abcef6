"""Rows of tokens cut at separators and brackets."""

from __future__ import annotations

from collections.abc import Sequence

from thinkaloud.domains.values.lexer import Token

_OPENING = {"(": 1, "[": 1, "{": 1, "\\{": 1, ")": -1, "]": -1, "}": -1, "\\}": -1}


def trimmed(tokens: Sequence[Token]) -> Sequence[Token]:
    """`tokens` without the separators at both ends."""
    start, end = 0, len(tokens)
    while start < end and tokens[start].text in ("\n", ":", ",", '"'):
        start += 1
    while end > start and tokens[end - 1].text in ("\n", ".", ",", ";", '"'):
        end -= 1
    return tokens[start:end]


def split_top(tokens: Sequence[Token], separators: frozenset[str]) -> list[Sequence[Token]]:
    """`tokens` cut at separators outside brackets; brackets may be of different kinds, as in `[1, 2)`."""
    parts: list[Sequence[Token]] = []
    depth, start = 0, 0
    for at, token in enumerate(tokens):
        depth += _OPENING.get(token.text, 0)
        if depth == 0 and token.lower in separators:
            parts.append(tokens[start:at])
            start = at + 1
    parts.append(tokens[start:])
    return parts


def closing_at(tokens: Sequence[Token]) -> int:
    """Where the bracket that opens `tokens` closes."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += _OPENING.get(token.text, 0)
        if depth == 0:
            return at
    return -1
