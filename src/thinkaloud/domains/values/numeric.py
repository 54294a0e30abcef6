"""Values of expressions as complex numbers of many digits, by mpmath; bounded, so that no step takes long."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from thinkaloud.domains.values.exact import Env, Inexact, Undefined, exact
from thinkaloud.domains.values.kinds import Node


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
