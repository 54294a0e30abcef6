"""Which polarity a text states: plain verdicts are read, everything else is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.growth import assert_linear
from thinkaloud.domains.logic import score
from thinkaloud.domains.markup import unwrapped
from thinkaloud.domains.polarity import read_polarity
from thinkaloud.records import Status, Task

YES = """
Yes
YES!
"yes"
\\boxed{Yes}
\\text{yes}
**Yes**
Yes, it does.
Yes it can
Yes, since no rain fell.
Yes, because it cannot swim.
Yes: the lake isn't deep.
Yes (no exception)
True.
That's true.
This claim is true.
It isn't false.
The final answer is: yes
Ducks swim, so yes
Ducks have webbed feet; therefore, the answer is yes.
It is true that ducks swim
No doubt, yes
There is no doubt that it is true
Of course, yes.
Absolutely yes
I would say yes
Yes, the claim that ducks swim is true
Yeah
"""
NO = """
No
no.
No, it doesn't.
No, they cannot
No, that isn't so.
No it is not
No a duck floats
False
That's false.
not true
This isn't true.
It can't be true.
The answer isn't yes.
The answer is: No.
Nope
No, not at all
No, there is no way to do that
Stones sink, so no.
It is false that stones float
\\boxed{\\text{No}}
"""
NEITHER = """
maybe
Hardly true
It's rarely true
Anything but true
a far cry from yes
the reverse of yes
It would be a mistake to say yes
I don't think it's true
I can't say no
I refuse to say yes
They say yes
It could be true
It is said to be true
It is not the case that this is false
not not true
no rule forbids it
No question about that
without doubt
No wonder
No way!
no chance
Nobody says yes
Yes?
Is it true?
Yes or not
Yes, perhaps
Yes, if it rains
Yes, I doubt it
probably no
Yes, the opposite holds
once true
half-true
yes-ish
true enough to be false
It is true that it is not so
The answer yes is incorrect
Yes is wrong
Say yes? I would not
There's no truth in it
❌ Yes
it is
it is not
not
Correct
"""
BOTH = """
Yes and no
Yes. No.
yes/no
Yes? No.
Yes, no in spring
Yes, nope
No, it does
Yes, they can't
No, that is true
Yes, that's false
Yes, that is wrong
Yes, not really
Yes, not always
Yes, but not entirely
true or false
It is true and false
"""


def lines(block: str) -> list[str]:
    return block.strip().splitlines()


@pytest.mark.parametrize("text", lines(YES))
def test_yes(text: str) -> None:
    assert read_polarity(unwrapped(text)).value is True


@pytest.mark.parametrize("text", lines(NO))
def test_no(text: str) -> None:
    assert read_polarity(unwrapped(text)).value is False


@pytest.mark.parametrize("text", lines(NEITHER + BOTH))
def test_no_plain_polarity(text: str) -> None:
    assert read_polarity(unwrapped(text)).value is None


@pytest.mark.parametrize("text", [text for text in lines(BOTH) if "?" not in text])
def test_both(text: str) -> None:
    assert read_polarity(text).both


def status(gold: str, answer: str) -> Status:
    task = Task(id="t", domain="logic", source="test", question="Does a duck swim?", answer=gold)
    return score(task, "", answer).status


@pytest.mark.parametrize(
    "answer",
    ["Y\u200bes", "Ｙes", "Yеs", "Yes, nо", "уеs", "~~Yes~~", "Yes<!-- no -->", "Yes, ɴᴏ", "Y\u0336e\u0336s\u0336"],
)
def test_disguised_letters_are_no_answer(answer: str) -> None:
    assert status("yes", answer) == status("no", answer) == Status.NO_ANSWER


CLAUSES = st.sampled_from(
    ["it is well known", "ducks swim", "there is no doubt", "of course", "it lives on lakes", "the answer is clear"]
)
VERDICTS = st.sampled_from(["{}", "{}.", "the answer is {}", "so the answer is {}", "I think {}", "**{}**"])


@given(VERDICTS, CLAUSES, st.sampled_from(["yes", "no"]), st.booleans())
def test_another_polarity_never_keeps_full_marks(verdict: str, clause: str, gold: str, first: bool) -> None:
    """A changed polarity is wrong, a contradicted or a hedged one earns nothing."""
    other = "no" if gold == "yes" else "yes"

    def answer(word: str) -> str:
        parts = [verdict.format(word), clause] if first else [clause, verdict.format(word)]
        return "; ".join(parts)

    assert status(gold, answer(gold)) == Status.CORRECT
    assert status(gold, answer(other)) == Status.WRONG
    assert status(gold, f"{answer(gold)}; {other}") != Status.CORRECT
    assert status(gold, f"it is not {gold}; {answer(gold)}") != Status.CORRECT
    assert status(gold, answer(f"not {gold}")) != Status.CORRECT
    assert status(gold, f"{answer(gold)}, or not") != Status.CORRECT


@given(st.text(max_size=300))
def test_any_text_is_scored(text: str) -> None:
    assert status("yes", text).value in ("correct", "wrong", "no_answer")


@pytest.mark.parametrize(
    "piece", ["not ", "yes, ", "no ", "that is true ", "'s ", "? ", "- ", "true-", "\\boxed{", "ѕ"]
)
def test_long_texts_take_linear_time(piece: str) -> None:
    assert_linear(lambda text: (read_polarity(text), unwrapped(text)), piece, size=100_000)
