"""Equations, inequalities and intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from thinkaloud.domains.values.evaluate import same, variables
from thinkaloud.domains.values.grammar import NotAnExpression
from thinkaloud.domains.values.kinds import Collection, Expression, Interval, Node, Number, Piece, Relation, Value
from thinkaloud.domains.values.lexer import Token
from thinkaloud.domains.values.quantity import scan
from thinkaloud.domains.values.tree import parse

MAX_SIDES = 12
_SEGMENTS = re.compile(
    r"([A-Z]{2})(?:/([A-Z]{2}))?|\|([A-Z]{2})\|(?:/\|([A-Z]{2})\|)?|\\frac\{([A-Z]{2})\}\{([A-Z]{2})\}"
)
"""Lengths in a drawing, and their quotients: `AB`, `|AB|`, `AB/CD`, `\\frac{AB}{CD}`."""

_OPERATORS = ("=", "<", "<=", ">", ">=", "!=")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def variant(node: Node, sign: str) -> Node:
    """An expression with ± read as one of its signs."""
    if node[0] == "pm":
        inner = variant(node[1], sign)
        return inner if sign == "+" else ("neg", inner)
    return tuple(variant(part, sign) if isinstance(part, tuple) else part for part in node)


def plus_minus(node: Node) -> Expression | Collection:
    """An expression, or the two values of one with ±."""
    upper, lower = variant(node, "+"), variant(node, "-")
    if upper == lower:
        return Expression(node)
    return Collection((_constant(upper), _constant(lower)), "set")


def _constant(node: Node) -> Number | Expression:
    if node[0] == "num":
        return Number(node[1])
    if node[0] == "neg" and node[1][0] == "num":
        return Number(-node[1][1])
    return Expression(node)


def _sides(tokens: Sequence[Token]) -> tuple[list[Sequence[Token]], list[str]]:
    sides: list[Sequence[Token]] = []
    operators: list[str] = []
    start = 0
    for at, token in enumerate(tokens):
        if token.text in _OPERATORS:
            sides.append(tokens[start:at])
            operators.append(token.text)
            start = at + 1
    sides.append(tokens[start:])
    return sides, operators


def chain(tokens: Sequence[Token]) -> Value | None:
    """`x = 5`, `y = 2x + 1`, `x^2 + y^2 = 4`, `0 <= x < 1`, or `(x+1)^2 = x^2+2x+1`, which ends in its value."""
    sides, operators = _sides(tokens)
    if len(sides) > MAX_SIDES or not all(sides):
        return None
    if set(operators) != {"="}:
        return interval_of([tokens], False) or _relation(sides, operators)
    name = _name(sides[0])
    if name and len(sides) > 2:
        sides = sides[1:]
    value = _side_value(sides[-1])
    if value is None:
        return None
    if name and len(sides) == 2 and sides[0] is not sides[-1] and _name(sides[0]) == name:
        if isinstance(value, Expression):
            found = plus_minus(value.node)
            if not isinstance(found, Expression):
                return found
            return None if name[0] in variables(value.node) and len(name) == 1 else replace(value, name=name)
        return replace(value, name=name)
    try:
        nodes = [parse(_plain(side)) for side in sides]
    except NotAnExpression:
        return None
    if all(same(one, other) for one, other in pairwise(nodes)):
        return replace(value, name=name) if name else value
    if len(nodes) == 2 and not name:
        return Relation("=", nodes[0], nodes[1]) if variables(nodes[0]) | variables(nodes[1]) else None
    return None


def _plain(side: Sequence[Token]) -> list[Token]:
    """A side without currency signs, and with `x` between numbers as a product."""
    kept = [token for token in side if token.text not in ("$", "€", "£", "¥")]
    return [
        Token("sign", "*") if token.text == "x" and 0 < at < len(kept) - 1
        and kept[at - 1].kind == kept[at + 1].kind == "number" else token
        for at, token in enumerate(kept)
    ]  # fmt: skip


def _name(side: Sequence[Token]) -> str:
    """The variable that a side consists of: `x`, `x_1`, `f(x)`, `\\theta`, `AB`."""
    text = "".join(token.text for token in side).replace("{", "").replace("}", "")
    if len(side) == 1 and (len(text) == 1 or side[0].kind == "command") and text.lstrip("\\").isalpha():
        return text
    if len(side) in (3, 5) and side[1].text == "_" and len(side[0].text) == 1:
        return text
    if segments := _SEGMENTS.fullmatch("".join(token.text for token in side)):
        return "/".join(filter(None, segments.groups()))
    if (
        len(side) == 4
        and len(side[0].text) == len(side[2].text) == 1
        and side[1].text == "("
        and side[0].text.isalpha()
    ):
        return text if side[2].text.isalpha() else ""
    return ""


def _side_value(side: Sequence[Token]) -> Number | Expression | None:
    found = scan(side, 0)
    if found and found[1] == len(side):
        return found[0]
    try:
        return Expression(parse(side))
    except NotAnExpression:
        return None


def _relation(sides: list[Sequence[Token]], operators: list[str]) -> Value | None:
    """A relation of two sides, with `>` turned round."""
    if len(sides) != 2:
        return None
    try:
        left, right = parse(sides[0]), parse(sides[1])
    except NotAnExpression:
        return None
    op = operators[0]
    if op in (">", ">="):
        return Relation(_FLIPPED[op], right, left)
    return Relation(op, left, right)


def interval(low: Sequence[Token], high: Sequence[Token], closed: tuple[bool, bool]) -> Interval | None:
    """The interval between two ends; infinite ends are open."""
    try:
        ends = parse(low), parse(high)
    except NotAnExpression:
        return None
    first = None if ends[0] == ("neg", ("const", "inf")) else ends[0]
    last = None if ends[1] == ("const", "inf") else ends[1]
    for end in (first, last):
        if end is not None and "inf" in str(end):
            return None
    if (first is None and closed[0]) or (last is None and closed[1]):
        return None
    return Interval((Piece(first, last, closed),))


def interval_of(parts: Sequence[Sequence[Token]], joined_by_or: bool) -> Interval | None:
    """`0 <= x < 1` and `x < 1 or x > 3` as intervals of one variable; None where a bound is not a constant."""
    pieces: list[Piece] = []
    names = set()
    for part in parts:
        sides, operators = _sides(part)
        try:
            nodes = [("var", _name(side)) if "(" in _name(side) else parse(side) for side in sides]
        except NotAnExpression:
            return None
        if len(nodes) == 3 and operators[0][0] == operators[1][0] == ">":
            nodes, operators = nodes[::-1], [_FLIPPED[op] for op in operators[::-1]]
        if len(nodes) == 2 and not variables(nodes[1]) and nodes[0][0] == "var":
            nodes, operators = nodes[::-1], [_FLIPPED[operators[0]]]
        piece = _piece(nodes, operators)
        if piece is None:
            return None
        names.add(nodes[1][1])
        pieces.append(piece)
    if len(names) != 1 or (len(pieces) > 1 and not joined_by_or):
        return None
    return Interval(tuple(pieces), names.pop())


def _piece(nodes: list[Node], operators: list[str]) -> Piece | None:
    """`constant op variable [op constant]` as an interval."""
    if len(nodes) not in (2, 3) or nodes[1][0] != "var" or variables(nodes[0]) or variables(nodes[-1]) - {nodes[1][1]}:
        return None
    if len(nodes) == 3 and variables(nodes[2]):
        return None
    if any(op not in ("<", "<=", ">", ">=") for op in operators):
        return None
    if len(nodes) == 3:
        if operators[0][0] != "<" or operators[1][0] != "<":
            return None
        ends = [None if node in _INFINITE else node for node in (nodes[0], nodes[2])]
        return Piece(
            ends[0],
            ends[1],
            (operators[0] == "<=" and ends[0] is not None, operators[1] == "<=" and ends[1] is not None),
        )
    if operators[0][0] == "<":
        return Piece(nodes[0], None, (operators[0] == "<=", False))
    return Piece(None, nodes[0], (False, operators[0] == ">="))


_INFINITE = (("const", "inf"), ("neg", ("const", "inf")))
