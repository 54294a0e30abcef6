"""Lists, pairs, sets, intervals, relations and matrices: texts that are mathematics from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thinkaloud.domains.values.brackets import closing_at, split_top, trimmed
from thinkaloud.domains.values.grammar import NotAnExpression
from thinkaloud.domains.values.kinds import (
    Collection,
    Expression,
    Interval,
    Matrix,
    Number,
    Piece,
    Value,
)
from thinkaloud.domains.values.lexer import Token
from thinkaloud.domains.values.naming import named_tuple, of_variable, with_names
from thinkaloud.domains.values.notations import named_ratio, read_notation
from thinkaloud.domains.values.quantity import scan, with_noun
from thinkaloud.domains.values.relations import chain, interval, interval_of, plus_minus
from thinkaloud.domains.values.tree import parse

MAX_ITEMS = 50
_RELATIONS = frozenset({"=", "<", "<=", ">", ">=", "!="})
_BRACKETS = {("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), ("\\{", "\\}"), ("{", "}")}
_AND, _OR = frozenset({"and", "&"}), frozenset({"or"})


def read_structure(tokens: Sequence[Token], depth: int = 0) -> Value | None:
    """The value that all of `tokens` form; None where they form none."""
    tokens = trimmed(tokens)
    if not tokens or depth > 4:
        return None
    found = scan(tokens, 0)
    if found and found[1] == len(tokens):
        return found[0]
    return _special(tokens) or _several(tokens, depth) or _single(tokens, depth)


def _special(tokens: Sequence[Token]) -> Value | None:
    return _matrix(tokens) or read_notation(tokens)


def _several(tokens: Sequence[Token], depth: int) -> Value | None:
    """A row of values joined by commas, "and" or "or"."""
    if groups := _groups(tokens, depth):
        return groups
    joined = any(token.lower in _AND | _OR for token in tokens)
    parts = split_top(tokens, frozenset({",", ";", "\n"}) | _AND | _OR)
    parts = [part for part in parts if part] if joined else parts
    if len(parts) < 2:
        return None
    if len(parts) > MAX_ITEMS or not all(parts):
        return None
    relations = any(token.text in _RELATIONS and token.text != "=" for token in tokens)
    if relations:
        return interval_of(parts, any(token.lower in _OR for token in tokens))
    items = [read_item(part, depth + 1) for part in parts]
    if any(item is None for item in items):
        return None
    names = [getattr(item, "name", "") for item in items]
    values = tuple(item for item in items if item is not None)
    if names[0] and all(name in ("", names[0]) for name in names):
        return Collection(tuple(_unnamed(value) for value in values), "set")
    if all(names) and len(set(names)) == len(names):
        ordered = sorted(zip(names, range(len(names)), strict=True))
        return Collection(tuple(values[at] for _, at in ordered), "tuple")
    if any(names):
        return None
    return Collection(values, "row" if joined else "list")


def _groups(tokens: Sequence[Token], depth: int) -> Collection | None:
    """`x = 1, y = 2; x = 3, y = 4` or the same with "and" or "or": a set of tuples in the order of their names."""
    parts = [part for part in split_top(tokens, frozenset({";", "\n"}) | _AND | _OR) if part]
    if not 2 <= len(parts) <= MAX_ITEMS or not all(any(token.text == "=" for token in part) for part in parts):
        return None
    found = [read_structure(part, depth + 1) for part in parts]
    names = {
        tuple(getattr(item, "name", "") for item in value.items)
        if isinstance(value, Collection) and value.kind == "tuple"
        else ()
        for value in found
    }
    if len(names) != 1 or not all(names.copy().pop() or [""]):
        return None
    return Collection(tuple(value for value in found if value is not None), "set")


def _unnamed(value: Value) -> Value:
    return replace(value, name="") if isinstance(value, Number | Expression) else value


def read_item(tokens: Sequence[Token], depth: int) -> Value | None:
    """An element of a list: any structure, or a quantity with a noun."""
    found = read_structure(tokens, depth)
    if found is not None:
        derived = any(token.text == "=" for token in tokens) and not getattr(found, "name", "")
        return None if derived and isinstance(found, Number | Expression) else found
    quantity = scan(tokens, 0)
    if quantity is None:
        return None
    number, end = with_noun(tokens, *quantity)
    return number if end == len(tokens) else None


def _single(tokens: Sequence[Token], depth: int) -> Value | None:
    """One bracketed group, a relation, a union of intervals, or an expression."""
    texts = [token.text for token in tokens]
    if "\\cup" in texts:
        return _union(tokens, depth)
    if len(tokens) > 2 and tokens[1].text == "\\in" and (len(texts[0]) == 1 or tokens[0].kind == "command"):
        return of_variable(read_structure(tokens[2:], depth + 1), texts[0])
    named = named_tuple(tokens)
    if named:
        return with_names(
            read_structure(tokens[named:], depth + 1), [token.text for token in tokens[1 : named - 2 : 2]]
        )
    grouped = _bracketed(tokens, depth)
    if grouped is not None:
        return grouped
    if any(token.text in _RELATIONS for token in tokens):
        return named_ratio(tokens) or chain(tokens)
    if texts[0] in ("\\emptyset", "\\varnothing") and len(tokens) == 1:
        return Collection((), "set")
    if len(tokens) == 2 and texts[0] == "\\pm":
        number = scan(tokens, 1)
        if number:
            return Collection((number[0], replace(number[0], value=-number[0].value)), "set")
    try:
        node = parse(tokens)
    except NotAnExpression:
        return None
    if all(token.kind == "word" for token in tokens) and sum(len(token.text) for token in tokens) > 1:
        return plus_minus(node) if node == ("const", "pi") else None  # letters alone are a word, not a product
    return plus_minus(node)


def _bracketed(tokens: Sequence[Token], depth: int) -> Value | None:
    first, last = tokens[0].text, tokens[-1].text
    if (first, last) not in _BRACKETS or closing_at(tokens) != len(tokens) - 1:
        return None
    inner = tokens[1:-1]
    is_set = first in ("{", "\\{")
    if is_set and not inner:
        return Collection((), "set")
    if is_set and any(token.text in ("|", ":") for token in inner[:4]):
        bar = next(at for at, token in enumerate(inner) if token.text in ("|", ":"))
        return read_structure(inner[bar + 1 :], depth + 1)
    parts = split_top(inner, frozenset({",", ";"}))
    if len(parts) == 1 and not is_set:
        if first == "(" and last == ")":
            found = read_structure(inner, depth + 1)
            return found if isinstance(found, Number | Collection) else None
        return None
    if len(parts) > MAX_ITEMS:
        return None
    mixed = (first, last) not in (("(", ")"), ("[", "]"))
    if not is_set and len(parts) == 2 and (mixed or _infinite(inner)):
        return interval(parts[0], parts[1], (first == "[", last == "]"))
    items = [read_item(part, depth + 1) for part in parts]
    if (mixed and not is_set) or any(item is None for item in items):
        return None
    values = tuple(item for item in items if item is not None)
    return Collection(values, "set" if is_set else "tuple" if first == "(" else "closed")


def _infinite(tokens: Sequence[Token]) -> bool:
    return any(token.text == "\\infty" or token.lower in ("inf", "infinity", "oo") for token in tokens)


def _union(tokens: Sequence[Token], depth: int) -> Value | None:
    parts = split_top(tokens, frozenset({"\\cup"}))
    name = ""
    if len(parts[0]) > 2 and parts[0][1].text == "\\in":
        name, parts[0] = parts[0][0].text, parts[0][2:]
    pieces: list[Piece] = []
    points: list[Value] = []
    for part in parts:
        found = read_structure(part, depth + 1)
        if isinstance(found, Collection) and found.kind in ("tuple", "closed") and len(found.items) == 2:
            closed = part[0].text == "["
            low, high = split_top(part[1:-1], frozenset({","}))
            found = interval(low, high, (closed, closed))
        if isinstance(found, Interval):
            pieces += found.pieces
        elif isinstance(found, Collection) and found.kind == "set":
            points += found.items
        else:
            return None
    if points:
        return Collection(tuple(points), "set") if not pieces else None
    return Interval(tuple(pieces), name)


def _matrix(tokens: Sequence[Token]) -> Value | None:
    """`\\begin{pmatrix} … \\end{pmatrix}`, with rows cut at `\\\\` and entries at `&`."""
    if (
        len(tokens) > 9
        and [tokens[at].text for at in (0, 1, -1)] == ["(", "\\begin", ")"]
        and tokens[3].text != "array"
    ):
        tokens = tokens[1:-1]
    if (
        tokens[0].text in ("(", "[")
        and len(tokens) > 9
        and [token.text for token in tokens[1:4:2]] == ["\\begin", "array"]
    ):
        if [token.text for token in tokens[5:8:2]] != ["{", "}"] or (tokens[0].text, tokens[-1].text) not in _BRACKETS:
            return None
        array = Token("word", "matrix")
        tokens = [*tokens[1:3], array, tokens[4], *tokens[8:-3], array, tokens[-2]]
    if tokens[0].text != "\\begin" or len(tokens) < 8 or "matrix" not in tokens[2].text:
        return None
    if [token.text for token in tokens[-4:-2]] != ["\\end", "{"] or tokens[-2].text != tokens[2].text:
        return None
    rows = []
    body = [token for token in tokens[4:-4] if token.text != "\n"]
    for row in split_top(body, frozenset({"\\\\"})):
        if row:
            entries = [read_structure(entry, 3) for entry in split_top(row, frozenset({"&"}))]
            if any(entry is None for entry in entries) or len(entries) > MAX_ITEMS:
                return None
            rows.append(tuple(entry for entry in entries if entry is not None))
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    return Matrix(tuple(rows))
