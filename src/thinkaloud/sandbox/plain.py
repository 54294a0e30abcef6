"""The operations that a judgement may use: each takes about linear time on any value that the codec lets in, or raises.

A test such as `assert len(set(f(x))) == 3` applies `set` and `len` to what the program returned. In the trainer that
value must not be walked if it is `range(10**18)`, raised to a power of a million digits, or hashed n**2 times.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from .inside.codec import MAX_INT_BYTES, MAX_NODES, guarded_set

_MAX_BITS = 8 * MAX_INT_BYTES


def _iterable(value: Any) -> Any:
    if type(value) is range and len(value) > MAX_NODES:
        raise ValueError("a range of that length is not walked here")
    return value


def _number(value: Any) -> Any:
    if type(value) not in (bool, int, float, complex):
        raise TypeError(f"a number was expected, not {type(value).__name__}")
    return value


def _round(value: Any, digits: Any = None) -> Any:
    if digits is not None and not -1000 < _number(digits) < 1000:
        raise ValueError("round to that many digits")
    return round(_number(value), digits)


def _power(base: Any, exponent: Any) -> Any:
    if type(_number(base)) is int and type(_number(exponent)) is int and base.bit_length() * exponent > _MAX_BITS:
        raise ValueError("a power of that many digits")
    return base**exponent


def _walk(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *items: function(*map(_iterable, items))


def _numeric(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *numbers: function(*map(_number, numbers))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": _numeric(abs),
    "bool": bool,
    "float": lambda value: float(value if type(value) is str and len(value) < 400 else _number(value)),
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
    ast.Add: _numeric(operator.add),
    ast.Sub: _numeric(operator.sub),
    ast.Mult: _numeric(operator.mul),
    ast.Div: _numeric(operator.truediv),
    ast.FloorDiv: _numeric(operator.floordiv),
    ast.Mod: _numeric(operator.mod),
    ast.Pow: _power,
    ast.USub: _numeric(operator.neg),
    ast.UAdd: _numeric(operator.pos),
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
