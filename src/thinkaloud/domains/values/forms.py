"""The form that a question asks for: lowest terms, a decimal, an expanded or factored expression."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

from thinkaloud.domains.values.exact import Inexact, Undefined, exact
from thinkaloud.domains.values.kinds import Node, Number
from thinkaloud.domains.values.question import DECIMAL, MIXED, Asked
from thinkaloud.domains.values.units import PERCENT


def number_form(gold: Number, answer: Number, asked: Asked) -> str:
    """Whether the number is written as the question wants it; a copy of the question's own fraction is not."""
    written = answer.written or _in_parts(answer)
    if written is None:
        written_out = answer.form in ("integer", "decimal", "scientific")
        if written_out and gold.form == "fraction" and gold.value.denominator != 1 and asked.fraction:
            return "not a fraction"
        return ""
    over, under = written
    if gold.written == written:
        return ""
    if gold.value.denominator == 1 and answer.value.denominator == 1:
        return "a division left undone"
    reduced = gcd(over, under) == 1 and abs(under) != 1
    if asked.simplest and not reduced:
        return "a fraction that is not in lowest terms"
    if asked.asks(DECIMAL) and gold.form != "fraction":
        return "a fraction, not a decimal"
    if asked.asks(MIXED) and gold.form == "mixed":
        return "a fraction, not a mixed number"
    if (not reduced or gold.form != "fraction") and _in_question(over, under, asked.text):
        return "a fraction copied from the question"
    return ""


def _in_parts(number: Number) -> tuple[int, int] | None:
    """Numerator and denominator of `15 twentieths`; None for what is not counted in parts of one."""
    unit = number.unit
    if unit is None or unit.dimension or unit == PERCENT or unit.factor.numerator != 1 or number.value.denominator != 1:
        return None
    return int(number.value), unit.factor.denominator


def _in_question(over: int, under: int, question: str) -> bool:
    flat = question.replace(" ", "").replace("{", "").replace("}", "")
    for shape in (f"{abs(over)}/{under}", f"\\frac{abs(over)}{under}", f"{abs(over)}÷{under}"):
        at = flat.find(shape)
        while at >= 0:
            end = at + len(shape)
            if not flat[at - 1 : at].isdigit() and not flat[end : end + 1].isdigit():
                return True
            at = flat.find(shape, at + 1)
    return False


def has_product_of_sums(node: Node) -> bool:
    parts = [part for part in node[1:] if isinstance(part, tuple)]
    if node[0] in ("*", "^") and any(part[0] in ("+", "-") for part in parts):
        return True
    return any(has_product_of_sums(part) for part in parts)


def is_sum(node: Node) -> bool:
    return is_sum(node[1]) if node[0] == "neg" else node[0] in ("+", "-")


def has_square_factor(node: Node) -> bool:
    """Whether a square root of an integer with a square factor occurs, such as √12 or √(4·3)."""
    if node[0] == "root" and node[2] == ("num", Fraction(2)):
        try:
            value = exact(node[1], {})
        except (Inexact, Undefined, KeyError):
            value = Fraction(0)
        if value.denominator == 1 and 0 < value < 10**6:
            return any(value % (k * k) == 0 for k in range(2, int(value**0.5) + 1))
    return any(has_square_factor(part) for part in node[1:] if isinstance(part, tuple))
