"""Short free text: what is set aside, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.growth import assert_linear
from thinkaloud.domains.markup import disguise, unwrapped
from thinkaloud.domains.science import score
from thinkaloud.domains.short_text import same_short_text, words
from thinkaloud.records import Status, Task

SAME = [
    ("4.2 J/g", "4.20 J/g"),
    ("5 m^3", "5 m³"),
    ("5 m^3", "$5\\ \\text{m}^{3}$"),
    ("5 m^3", "5 m<sup>3</sup>"),
    ("-40", "−40"),
    ("-40", "–40.0"),
    ("10^9", "10⁹"),
    ("10^-9", "10⁻⁹"),
    ("10^-9", "\\(10^{-9}\\)"),
    ("6 x 10^23", "6 × 10²³"),
    ("6 x 10^23", "6 \\times 10^{23}"),
    ("H2SO4", "H₂SO₄"),
    ("H2SO4", "H_2SO_4"),
    ("H2SO4", "\\ce{H_{2}SO_{4}}"),
    ("Ca2+", "Ca²⁺"),
    ("Cl-", "Cl^{-}"),
    ("12", "twelve"),
    ("12", "12.0"),
    ("2,500", "2500"),
    ("0.5", ".50"),
    ("diffusion", "\\boxed{diffusion}"),
    ("diffusion", "$\\boxed{\\text{Diffusion}}$"),
    ("diffusion", "It is known as **diffusion**."),
    ("vitamin K", "Vitamin k"),
    ("carbon-14", "carbon 14"),
    ("25 °C", "25^\\circ C"),
    ("} ]", "}]"),
    ("( [ ] )", "The answer is ( [ ] )"),
    ("résumé", "re\u0301sume\u0301"),
]
OTHER = [
    ("4.2 J/g", "42 J/g"),
    ("5 m^3", "5 m^2"),
    ("5 m^3", "5 m"),
    ("-40", "40"),
    ("-40", "+40"),
    ("10^9", "109"),
    ("10^9", "10^-9"),
    ("Ca2+", "Ca+"),
    ("Cl-", "Cl"),
    ("Cl-", "Cl+"),
    ("vitamin K", "vitamin"),
    ("vitamin A", "vitamins"),
    ("hepatitis A", "a hepatitis"),
    (">3", "<3"),
    (">3", "3"),
    ("12", "12%"),
    ("12", "~12"),
    ("12", "1.2"),
    ("3-5", "35"),
    ("diffusion", "-diffusion"),
    ("diffusion", "not diffusion"),
    ("diffusion", "diffusion or osmosis"),
    ("diffusion", "diffu\u200bsion"),
    ("diffusion", "ｄiffusion"),
    ("diffusion", "diffusiоn"),
    ("diffusion", "~~diffusion~~"),
    ("diffusion", "diffusion<!-- osmosis -->"),
    ("} ]", "] }"),
    ("} ]", "}"),
    ("( [ ] )", "( [ ] ] )"),
    ("( [ ] )", "brackets"),
]


def status(gold: str, answer: str) -> Status:
    return score(Task(id="t", domain="science", source="t", question="What?", answer=gold), "", answer).status


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_the_same(gold: str, answer: str) -> None:
    assert status(gold, gold) == status(gold, answer) == Status.CORRECT


@pytest.mark.parametrize(("gold", "answer"), OTHER)
def test_not_the_same(gold: str, answer: str) -> None:
    assert status(gold, gold) == Status.CORRECT
    assert status(gold, answer) != Status.CORRECT


def test_characters_of_the_gold_answer_are_no_disguise() -> None:
    assert status("ρ", "ρ") == status("пар", "пар") == Status.CORRECT
    assert status("p", "ρ") != Status.CORRECT
    assert disguise("μm, ΔG, α-helix, 5°, x², Привет") is None


def test_a_capital_a_is_a_name() -> None:
    assert words("Vitamin A deficiency") == ("vitamin", "a", "deficiency")
    assert words("A cell") == words("THE CELL") == ("cell",)


@given(st.text(max_size=80))
def test_a_gold_answer_is_its_own_answer(gold: str) -> None:
    assume(gold.strip() and words(gold))
    assert same_short_text(gold, gold)


@given(
    st.from_regex(r"-?[1-9][0-9]{0,4}(\.[0-9][1-9])?( m/s\^2| kg| %)?", fullmatch=True), st.integers(0, 9), st.data()
)
def test_a_changed_digit_sign_or_unit_is_wrong(gold: str, digit: int, data: st.DataObject) -> None:
    assert status(gold, f"\\boxed{{{gold}}}") == Status.CORRECT
    at = data.draw(st.sampled_from([i for i, c in enumerate(gold) if c.isdigit()]))
    changed = f"{gold[:at]}{digit}{gold[at + 1 :]}"
    assume(changed != gold)
    assert status(gold, changed) != Status.CORRECT
    assert status(gold, gold[1:] if gold[0] == "-" else f"-{gold}") != Status.CORRECT
    assert status(gold, f"{gold} N") != Status.CORRECT


@pytest.mark.parametrize(
    "piece",
    ["\\boxed{", "^{", "\\frac{a}{", "**a", "<!-", "a'b", "1,000", "A ", "²", "1 x 10", "-", "$", "ѕ", "a\u0336", "\n"],
)
def test_long_texts_take_linear_time(piece: str) -> None:
    assert_linear(lambda text: (unwrapped(text), disguise(text), status("iron", text)), piece, size=100_000)
