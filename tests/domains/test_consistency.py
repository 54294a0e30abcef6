"""Whether the reasoning comes to the given answer."""

from __future__ import annotations

import pytest

from support.growth import assert_linear
from thinkaloud.domains.consistency import by_number, by_option, by_polarity

PLANETS = "Which planet is largest?\n\nA) Mars\nB) Jupiter\nC) Venus"


@pytest.mark.parametrize(
    ("reasoning", "answer", "agrees"),
    [
        ("There are 3 boxes of 4, so 3 * 4 = 12.", "12", True),
        ("There are 3 boxes of 4, so 3 * 4 = 12.", "12 apples", True),
        ("In total 1,250 dollars.", "$1250.00", True),
        ("The half of it is 1/2.", "0.5", True),
        ("The total is 12.", "13", False),
        ("The total is 12.", "-12", False),
        ("The total is −12.", "-12", True),
        ("They add up to twelve.", "12", None),  # words are not searched for numbers
        ("The total is 12.", "12 or 13", None),
        ("The total is 12.", "many", None),
        ("", "12", None),
    ],
)
def test_numbers(reasoning: str, answer: str, agrees: bool | None) -> None:
    assert by_number("How many?", reasoning, answer) is agrees


@pytest.mark.parametrize(
    ("reasoning", "answer", "agrees"),
    [
        ("Mars is small. Venus is larger. Jupiter is the largest.", "B", True),
        ("Mars is small.\nSo the answer is (B)", "Jupiter", True),
        ("Jupiter is a gas giant. So I choose C.", "B", False),
        ("Jupiter is the largest. Mars and Venus are smaller.", "B) Jupiter", True),  # the last names two
        ("All planets are round.", "B", None),
        ("Jupiter is the largest.", "no idea", None),
    ],
)
def test_options(reasoning: str, answer: str, agrees: bool | None) -> None:
    assert by_option(PLANETS, reasoning, answer) is agrees
    assert by_option("Which planet is largest?", reasoning, answer) is None


@pytest.mark.parametrize(
    ("reasoning", "answer", "agrees"),
    [
        ("Cats live for years. Mayflies live for a day. So the answer is yes.", "Yes", True),
        ("Cats live for years. So the answer is yes.", "No.", False),
        ("One might say no at first. The answer is yes.", "true", True),
        ("Cats live for years.", "Yes", None),
        ("The answer is yes.", "perhaps", None),
    ],
)
def test_polarities(reasoning: str, answer: str, agrees: bool | None) -> None:
    assert by_polarity("Can a cat outlive a mayfly?", reasoning, answer) is agrees


def test_yes_and_no_as_options() -> None:
    question = "Can a cat outlive a mayfly?\n\nA) no\nB) yes"
    assert by_polarity(question, "It lives longer, so I choose B.", "yes") is True
    assert by_polarity(question, "It lives longer, so I choose B.", "A) no") is False


@pytest.mark.parametrize("piece", ["1", "1,", "-", "yes. ", "A) ", "1/", "B. ", "\n"])
def test_hostile_text_takes_linear_time(piece: str) -> None:
    def read(text: str) -> None:
        for agrees in (by_number, by_option, by_polarity):
            assert agrees(PLANETS, text, text) in (True, False, None)
            assert agrees(PLANETS, text, "1") in (True, False, None)

    assert_linear(read, piece, size=200_000)
