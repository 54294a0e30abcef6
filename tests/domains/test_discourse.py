"""Guards against answers that refuse, talk about themselves, ask back, or repeat one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.growth import assert_linear
from thinkaloud.domains import discourse
from thinkaloud.domains.wording import Text

NONE: frozenset[str] = frozenset()


def read(text: str) -> Text:
    return Text.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that story today.",
        "I cannot write this scene, since I know nothing of ships.",
        "Unfortunately I am unable to give a summary of the article.",
        "As an AI language model, I have no ideas of my own.",
        "We would rather not answer questions about the council.",
    ],
)
def test_refusals(text: str) -> None:
    assert discourse.refusal(read(text)) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "“I cannot help you,” said the smith, and turned away.",
        "She could not write, so her brother wrote for her.",
        "Nobody can do this alone, the mayor said on Tuesday.",
        "The machine was sorry to see him go.",
    ],
)
def test_a_story_about_a_refusal_is_none(text: str) -> None:
    assert discourse.refusal(read(text)) == 1.0


def test_comments_are_not_read() -> None:
    assert discourse.without_comments("a <!-- hidden --> b") == "a   b"
    assert discourse.without_comments("a <!-- never closed") == "a  "
    assert discourse.without_comments("2 < 3 - 1") == "2 < 3 - 1"


def test_a_sentence_with_words_changed_is_one_sentence() -> None:
    frame = "The {} baker of the village lost a {} oven and was {} about it. "
    varied = "".join(
        frame.format(*words) for words in (("old", "red", "sad"), ("shy", "new", "glad"), ("fat", "big", "mad"))
    )
    assert discourse.same_frame(read(varied)) == 0.0
    honest = (
        "The oven was gone. Where it had stood the floor was clean. "
        "He borrowed a kiln, and by noon there was bread again."
    )
    assert discourse.same_frame(read(honest)) == 1.0


def test_questions_are_no_statements() -> None:
    assert discourse.questions(read("Did the pool close? Will buses run? Was the vote close?")) == 0.0
    assert discourse.questions(read("The pool closes. Buses will run. Who pays?")) > 0.9
    assert discourse.questions(read("Did the pool close?")) == 0.5


def test_a_text_about_the_text() -> None:
    about = "The summary says what the text says, and this text is the summary of the text that was given."
    assert discourse.about_itself(read(about), NONE) == 0.0
    assert (
        discourse.about_itself(read("The council closed the pool, and buses will carry swimmers to Halden."), NONE)
        == 1.0
    )


@given(st.text(max_size=400))
def test_guards_are_factors(text: str) -> None:
    answer = read(discourse.without_comments(text))
    for value in (
        discourse.refusal(answer),
        discourse.same_frame(answer),
        discourse.questions(answer),
        discourse.about_itself(answer, NONE),
    ):
        assert 0.0 <= value <= 1.0


@pytest.mark.parametrize("piece", ["<!--", '"', "I am sorry ", "a. ", "?\n", "word " * 50 + ". "])
def test_long_texts_take_linear_time(piece: str) -> None:
    def guards(text: str) -> tuple[float, ...]:
        answer = read(discourse.without_comments(text))
        return discourse.refusal(answer), discourse.same_frame(answer), discourse.questions(answer)

    assert_linear(guards, piece, size=100_000)
