"""Tokens -> numbers: signs, fractions, mixed numbers, percent and units; and what is left over.

What is left over decides whether the text states a number or an expression (`numbers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd

from thinkaloud.domains.lexer import Token
from thinkaloud.domains.units import CURRENCY, Unit, find_unit

_VARIABLES = frozenset("abceiknpqtuvwxyz")
_MATHEMATICAL = frozenset({"pi", "sqrt", "log", "ln", "sin", "cos", "tan", "mod", "factorial"})
_MONEY = frozenset({*CURRENCY, "£", "¥"})
_PERCENT = frozenset({"%", "percent", "percentage"})


@dataclass(frozen=True, slots=True)
class Number:
    """One number as it was written.

    `value` is exact and, for a percentage, the number before the sign; `fraction` is the (numerator, denominator) as
    written where it was written as a fraction.
    """

    value: Fraction
    percent: bool = False
    unit: Unit | None = None
    fraction: tuple[int, int] | None = None

    @property
    def reduced(self) -> bool:
        """False for a fraction that is not in lowest terms, such as 6/8 or 12/4."""
        return self.fraction is None or (abs(gcd(*self.fraction)) == 1 and abs(self.fraction[1]) != 1)


def quantities(tokens: Sequence[Token]) -> tuple[list[Number], list[Token]]:
    """The numbers in a row of tokens, each with its sign, fraction and unit; and the tokens that belong to none."""
    tokens = _resolve_signs(tokens)
    numbers: list[Number] = []
    rest: list[Token] = []
    currency = None
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "number":
            number, at = _number(tokens, at, currency)
            numbers.append(number)
            currency = None
        else:
            currency = CURRENCY.get(token.text)
            if not _is_multiplication(tokens, at):
                rest.append(token)
            else:
                rest.append(Token("sign", "*"))
            at += 1
    return numbers, rest


def _resolve_signs(tokens: Sequence[Token]) -> list[Token]:
    """Decide what each + and - is: a number's sign (worked into its value), an operator (kept), or a dash (a mark)."""
    resolved: list[Token] = []
    negative = False
    for at, token in enumerate(tokens):
        if token.kind == "number" and negative:
            token, negative = replace(token, value=-token.value), False
        if token.text not in ("-", "+"):
            resolved.append(token)
            continue
        before = tokens[at - 1] if at else None
        follows = [t for t in tokens[at + 1 : at + 3] if t.text not in _MONEY][:1]
        number_follows = bool(follows) and follows[0].kind == "number"
        after_operand = before is not None and (before.kind == "number" or before.text in (")", "%", "°"))
        after_word = before is not None and before.kind == "word"
        if number_follows and not after_operand and (not after_word or (token.spaced and not tokens[at + 1].spaced)):
            negative ^= token.text == "-"
        elif number_follows and (after_operand or not token.spaced):
            resolved.append(token)
        else:
            resolved.append(replace(token, kind="mark", text="–" if token.text == "-" else "+"))
    return resolved


def _number(tokens: Sequence[Token], at: int, currency: Unit | None) -> tuple[Number, int]:
    """The number that starts at `at`, with its fraction and unit, and the place after it."""
    value, fraction, at = _value(tokens, at)
    after = [token.text for token in tokens[at : at + 8]]
    if after[:1] and after[0].casefold() in _PERCENT:
        return Number(value, percent=True, fraction=fraction), at + 1
    if [word.casefold() for word in after[:2]] == ["per", "cent"]:
        return Number(value, percent=True, fraction=fraction), at + 2
    if after[:1] == ["°"] and after[1:2] and after[1].casefold() in ("c", "f", "celsius", "fahrenheit"):
        unit, used = find_unit([f"°{after[1][0]}"])
        return Number(value, unit=unit, fraction=fraction), at + 1 + used
    if after[:1] and after[0] in CURRENCY:
        return Number(value, unit=CURRENCY[after[0]], fraction=fraction), at + 1
    unit, used = find_unit(after)
    if not used:
        used = _width_of_unknown_unit(tokens, at)
    return Number(value, unit=unit or currency, fraction=fraction), at + used


def _value(tokens: Sequence[Token], at: int) -> tuple[Fraction, tuple[int, int] | None, int]:
    """An integer, decimal, fraction or mixed number at `at`: its value, the fraction as written, the place after it."""
    whole = tokens[at]
    for skip in (0, 1, 2):  # 3/4, 3 1/2, 3 and 1/2
        if skip == 2 and (at + 1 >= len(tokens) or tokens[at + 1].text != "and"):
            continue
        row = tokens[at + skip : at + skip + 4]
        if len(row) < 3 or [t.kind for t in row[:3]] != ["number", "sign", "number"] or row[1].text != "/":
            continue
        over, under = row[0].value, row[2].value
        if over.denominator != 1 or under.denominator != 1 or under == 0 or (len(row) > 3 and row[3].text == "/"):
            continue
        if skip == 0:
            return over / under, (int(over), int(under)), at + 3
        if whole.value.denominator == 1 and 0 < over < under and not whole.spelled:
            part = over / under
            return (whole.value - part if whole.value < 0 else whole.value + part), None, at + skip + 3
    return whole.value, None, at + 1


def _width_of_unknown_unit(tokens: Sequence[Token], at: int) -> int:
    """How many tokens an unknown unit such as `apples/box` takes; 0 for none, or for what may be a variable."""
    width = 0
    while at + width < len(tokens) and tokens[at + width].kind == "word":
        word = tokens[at + width].text.casefold()
        if word in _MATHEMATICAL | _VARIABLES or not word.replace("-", "").isalpha():
            return 0
        width += 1
        if at + width < len(tokens) and tokens[at + width].text == "/":
            width += 1
        else:
            break
    return width


def _is_multiplication(tokens: Sequence[Token], at: int) -> bool:
    """True for a variable attached to a number ("5x"), a function's name, and an x between numbers ("3 x 4")."""
    token = tokens[at]
    if token.kind != "word":
        return False
    word = token.text.casefold()
    if word in _MATHEMATICAL:
        return True
    if at == 0 or tokens[at - 1].kind != "number":
        return False
    attached = not token.spaced and (word in _VARIABLES or not word.replace("-", "").isalpha())
    return attached or (word == "x" and at + 1 < len(tokens) and tokens[at + 1].kind == "number")
