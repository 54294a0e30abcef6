"""The types of value that an answer may have."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from thinkaloud.domains.values.units import Unit

Node = tuple[Any, ...]
"""An expression: `("num", Fraction)`, `("var", name)`, `("+", left, right)`, … (see `tree`)."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number as it was written.

    value: exact, in `unit` where there is one.
    form: `integer`, `decimal`, `fraction`, `mixed`, `scientific`, `words`, or `sum` ("3 hours 20 minutes").
    written: numerator and denominator of a fraction as written.
    per: the last word of a rate, as in `$18/day`.
    noun: words after the number that name no known unit.
    name: the variable of `x = 5`; label: the words before each `=`.
    """

    value: Fraction
    unit: Unit | None = None
    form: str = "integer"
    written: tuple[int, int] | None = None
    per: str = ""
    noun: str = ""
    name: str = ""
    label: tuple[str, ...] = ()

    @property
    def size(self) -> Fraction:
        """In base units."""
        return self.value * self.unit.factor if self.unit else self.value


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a base other than ten: `4210_5`."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day: minutes after midnight, or after twelve where `meridiem` ("a" or "p") is not given."""

    minutes: Fraction
    meridiem: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """Anything that is computed: constants such as 2√3, polynomials, functions. `name` as in `y = 2x`."""

    node: Node
    name: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """Several values.

    kind: `tuple` for `(…)`, `closed` for `[…]`, `ratio` for `3:2`. `list` is a row without brackets, whose order counts
    or not according to the question; `row` is one joined by "and" or "or". `name` as in `V_1:V_2 = 3:2`.
    """

    items: tuple[Value, ...]
    kind: Literal["tuple", "set", "closed", "list", "ratio", "row"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """One interval; an end that is None is infinite."""

    low: Node | None
    high: Node | None
    closed: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Interval:
    """A union of intervals, in ascending order as written."""

    pieces: tuple[Piece, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """`left op right`, with op `=`, `<`, `<=` or `!=`."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Words that are compared as words."""

    text: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Nothing unambiguous was read. `empty`: there is no number or formula at all."""

    why: str
    empty: bool = False


Value = Number | Based | Clock | Expression | Collection | Interval | Relation | Matrix | Text | Unread


def node_of(value: Value) -> Node | None:
    """A number or expression as an expression."""
    if isinstance(value, Expression):
        return value.node
    return ("num", value.size) if isinstance(value, Number) else None
