"""The operations that a judgement may use: each behaves like Python's, or raises if it would take too long.

A test such as `assert len(set(f(x))) == 3` applies `set` and `len` to the value that the program returned. The trainer
must not iterate over `range(10**18)`, compute a power with a million digits, or compare n**2 colliding hashes.
Otherwise the operations are no stricter than Python: a correct program must pass.
"""

from __future__ import annotations

import ast
import math
import operator
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .inside.codec import MAX_BYTES, MAX_INT_BYTES, MAX_NODES, guarded_set

_MAX_BITS = 8 * MAX_INT_BYTES
_SEQUENCES = (str, bytes, bytearray, list, tuple, deque)


class TooCostly(ValueError):
    """The operation would take too long on this value in the trainer."""


def _iterable(value: Any) -> Any:
    if type(value) is range and len(value) > MAX_NODES:
        raise TooCostly("a range of that length")
    return value


def _walk(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *items: function(*map(_iterable, items))


def _float(value: Any = 0.0) -> float:
    if isinstance(value, str | bytes | bytearray) and len(value) > 1000:
        raise TooCostly("a number of that many characters")
    return float(value)


def _round(value: Any, digits: Any = None) -> Any:
    if type(digits) is int and abs(digits) > 1000:
        raise TooCostly("rounding to that many digits")
    if type(value) is Decimal and value.is_finite() and value.adjusted() > 10_000:
        raise TooCostly("rounding a Decimal of that size")
    return round(value) if digits is None else round(value, digits)


def _multiply(one: Any, other: Any) -> Any:
    for sequence, times in ((one, other), (other, one)):
        if isinstance(sequence, _SEQUENCES) and isinstance(times, int) and len(sequence) * times > MAX_BYTES:
            raise TooCostly("a sequence of that length")
    return one * other


def _modulo(one: Any, other: Any) -> Any:
    if isinstance(one, str | bytes | bytearray):
        raise TooCostly("a format can ask for any width")
    return one % other


def _power(base: Any, exponent: Any) -> Any:
    plain = all(type(side) in (bool, int, float, complex) for side in (base, exponent))
    if not plain or (isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _MAX_BITS):
        raise TooCostly("a power of that many digits")
    return base**exponent


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "bool": bool,
    "float": _float,
    "frozenset": lambda items=(): frozenset(guarded_set(_iterable(items))),
    "isclose": math.isclose,
    "len": len,
    "list": _walk(list),
    "max": _walk(max),
    "min": _walk(min),
    "range": range,
    "round": _round,
    "set": lambda items=(): guarded_set(_iterable(items)),
    "sorted": _walk(sorted),
    "tuple": _walk(tuple),
}
MATH_CONSTANTS = {name: getattr(math, name) for name in ("pi", "e", "tau", "inf", "nan")}
ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _multiply,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _modulo,
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in _iterable(items),
    ast.NotIn: lambda item, items: item not in _iterable(items),
}
