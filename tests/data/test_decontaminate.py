"""Evaluation texts are found wherever they stand, and nothing else is."""

from __future__ import annotations

from random import Random

import pytest

from support.realistic import make_rows
from thinkaloud.data.decontaminate import GRAM, Contamination

LONG = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."


def test_a_run_of_thirteen_words_is_found_and_twelve_are_not() -> None:
    known = Contamination([LONG])
    words = LONG.split()
    inside = "One day " + " ".join(words[2 : 2 + GRAM]) + " again"
    assert known.overlap(inside) == "clips to 48 of her friends in april and then she sold half"
    assert known.overlap("One day " + " ".join(words[2 : 1 + GRAM]) + " again") is None
    assert known.overlap(LONG.upper().replace(",", " --")) is not None
    assert known.overlap(LONG.replace("48", "49").replace("half", "twice")) is None


def test_short_texts_are_looked_for_whole() -> None:
    known = Contamination(["Is pork a red meat?", "Is ice cold?"])
    assert known.overlap("He asked: is PORK a red meat, or not?") == "is pork a red meat"
    assert known.overlap("is pork a red animal") is None
    assert known.overlap("is pork a red") is None
    assert known.overlap("IS ICE COLD") == "is ice cold"
    assert known.overlap("Tell me, is ice cold?") is None, "three words stand anywhere by chance"


def test_what_many_evaluation_texts_share_is_boilerplate() -> None:
    lead = "Answer the following question with yes or no and then explain your answer in detail: "
    known = Contamination([f"{lead}{row}" for row in make_rows(300, seed=3)] + [lead])
    assert known.overlap(f"{lead}can a whale sing to its own mother under water at night?") is None
    assert known.overlap(f"{lead}{make_rows(300, seed=3)[7]}") is not None
    assert known.overlap(lead.upper()) == lead.lower().strip(": "), "an evaluation text, boilerplate as it is"


@pytest.mark.parametrize("texts", [[], [""], ["?!"]])
def test_nothing_to_look_for(texts: list[str]) -> None:
    known = Contamination(texts)
    assert known.num_texts == 0
    assert known.overlap("What is this, and what is it for, and who would ever want to have it?") is None
    assert known.overlap("") is None


def test_all_of_fifty_planted_questions_are_found_and_no_other_row_is_lost() -> None:
    rng = Random(0)
    rows = make_rows(6000, seed=1)
    evaluation = make_rows(900, seed=2)
    known = Contamination(evaluation)
    assert known.num_texts == 900
    disguises = [
        lambda text: text,
        str.upper,
        lambda text: text.replace(",", ";").rstrip("?.") + " !",
        lambda text: f"Here is a thing that I was asked. {text} What would you say?",
        lambda text: "\n\t".join(text.title().split()),
    ]
    planted = [rng.choice(disguises)(text) for text in rng.sample(evaluation, 50)]
    assert all(known.overlap(text) for text in planted)
    assert [row for row in rows if known.overlap(row)] == []
