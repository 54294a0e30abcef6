"""Logic answers: one polarity, as a whole word."""

from __future__ import annotations

import pytest

from thinkaloud.domains.logic import score
from thinkaloud.domains.polarity import read_polarity
from thinkaloud.records import Status, Task


def status(gold: str, answer: str, choices: tuple[str, ...] = ()) -> Status:
    task = Task(id="t", domain="logic", source="test", question="Is it?", answer=gold, choices=choices)
    return score(task, "", answer).status


@pytest.mark.parametrize(
    "answer", ["no", "No.", "**No**", "NO!", "The answer is no", "False", "not true", "No, it cannot"]
)
def test_no(answer: str) -> None:
    assert status("no", answer) == status("False", answer) == Status.CORRECT
    assert status("yes", answer) == Status.WRONG


@pytest.mark.parametrize("answer", ["yes", "Yes, all of them are.", "true", "Yes: true", "That is not false"])
def test_yes(answer: str) -> None:
    assert status("yes", answer) == status("true", answer) == Status.CORRECT
    assert status("no", answer) == Status.WRONG


@pytest.mark.parametrize("answer", ["yes and no", "Yes. No.", "yes/no", "true or false", "No, it is true"])
def test_both_polarities_earn_nothing(answer: str) -> None:
    assert status("yes", answer) == status("no", answer) == Status.WRONG


@pytest.mark.parametrize("answer", ["I know", "nobody", "yesterday", "maybe", "it is not", "noyes", "-"])
def test_other_words_are_no_answer(answer: str) -> None:
    assert status("no", answer) == Status.NO_ANSWER


def test_polarity_by_whole_words() -> None:
    assert read_polarity("Untrue, I know; a noble yesman").value is None
    assert read_polarity("It isn’t true").value is False


def test_the_question_is_no_answer() -> None:
    question = "No flower is made of iron. A tulip is a flower. Can a tulip be made of iron?"
    task = Task(id="t", domain="logic", source="test", question=question, answer="no")
    assert score(task, "", question).status == Status.WRONG
    assert score(task, "", "No flower is made of iron.").status == Status.WRONG
    assert score(task, "", "No, a tulip is a flower.").status == Status.CORRECT


def test_other_golds_are_compared_as_in_science() -> None:
    assert status("Anna", "anna.") == Status.CORRECT
    assert status("Anna", "Ben") == Status.WRONG
    assert status("Anna", "B", ("Ben", "Anna")) == Status.CORRECT
    assert status("no one", "no") == Status.WRONG


def test_long_answers_are_wrong() -> None:
    assert status("yes", "yes " * 2_000) == Status.WRONG
