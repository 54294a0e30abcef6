"""Values with the names that `x \\in` and `(x, y) =` give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thinkaloud.domains.values.kinds import Collection, Expression, Interval, Number, Piece, Value, node_of
from thinkaloud.domains.values.lexer import Token


def of_variable(value: Value | None, name: str) -> Value | None:
    """What `x \\in` names: an interval, also where `(1, 2)` and `[1, 2]` could be pairs."""
    if isinstance(value, Collection) and value.kind in ("tuple", "closed") and len(value.items) == 2:
        low, high = (node_of(item) for item in value.items)
        closed = value.kind == "closed"
        value = Interval((Piece(low, high, (closed, closed)),)) if low and high else None
    return replace(value, name=name) if isinstance(value, Interval) else value


def named_tuple(tokens: Sequence[Token]) -> int:
    """How many tokens `(x, y) =` takes; 0 where there is none."""
    end = next((at for at, token in enumerate(tokens) if token.text == ")"), 0)
    if tokens[0].text != "(" or end < 4 or end % 2 or [token.text for token in tokens[end + 1 : end + 3]] != ["=", "("]:
        return 0
    names, commas = tokens[1:end:2], tokens[2:end:2]
    is_named = all(len(name.text) == 1 and name.kind == "word" for name in names)
    return end + 2 if is_named and all(comma.text == "," for comma in commas) else 0


def with_names(value: Value | None, names: list[str]) -> Value | None:
    """The values of a tuple with the names of `(x, y) = (1, 2)`."""
    if not isinstance(value, Collection) or len(value.items) != len(names):
        return None
    return Collection(
        tuple(
            replace(item, name=name) if isinstance(item, Number | Expression) else item
            for item, name in zip(value.items, names, strict=True)
        ),
        value.kind,
    )
