"""The number reader's parts: values, units, fractions, reasons."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.domains.arithmetic import evaluate
from thinkaloud.domains.lexer import simplify, tokenize
from thinkaloud.domains.numbers import read_number, read_numbers
from thinkaloud.domains.units import find_unit


@given(st.integers(-(10**30), 10**30))
def test_every_integer_reads_as_itself(value: int) -> None:
    for text in (str(value), f"{value:,}", f"The answer is {value}.", f"x = {value}", f"\\boxed{{{value}}}"):
        number = read_number(text).number
        assert number is not None
        assert number.value == value


@given(st.integers(-999, 999), st.integers(2, 999))
def test_every_fraction_reads_as_itself(over: int, under: int) -> None:
    for text in (f"{over}/{under}", f"\\frac{{{over}}}{{{under}}}", f"${over}/{under}$"):
        number = read_number(text).number
        assert number is not None
        assert (number.value, number.fraction) == (Fraction(over, under), (over, under))


@given(st.text(alphabet="0123456789.,-+*/^=()$%{}\\ abxe½×−²", max_size=40))
def test_nothing_raises(text: str) -> None:
    reading = read_number(text)
    assert (reading.number is None) == bool(reading.why)
    read_numbers(text)


def test_reasons() -> None:
    assert read_number("12 or 15").why == "the answer hedges or negates"
    assert read_number("12, 15").why == "two different numbers"
    assert read_number("5+7").why == "an expression, not a number"
    assert read_number("2+2=5").why == "two different numbers, or an equation that does not hold"
    assert read_number("9" * 101).why == "a number is too large to read"
    assert read_number("x" * 2_001).why == "the answer has 2,001 characters"
    assert read_number("none").empty
    assert not read_number("1 2").empty


def test_fractions_in_lowest_terms() -> None:
    def reduced(text: str) -> bool:
        number = read_number(text).number
        assert number is not None
        return number.reduced

    assert [reduced(text) for text in ("3/4", "6/8", "12/4", "5/1", "-3/4", "7")] == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]


def test_units() -> None:
    speed, used = find_unit(["km", "/", "h", "fast"])
    assert speed is not None
    assert (speed.dimension, speed.factor, used) == ((("metre", 1), ("second", -1)), Fraction(1000, 3600), 3)
    area, used = find_unit(["square", "cm"])
    assert area is not None
    assert (area.dimension, area.factor, used) == ((("metre", 2),), Fraction(1, 10_000), 2)
    assert find_unit(["cm", "^", "2"]) == (find_unit(["cm2"])[0], 3)
    assert find_unit(["apples"]) == (None, 0)
    assert find_unit([]) == (None, 0)


def test_lists_of_numbers() -> None:
    assert read_numbers("(3, -4)") == [3, -4]
    assert read_numbers("x = 1 or x = 2") == [1, 2]
    assert read_numbers("3:30") == [3, 30]
    assert read_numbers("3 + 4") is None
    assert read_numbers("none") is None


def test_plain_form() -> None:
    assert simplify("\\frac{3}{4}").split() == ["3/4"]
    assert simplify("3\\times 4 − 1") == "3* 4 - 1"
    assert simplify("**42** and 2**3") == "42 and 2**3"
    assert [(t.kind, t.text) for t in tokenize("x2 = 5 m")] == [
        ("word", "x2"),
        ("sign", "="),
        ("number", "5"),
        ("word", "m"),
    ]
    assert [t.value for t in tokenize("twenty-one, 5 thousand, one")] == [21, 0, 5000, 0, 0]


@pytest.mark.parametrize(
    ("tokens", "value"),
    [
        ([Fraction(5), "+", Fraction(7)], 12),
        ([Fraction(2), "+", Fraction(3), "*", Fraction(4)], 14),
        (["(", Fraction(2), "+", Fraction(3), ")", "*", Fraction(4)], 20),
        (["-", Fraction(2), "-", "-", Fraction(3)], 1),
        ([Fraction(1), "/", Fraction(0)], None),
        ([Fraction(1), "+"], None),
        ([Fraction(1), Fraction(2)], None),
        (["("] * 50 + [Fraction(1)] + [")"] * 50, None),
        ([], None),
    ],
)
def test_arithmetic(tokens: list[Fraction | str], value: int | None) -> None:
    assert evaluate(tokens) == value
