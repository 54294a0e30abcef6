"""Science answers: the right option by letter, by text, or by both; short free text."""

from __future__ import annotations

import pytest

from thinkaloud.domains.choices import resolve_answer, resolve_gold, with_options
from thinkaloud.domains.science import score
from thinkaloud.records import Status, Task

GASES = ("oxygen", "carbon dioxide", "nitrogen", "hydrogen")
CELLS = ("a plant cell", "an animal cell", "a cell wall", "bacteria")


def status(gold: str, answer: str, choices: tuple[str, ...] = ()) -> Status:
    task = Task(id="t", domain="science", source="test", question="Which?", answer=gold, choices=choices)
    found = score(task, "", answer)
    assert found.value == (0.8 if found.status == "correct" else 0.0)
    return found.status


@pytest.mark.parametrize(
    "answer",
    [
        "B",
        "b",
        "B.",
        "(B)",
        "B)",
        "Option B",
        "answer: B",
        "The answer is B.",
        "**B**",
        "2",
        "carbon dioxide",
        "Carbon dioxide.",
        "the carbon dioxide",
        "B) carbon dioxide",
        "(b) Carbon Dioxide",
        "B: carbon dioxide",
        "B - carbon dioxide",
        "The answer is B) carbon dioxide.",
        "The answer is carbon dioxide.",
        "It is carbon dioxide",
        "Plants take in carbon dioxide.",
        "Plants take in carbon dioxide, so B",
    ],
)
def test_ways_to_name_the_right_option(answer: str) -> None:
    assert status("carbon dioxide", answer, GASES) == Status.CORRECT
    assert status("B", answer, GASES) == Status.CORRECT
    assert status("2", answer, GASES) == Status.CORRECT


@pytest.mark.parametrize(
    "answer",
    [
        "A",
        "oxygen",
        "B or C",
        "B, C",
        "A or B",
        "B and A",
        "A) carbon dioxide",
        "B) oxygen",
        "carbon dioxide or nitrogen",
        "not carbon dioxide",
        "It isn't B",
        "B, because it is not A",
        "A B C D",
        "A) oxygen\nB) carbon dioxide\nC) nitrogen\nD) hydrogen\nB",
    ],
)
def test_two_options_or_the_wrong_one(answer: str) -> None:
    assert status("carbon dioxide", answer, GASES) == Status.WRONG


@pytest.mark.parametrize("answer", ["E", "a gas", "I know", "A plant needs light", "dioxide", "?"])
def test_naming_none(answer: str) -> None:
    assert status("carbon dioxide", answer, GASES) == Status.NO_ANSWER


def test_options_inside_options() -> None:
    assert status("an animal cell", "animal cells", CELLS) == Status.CORRECT
    assert status("a cell wall", "It has a cell wall.", CELLS) == Status.CORRECT
    assert status("a plant cell", "plant cell and animal cell", CELLS) == Status.WRONG
    assert status("cell", "the plant cell", ("cell", "plant cell")) == Status.WRONG


def test_options_that_differ_by_a_sign_or_a_plural_stay_apart() -> None:
    assert status("-5", "5", ("5", "-5", "0.5", "05")) == Status.WRONG
    assert status("-5", "-5", ("5", "-5", "0.5", "05")) == Status.CORRECT
    assert status("cells", "cells", ("cell", "cells")) == Status.CORRECT
    assert status("cells", "cell", ("cell", "cells")) == Status.WRONG
    assert status("4", "4", ("2", "4", "8", "16")) == Status.CORRECT  # a text, not the fourth option
    assert status("2", "B", ("4", "2")) == Status.CORRECT


def test_options_that_differ_by_case_stay_apart() -> None:
    genotypes = ("WW or ww", "WW or Ww", "WW only")
    assert status("WW or Ww", "B", genotypes) == status("WW or Ww", "WW or Ww", genotypes) == Status.CORRECT
    assert status("WW or Ww", "WW or ww", genotypes) == Status.WRONG


def test_options_that_are_letters_are_read_as_texts() -> None:
    assert status("C", "C", ("H", "O", "C", "N")) == Status.CORRECT
    assert status("vitamin C", "vitamin C", ("vitamin A", "vitamin C", "vitamin D")) == Status.CORRECT
    assert status("vitamin C", "C", ("vitamin A", "vitamin C", "vitamin D")) == Status.WRONG


def test_gold_that_is_no_option_cannot_be_scored() -> None:
    assert status("helium", "A", GASES) == Status.UNSCORABLE
    assert resolve_gold("D", GASES) == 3
    assert resolve_gold("E", GASES) is None


def test_how_options_are_shown() -> None:
    assert with_options("Which?", ("one", "two\n lines")) == "Which?\n\nA) one\nB) two lines"
    with pytest.raises(ValueError, match="at most 26 options, found 27"):
        with_options("Which?", ["x"] * 27)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("photosynthesis", "Photosynthesis."),
        ("the mitochondria", "Mitochondria"),
        ("a cell", "cells"),
        ("batteries", "the battery"),
        ("8", "eight"),
        ("white blood cells", "white blood cell"),
        ("photosynthesis", "The answer is photosynthesis."),
        ("photosynthesis", "It's called photosynthesis"),
        ("one year", "1 year"),
        ("Newton's law", "newton’s law"),
    ],
)
def test_free_text_right(gold: str, answer: str) -> None:
    assert status(gold, answer) == Status.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("photosynthesis", "respiration"),
        ("photosynthesis", "photosynthesis or respiration"),
        ("photosynthesis", "photosynthesis respiration osmosis diffusion"),
        ("photosynthesis", "not photosynthesis"),
        ("photosynthesis", "photo"),
        ("-5 degrees", "5 degrees"),
        ("1.5", "15"),
    ],
)
def test_free_text_wrong(gold: str, answer: str) -> None:
    assert status(gold, answer) == Status.WRONG


def test_free_text_without_a_word_is_no_answer() -> None:
    assert status("iron", "...") == Status.NO_ANSWER
    assert status("", "iron") == Status.UNSCORABLE


def test_long_answers_name_nothing() -> None:
    assert resolve_answer("B " * 500_000, GASES).index is None
    assert status("iron", "iron " * 200_000) == Status.WRONG


@pytest.mark.parametrize(
    ("gold", "answer", "paid"),
    [
        ("100 °C", "100 degrees Celsius", True),
        ("100 °C", "100", False),
        ("100 °C", "100 degrees", False),
        ("100 °C", "100 °F", False),
        ("-5 °C", "minus 5 degrees Celsius", True),
        ("-5 °C", "5 degrees Celsius", False),
        ("9.8 m/s^2", "9.8 meters per second squared", True),
        ("9.8 m/s^2", "980 cm/s^2", True),
        ("9.8 m/s^2", "9.8 meters per second", False),
        ("5 kg", "5000 grams", True),
        ("5 kg", "5 grams", False),
        ("5 kg", "5 kilograms of iron", False),
        ("5 kg", "about 5000 grams", False),
        ("5 kg", "not 5000 grams", False),
        ("5 kg/day", "5000 grams", False),
        ("24 hours", "one day", True),
        ("24 hours", "24 days", False),
        ("78%", "78 percent", True),
        ("78%", "0.78", False),
        ("50 Hz", "50 hertz", True),
        ("10 N", "10 newtons", True),
        ("10 newtons", "10N", True),
        ("10 N", "The force is 10 newtons.", True),
        ("10 N", "10 J", False),
        ("10 N", "10", False),
        ("6 mol", "6 moles", True),
        ("6 mol", "6 moles of iron", False),
        ("9.8 N/kg", "9.8 newtons per kilogram", True),
        ("12 V", "12000 mV", True),
        ("2 A", "2 amps", True),
        ("300 K", "300 kelvin", True),
        ("300 K", "300 °C", False),
        ("1 atm", "101.325 kPa", True),
        ("5 MW", "5000000 W", True),
        ("5 MW", "5 mW", False),
        ("5 mW", "0.005 watts", True),
        ("5 kΩ", "5000 ohms", True),
        ("5 MΩ", "5 mΩ", False),
        ("3 Ω", "3 $\\Omega$", True),
        ("5 μm", "0.005 mm", True),
        ("40 dB", "40 decibels", True),
        ("4", "4 chambers", True),
        ("4", "four chambers", True),
        ("4", "5 chambers", False),
        ("4", "4 valves", False),
        ("4", "4 kg", False),
        ("4", "chamber 4", False),
        ("4 chambers", "4 valves", False),
        ("4 chambers", "4", False),
        ("4", "½", False),
        ("4", "%", False),
    ],
)
def test_quantities(gold: str, answer: str, paid: bool) -> None:
    question = "How many chambers has the heart?"
    task = Task(id="t", domain="science", source="test", question=question, answer=gold)
    assert (score(task, "", answer).status == Status.CORRECT) is paid
