"""Values of expressions: exact fractions where possible, else complex numbers of 60 and then 1,000 digits.

Two expressions are equal where they agree at several points, positive and negative. Tolerances are relative: a tiny
value is not zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial, isqrt
from typing import Any

from thinkaloud.domains.values.kinds import Node

MAX_BITS = 40_000
MAX_FACTORIAL = 1_000
NUM_POINTS = 5
DIGITS = (60, 1_000)
GUARD_DIGITS = 20

Env = Mapping[str, Fraction]


class Undefined(Exception):
    """No value here: a division by zero, an infinite or too large result."""


class Inexact(Exception):
    """The value is not a fraction, or not known to be."""


def variables(node: Node) -> frozenset[str]:
    """Names of the variables in an expression."""
    if node[0] == "var":
        return frozenset((node[1],))
    return frozenset().union(*(variables(part) for part in node[1:] if isinstance(part, tuple)))


def has(node: Node, kind: str) -> bool:
    """Whether a node of a kind occurs in an expression."""
    return node[0] == kind or any(has(part, kind) for part in node[1:] if isinstance(part, tuple))


@lru_cache(maxsize=1024)
def point(name: str, at: int) -> Fraction:
    """The value that a variable takes at a test point: a fraction between -12 and 12."""
    digest = hashlib.sha256(f"{name}/{at}".encode()).digest()
    size = Fraction(int.from_bytes(digest[:3]) % 9_973 + 1, 997)
    return size + 1 if at == 0 or digest[3] % 2 else -size


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


def numeric(node: Node, env: Env) -> Any:
    """The value as an mpmath number at the precision in force; raises Undefined."""
    import mpmath

    kind = node[0]
    if kind in ("num", "var"):
        value = node[1] if kind == "num" else env[node[1]]
        return mpmath.mpf(value.numerator) / value.denominator
    if kind == "const":
        if node[1] == "inf":
            raise Undefined
        return {"pi": +mpmath.pi, "e": +mpmath.e, "i": mpmath.mpc(0, 1)}[node[1]]
    parts = [numeric(part, env) for part in node[1:] if isinstance(part, tuple)]
    if any(abs(part) > mpmath.mpf(10) ** 2000 for part in parts):
        raise Undefined
    first, last = parts[0], parts[-1]
    if kind in ("+", "-", "*"):
        return first + last if kind == "+" else first - last if kind == "-" else first * last
    if kind == "neg":
        return -first
    if kind == "/":
        return first / _nonzero(last)
    if kind == "root":
        return _real_root(first, last)
    if kind == "^":
        return _numeric_power(first, last, node[2], env)
    if kind == "log":
        return mpmath.log(_nonzero(last)) / _nonzero(mpmath.log(_nonzero(first)))
    if kind == "fn":
        return _function(node[1], first)
    if kind in ("!", "binom"):
        value = exact(node, env)
        return mpmath.mpf(value.numerator) / value.denominator
    raise Undefined


def _numeric_power(base: Any, exponent: Any, node: Node, env: Env) -> Any:
    """A power; for a negative base and an odd root (`x^{2/3}`) the real one."""
    import mpmath

    if base == 0:
        raise Undefined
    if mpmath.im(exponent) == 0 and exponent == mpmath.nint(mpmath.re(exponent)):
        return base ** _small(exponent)
    if mpmath.im(base) == 0 and mpmath.re(base) < 0:
        try:
            fraction = exact(node, env)
        except Inexact:
            fraction = Fraction(1, 2)
        if fraction.denominator % 2:
            size = _exp(exponent * mpmath.log(-base))
            return -size if fraction.numerator % 2 else size
    return _exp(exponent * mpmath.log(base))


def _nonzero(value: Any) -> Any:
    if value == 0:
        raise Undefined
    return value


def _small(exponent: Any) -> int:
    if abs(exponent) > 2_000:
        raise Undefined
    return int(exponent.real)


def _exp(value: Any) -> Any:
    import mpmath

    if abs(value) > 2_000:
        raise Undefined
    return mpmath.exp(value)


def _real_root(value: Any, degree: Any) -> Any:
    """The principal root; of a negative number and an odd degree the real one."""
    import mpmath

    if abs(degree) > 100 or degree == 0:
        raise Undefined
    if mpmath.im(value) == 0 and value.real < 0 and mpmath.im(degree) == 0 and degree.real % 2 == 1:
        return -mpmath.root(-value.real, int(degree.real))
    if degree == 2:
        return mpmath.sqrt(value)
    return _exp(mpmath.log(value) / degree) if value != 0 else value


def _function(name: str, value: Any) -> Any:
    import mpmath

    if abs(value) > 10**6:
        raise Undefined
    if name == "exp":
        return _exp(value)
    if name in ("ln", "log"):
        return mpmath.log(_nonzero(value)) / (mpmath.log(10) if name == "log" else 1)
    if name in ("cot", "sec", "csc"):
        return 1 / _nonzero({"cot": mpmath.tan, "sec": mpmath.cos, "csc": mpmath.sin}[name](value))
    if name == "abs":
        return abs(value)
    if name in ("sin", "cos", "tan", "sinh", "cosh", "tanh"):
        if name in ("sinh", "cosh", "tanh") and abs(value) > 2_000:
            raise Undefined
        return getattr(mpmath, name)(value)
    if name in ("arcsin", "arccos", "arctan"):
        return getattr(mpmath, name.replace("arc", "a"))(value)
    raise Undefined


def value_at(node: Node, env: Env, digits: int) -> Any:
    """An exact fraction where there is one, else an mpmath number of `digits` digits; raises Undefined."""
    try:
        return exact(node, env)
    except Inexact:
        import mpmath
    try:
        with mpmath.workdps(digits):
            return numeric(node, env)
    except (ArithmeticError, ValueError, TypeError, KeyError, Inexact, MemoryError) as error:
        raise Undefined from error


def close(one: Any, other: Any, digits: int) -> bool:
    """Whether two values of `value_at` agree: exactly, or to all but the guard digits."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one == other
    import mpmath

    with mpmath.workdps(digits):
        a, b = (mpmath.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v for v in (one, other))
        return bool(abs(a - b) <= mpmath.mpf(10) ** (GUARD_DIGITS - digits) * max(abs(a), abs(b)))


def equal(one: Node, other: Node) -> bool:
    """Whether two expressions agree at every test point where both have a value, and at three at least."""
    names = variables(one) | variables(other)
    agreed = 0
    for at in range(NUM_POINTS if names else 1):
        env = {name: point(name, at) for name in names}
        try:
            if not _agree(one, other, env):
                return False
        except Undefined:
            continue
        agreed += 1
    return agreed >= (3 if names else 1)


def _agree(one: Node, other: Node, env: Env) -> bool:
    for digits in DIGITS:
        a, b = value_at(one, env, digits), value_at(other, env, digits)
        if not close(a, b, digits):
            return False
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return True
    return True


def ratio_sign(one: Node, other: Node) -> int:
    """The sign of k where `one` is k times `other` for a number k; 0 where it is not."""
    names = variables(one) | variables(other)
    if variables(one) != variables(other) or not names:
        return 0
    first: tuple[Any, Any] | None = None
    agreed, sign = 0, 0
    for at in range(NUM_POINTS):
        env = {name: point(name, at) for name in names}
        try:
            a, b = value_at(one, env, DIGITS[0]), value_at(other, env, DIGITS[0])
            if a == 0 or b == 0:
                if a != b:
                    return 0
                continue
            if first is None:
                first = a, b
                quotient = (
                    complex(float(a) / float(b))
                    if isinstance(a, Fraction) and isinstance(b, Fraction)
                    else complex(_float(a) / _float(b))
                )
                sign = 1 if quotient.real > 0 else -1
            elif not close(_times(a, first[1]), _times(first[0], b), DIGITS[0]):
                return 0
        except (Undefined, OverflowError, ZeroDivisionError):
            continue
        agreed += 1
    return sign if agreed >= 3 else 0


def _float(value: Any) -> complex:
    return complex(float(value)) if isinstance(value, Fraction) else complex(value)


def _times(one: Any, other: Any) -> Any:
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one * other
    import mpmath

    with mpmath.workdps(DIGITS[0]):
        a, b = (mpmath.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v for v in (one, other))
        return a * b
