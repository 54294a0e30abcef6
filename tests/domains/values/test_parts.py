"""The reader's parts: plain form, tokens, number words, units, literals, expressions and what a question asks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.domains.values.clean import clean
from thinkaloud.domains.values.evaluate import equal, ratio_sign
from thinkaloud.domains.values.exact import Inexact, Undefined, exact
from thinkaloud.domains.values.grammar import NotAnExpression
from thinkaloud.domains.values.kinds import (
    Based,
    Clock,
    Collection,
    Expression,
    Interval,
    Matrix,
    Number,
    Relation,
    Text,
    Unread,
    Value,
)
from thinkaloud.domains.values.lexer import TooLarge, tokenize
from thinkaloud.domains.values.numerals import merge_numerals
from thinkaloud.domains.values.question import ORDERED, UNORDERED, read_question
from thinkaloud.domains.values.reader import read
from thinkaloud.domains.values.tree import parse
from thinkaloud.domains.values.units import find_unit


@given(st.integers(-(10**30), 10**30))
def test_every_integer_reads_as_itself(value: int) -> None:
    for text in (str(value), f"{value:,}", f"The answer is {value}.", f"x = {value}", f"\\boxed{{{value}}}"):
        number = read(text)
        assert isinstance(number, Number)
        assert number.value == value


@given(st.integers(-999, 999), st.integers(2, 999))
def test_every_fraction_reads_as_itself(over: int, under: int) -> None:
    for text in (f"{over}/{under}", f"\\frac{{{over}}}{{{under}}}", f"${over}/{under}$"):
        number = read(text)
        assert isinstance(number, Number)
        assert (number.value, number.written) == (Fraction(over, under), (over, under))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("42 apples", Number),
        ("3 hours 20 minutes", Number),
        ("4210_{5}", Based),
        ("7:45 pm", Clock),
        ("2\\sqrt{3}", Expression),
        ("(3, 4)", Collection),
        ("\\{1, 2\\}", Collection),
        ("3:2", Collection),
        ("[1, 2)", Interval),
        ("0 < x \\le 1", Interval),
        ("x^2 + y^2 = 4", Relation),
        ("x \\ne 3", Relation),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", Matrix),
        ("east", Text),
        ("12 or so", Unread),
    ],
)
def test_types(text: str, kind: type[Value]) -> None:
    assert isinstance(read(text), kind)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("maybe 12", "hedges"),
        ("not 12", "denies"),
        ("12 apples 15 pears", "two"),
        ("5+7 apples", "expression"),
        ("2+2=5 apples", "does not hold"),
        ("9" * 101, "too large"),
        ("x" * 2_001, "2,001 characters"),
        ("over 12", "bound"),
        ("twice 12", "unevaluated"),
        ("(12", "brackets"),
    ],
)
def test_reasons(text: str, why: str) -> None:
    value = read(text)
    assert isinstance(value, Unread)
    assert why in value.why


def test_a_text_without_a_number_is_empty() -> None:
    assert read("none") == Unread("the answer denies or excludes (none)", empty=True)
    value = read("1 2")
    assert isinstance(value, Unread)
    assert not value.empty


def test_plain_form() -> None:
    assert clean("\\dfrac{3}{4}") == "\\frac{3}{4}"
    assert clean("−5 × 2 ≤ ½").split() == ["-5", "*", "2", "<=", "\\frac{1}{2}"]
    assert clean("**42** and 2**3") == "42 and 2**3"
    assert clean("\\boxed{\\text{4\\,cm}}").split() == ["4", "cm"]
    assert clean("$5$ and \\$5").split() == ["5", "and", "$5"]
    assert clean("1\u200b4") == "1 4"


def test_tokens() -> None:
    assert [(t.kind, t.text) for t in tokenize("x2 = 5 m")] == [
        ("word", "x2"),
        ("sign", "="),
        ("number", "5"),
        ("word", "m"),
    ]
    assert tokenize("0.1\\overline{6}")[0].value == Fraction(1, 6)
    assert [t.value for t in tokenize("1,234 1 234 1,23")] == [1234, 1234, 1, 0, 23]
    with pytest.raises(TooLarge):
        tokenize("1e999999")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("twenty-one", [21]),
        ("twenty one", [21]),
        ("one hundred and five", [105]),
        ("two million three hundred thousand four", [2_300_004]),
        ("14 hundred", [1400]),
        ("5 thousand", [5000]),
        ("three and a half", [Fraction(7, 2)]),
        ("the one with 42", [42]),
        ("one, two", [1, 2]),
    ],
)
def test_numbers_in_words(text: str, values: list[Fraction]) -> None:
    assert [t.value for t in merge_numerals(tokenize(text)) if t.kind == "number"] == values


def test_units() -> None:
    speed, used = find_unit(["km", "/", "h", "fast"])
    assert speed is not None
    assert (speed.dimension, speed.factor, used) == ((("metre", 1), ("second", -1)), Fraction(1000, 3600), 3)
    area, used = find_unit(["square", "cm"])
    assert area is not None
    assert (area.dimension, area.factor, used) == ((("metre", 2),), Fraction(1, 10_000), 2)
    assert find_unit(["cm", "^", "2"]) == (find_unit(["cm2"])[0], 3)
    dozen, _ = find_unit(["dozen"])
    assert dozen is not None
    assert (dozen.dimension, dozen.factor) == ((), 12)
    assert find_unit(["mph"])[0] == find_unit(["miles", "per", "hour"])[0]
    assert find_unit(["apples"]) == (None, 0)
    assert find_unit([]) == (None, 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 + 7", 12),
        ("2 + 3*4", 14),
        ("4(2+3)", 20),
        ("-2^2", -4),
        ("2^3^2", 512),
        ("-2 - -3", 1),
        ("\\frac12", Fraction(1, 2)),
        ("2\\frac{1}{2}", Fraction(5, 2)),
        ("5!", 120),
        ("|3-5|", 2),
        ("\\sqrt{16}", 4),
        ("2^{-2}", Fraction(1, 4)),
        ("\\binom52", 10),
        ("1/2/2", Fraction(1, 4)),
    ],
)
def test_exact_values(text: str, value: int) -> None:
    assert exact(parse(tokenize(text)), {}) == value


@pytest.mark.parametrize("text", ["5 +", "1 2", "42 (42)", "", "(1", "x!!", "(" * 100 + "1" + ")" * 100, "3 apples"])
def test_not_expressions(text: str) -> None:
    with pytest.raises(NotAnExpression):
        parse(tokenize(text))


@pytest.mark.parametrize("text", ["1/0", "9^{9^9}", "10^{99999}", "2000!", "0^0"])
def test_values_that_are_not_formed(text: str) -> None:
    with pytest.raises((Undefined, Inexact)):
        exact(parse(tokenize(text)), {})


def test_equality_is_relative() -> None:
    def node(text: str) -> tuple[object, ...]:
        return parse(tokenize(text))

    assert equal(node("x^2-1"), node("(x-1)(x+1)"))
    assert not equal(node("e^{-90}"), node("e^{-91}"))
    assert not equal(node("1-\\pi^{-300}"), node("1-\\pi^{-301}"))
    assert not equal(node("\\sqrt{x^2}"), node("x"))
    assert equal(node("x^{2/3}"), node("\\sqrt[3]{x^2}"))
    assert ratio_sign(node("2x - 4"), node("x - 2")) == 1
    assert ratio_sign(node("4 - 2x"), node("x - 2")) == -1
    assert ratio_sign(node("x^2 + 86"), node("x^2 + 87")) == 0


def test_what_a_question_asks() -> None:
    metres = find_unit(["metres"])[0]
    assert read_question("How many metres is it from A to B?").unit == metres
    assert read_question("A path is 2 km long. How long is it in metres?").unit == metres
    assert read_question("Ann has $5 and Bob $7. How much money have they?").unit == find_unit(["dollars"])[0]
    apples = read_question("One apple weighs 200 g. How many apples weigh 1 kg?")
    assert (apples.unit, apples.count) == (None, True)
    assert read_question("What percentage of them is red?").percent
    assert not read_question("Prices fell by 10%. How many did he buy?").percent
    assert read_question("Write 6/8 in simplest form.").simplest
    assert read_question("Find all solutions.").asks(UNORDERED)
    assert read_question("List them in ascending order.").asks(ORDERED)
    assert read_question("When does the evening show begin?").meridiem == "p"
