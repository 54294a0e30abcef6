"""Exact values of expressions, as fractions of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import comb, factorial, isqrt

from thinkaloud.domains.values.kinds import Node

MAX_BITS = 40_000
MAX_FACTORIAL = 1_000


Env = Mapping[str, Fraction]


class Undefined(Exception):
    """No value here: a division by zero, an infinite or too large result."""


class Inexact(Exception):
    """The value is not a fraction, or not known to be."""


def exact(node: Node, env: Env) -> Fraction:
    """The value as a fraction.

    Raises:
        Inexact: It is not one, or only numerics can tell.
        Undefined: There is none, or it is too large.
    """
    kind = node[0]
    if kind == "num":
        return node[1]
    if kind == "var":
        return env[node[1]]
    if kind == "neg":
        return -exact(node[1], env)
    if kind in ("+", "-", "*", "/"):
        left, right = exact(node[1], env), exact(node[2], env)
        if kind == "/":
            if right == 0:
                raise Undefined
            return _bounded(left / right)
        return _bounded(left + right if kind == "+" else left - right if kind == "-" else left * right)
    if kind == "^":
        return _power(exact(node[1], env), exact(node[2], env))
    if kind == "!":
        return Fraction(factorial(_natural(exact(node[1], env))))
    if kind == "binom":
        return Fraction(comb(_natural(exact(node[1], env)), _natural(exact(node[2], env))))
    if kind == "root":
        return _root(exact(node[1], env), exact(node[2], env))
    if kind == "fn" and node[1] in ("abs", "floor", "ceil"):
        value = exact(node[2], env)
        return (
            abs(value) if node[1] == "abs" else Fraction(value.__floor__() if node[1] == "floor" else value.__ceil__())
        )
    if kind == "pm" or node == ("const", "inf"):
        raise Undefined
    raise Inexact


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Undefined
    return value


def _natural(value: Fraction) -> int:
    if value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
        raise Undefined
    return int(value)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        if exponent.denominator == 2 and base >= 0:
            return _power(_root(base, Fraction(2)), exponent * 2)
        raise Inexact
    if base == 0 and exponent <= 0:
        raise Undefined
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * bits > MAX_BITS and base not in (0, 1, -1):
        raise Undefined
    if abs(exponent) > MAX_BITS:
        exponent = exponent % 2  # of 0, 1 or -1
    return base ** int(exponent)


def _root(base: Fraction, degree: Fraction) -> Fraction:
    if degree != 2 or base < 0:
        raise Inexact
    over, under = isqrt(base.numerator), isqrt(base.denominator)
    if over * over != base.numerator or under * under != base.denominator:
        raise Inexact
    return Fraction(over, under)
