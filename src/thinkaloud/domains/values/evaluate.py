"""Values of expressions: exact fractions where possible, else complex numbers of 60 and then 1,000 digits.

Two expressions are equal where they agree at several points, positive and negative. Tolerances are relative: a tiny
value is not zero.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from functools import lru_cache
from typing import Any

from thinkaloud.domains.values.exact import Env, Inexact, Undefined, exact
from thinkaloud.domains.values.kinds import Node
from thinkaloud.domains.values.numeric import numeric

NUM_POINTS = 5
DIGITS = (60, 1_000)
GUARD_DIGITS = 20


def variables(node: Node) -> frozenset[str]:
    """Names of the variables in an expression."""
    if node[0] == "var":
        return frozenset((node[1],))
    return frozenset().union(*(variables(part) for part in node[1:] if isinstance(part, tuple)))


@lru_cache(maxsize=1024)
def point(name: str, at: int) -> Fraction:
    """The value that a variable takes at a test point: a fraction between -12 and 12."""
    digest = hashlib.sha256(f"{name}/{at}".encode()).digest()
    size = Fraction(int.from_bytes(digest[:3]) % 9_973 + 1, 997)
    return size + 1 if at == 0 or digest[3] % 2 else -size


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


def same(one: Node, other: Node) -> bool:
    """Whether two expressions are written alike, or are equal."""
    try:
        return one == other or equal(one, other)
    except Undefined:
        return False


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
