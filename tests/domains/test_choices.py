"""Which option an answer picks: many ways to name one, and what names none or rejects it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.domains import BUILTIN, logic
from thinkaloud.domains.choices import LETTERS, options_of, options_shown, resolve_answer
from thinkaloud.domains.science import score
from thinkaloud.records import Status, Task


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Q?\n\nA) x\nB) y z ", ["x", "y z"]),
        ("Q?\n  (a) x\n  (b) y", ["x", "y"]),
        ("Q?\nA. x\nB. y\nC. z", ["x", "y", "z"]),
        ("Q?\nA: x\nB: y", ["x", "y"]),
        ("Read:\nA) one\nB) two\n\nQ?\nA) x\nB) y", ["x", "y"]),  # the last list
        ("Q?\nB) y\nA) x", ["x"]),
        ("Q?\nA) x\nI. Newton said so.\nB) y", ["x", "y"]),
        ("Q? A) x B) y", []),
        ("1) x\n2) y", []),
        ("A cat\nB-flat", []),
    ],
)
def test_options_that_a_question_shows(question: str, options: list[str]) -> None:
    assert options_shown(question) == options


def test_options_count_where_the_gold_answer_is_one_of_them() -> None:
    question = "Q?\nA) iron\nB) zinc"
    science, math = BUILTIN["science"], BUILTIN["math"]
    assert options_of(science, question, "B") == options_of(science, question, "zinc") == ("iron", "zinc")
    assert options_of(science, question, "C") == options_of(science, question, "lead") == ()
    assert options_of(science, "Q?\nA) iron", "A") == ()
    assert options_of(math, question, "B") == options_of(None, question, "B") == ()
    assert (
        options_of(science, question, "B", ("lead", "tin"))
        == options_of(math, "", "", ("lead", "tin"))
        == ("lead", "tin")
    )


METALS = ("copper", "zinc", "lead", "argon gas")
PLACES = ("a lake", "a river", "a sea", "a bay", "a pond", "a creek", "a fjord", "a delta", "an isle")
WAYS = """
{L}
{l}
({L})
{L}.
[{L}]
{{{L}}}
${L}$
\\({L}\\)
\\boxed{{{L}}}
$\\boxed{{{L}}}$
\\text{{{L}}}
\\boxed{{\\text{{({L})}}}}
\\textbf{{{L}}}
**{L}**
<b>{L}</b>
Option {l}
choice {l}
Answer: {L}
The answer is {l}.
The answer is {L} because the rest float.
{L} because the rest float
{L} since it sinks
{L} is correct
I choose {L}.
{L}, not {M}
{L}. It can't be {M}.
The answer is {L}; it is not {M}
It must be {L}
{L}, {text}
{L}: {text}
{L} - {text}
{L} ({text})
{text} ({L})
**{L}) {text}**
{TEXT}
The {text}.
\\boxed{{{text}}}
{text}, because it sinks
"""
REJECTED = """
not {L}
It isn't {L}
It isn’t {text}
{L} is wrong
{L} is incorrect
{text} is false
rule out {L}
I ruled {L} out, so anything except {text}
eliminate {L}
everything but {L}
everything but {text}
anything except {text}
other than {text}
without {text}
rather than {text}
non-{text}
no {text}
maybe {L}
either {L}
{L}, or something like it
neither {L}
~~{L}~~
~~{text}~~
≠ {text}
¬{L}
doubt {L}
"""
TWO = """
{L}, not {M} and A
{L}, not {L} or {M}
not {L}, not {M}
{L} or {M}, not A
{L}, it can be {M}
{L}, it can't not be {M}
{L}, not {M}, but A
{L}, not {M}, {L}
{L}, not {M} or possibly A
{L} or {M}
{L}, {M}
{L}/{M}
{L} and {M}
option {l}, option {m}
{L}, choice {m}
{l} or {m}
({l}) ({m})
{L} [{m}]
{L}) {other}
{L}: {other}
{other} ({L})
{text} {other}
{text}, {other}
\\boxed{{{L}}} \\boxed{{{M}}}
\\boxed{{{L}, {M}}}
All of the above, {L}
both {L} and {M}
{L}<!-- {M} -->
{L}, the last option
"""


def lines(block: str) -> list[str]:
    return block.strip().splitlines()


def written(pattern: str, index: int, choices: tuple[str, ...]) -> str:
    other = (index + 1) % len(choices)
    return pattern.format(
        L=LETTERS[index],
        l=LETTERS[index].lower(),
        M=LETTERS[other],
        m=LETTERS[other].lower(),
        text=choices[index],
        TEXT=choices[index].upper(),
        other=choices[other],
    )


def value(answer: str, gold: str, choices: tuple[str, ...] = METALS) -> float:
    return score(
        Task(id="t", domain="science", source="t", question="Which?", answer=gold, choices=choices), "", answer
    ).value


@pytest.mark.parametrize("pattern", lines(WAYS))
def test_every_letter_is_read_alike(pattern: str) -> None:
    """A and I are words too: no option may be harder to name than the others."""
    for choices in (METALS, PLACES):
        for index, gold in enumerate(choices):
            answer = written(pattern, index, choices)
            assert value(answer, gold, choices) == 0.8, answer
            assert value(answer, choices[index - 1], choices) == 0.0, answer


@pytest.mark.parametrize("pattern", lines(REJECTED + TWO))
def test_rejected_and_two_options_earn_nothing(pattern: str) -> None:
    for index in range(3):
        answer = written(pattern, index, METALS)
        assert all(value(answer, gold) == 0.0 for gold in METALS[:3]), answer


@pytest.mark.parametrize(
    "answer", ["Ａ", "А", "Ⓐ", "𝐀", "A\u200b", "c\u00adopper", "соpper", "ᴀ", "C\u0336opper", "A metal", "AB"]
)
def test_disguised_letters_name_nothing(answer: str) -> None:
    assert resolve_answer(answer, METALS).index is None


def test_an_article_is_no_letter() -> None:
    assert value("A river", "a river", PLACES) == 0.8
    assert value("A river runs there.", "a river", PLACES) == 0.8
    assert value("I say a river", "a river", PLACES) == 0.8
    assert value("A, zinc", "zinc") == 0.0  # the letter of copper


def test_other_words_for_an_option() -> None:
    assert value("the second option", "zinc") == 0.8
    assert value("option 2", "zinc") == 0.8
    assert value("option 2, option 3", "zinc") == 0.0
    assert value("B, option 3", "zinc") == 0.0


def test_numbers_inside_expressions_are_no_options() -> None:
    numbers = ("10", "20", "30")
    for answer in ("2 * 10", "1/10", "-10", "10%", "10^3", "10/3", "~10", ">10", "100", "10.5"):
        assert all(value(answer, gold, numbers) == 0.0 for gold in numbers), answer
    assert value("10.0", "10", numbers) == value("about 5 more: 10", "10", numbers) == 0.8


def test_options_with_latex_and_signs() -> None:
    formulas = ("$H_2O$", "$CO_2$", "Na^+", "Na^-")
    assert value("CO₂", "$CO_2$", formulas) == 0.8
    assert value("\\boxed{CO_{2}}", "$CO_2$", formulas) == 0.8
    assert value("Na⁺", "Na^+", formulas) == 0.8
    assert value("Na-", "Na^+", formulas) == 0.0
    assert value("?", "→", ("→", "increases")) == 0.0


YES_NO = ("Yes", "No")


@pytest.mark.parametrize(
    ("answer", "gold", "paid"),
    [
        ("A", "Yes", True),
        ("(a)", "Yes", True),
        ("\\boxed{A}", "Yes", True),
        ("B", "No", True),
        ("A) Yes", "Yes", True),
        ("Yes (A)", "Yes", True),
        ("Yes, since no rain fell", "Yes", True),
        ("B", "Yes", False),
        ("B) Yes", "Yes", False),
        ("A) No", "No", False),
        ("Yes, option B", "Yes", False),
        ("A or B", "Yes", False),
        ("rule out B", "Yes", False),
        ("not A", "Yes", False),
        ("B is wrong", "No", False),
    ],
)
def test_letters_of_yes_and_no(answer: str, gold: str, paid: bool) -> None:
    for stored in (gold, LETTERS[YES_NO.index(gold)]):
        task = Task(id="t", domain="logic", source="t", question="Did it rain?", answer=stored, choices=YES_NO)
        assert (logic.score(task, "", answer).status is Status.CORRECT) is paid


def test_a_third_option_beside_yes_and_no() -> None:
    choices = ("True", "False", "Unknown")
    for gold, answer, paid in [
        ("Unknown", "C", True),
        ("Unknown", "unknown", True),
        ("Unknown", "True", False),
        ("True", "C", False),
        ("True", "A) Unknown", False),
        ("True", "true or unknown", False),
        ("False", "B) False", True),
    ]:
        task = Task(id="t", domain="logic", source="t", question="Did it rain?", answer=gold, choices=choices)
        assert (logic.score(task, "", answer).status is Status.CORRECT) is paid, answer


@given(st.text(max_size=200) | st.text("ABab ,()[]{}$\\.not or zinc copper", max_size=60), st.integers(0, 3))
def test_at_most_one_option_is_paid(text: str, index: int) -> None:
    assert sum(value(text, gold) > 0 for gold in METALS) <= 1


@given(
    st.sampled_from(lines(WAYS)), st.integers(0, 3), st.integers(0, 3), st.sampled_from(["not", "never", "rule out"])
)
def test_another_or_a_negated_option_never_keeps_full_marks(pattern: str, index: int, other: int, word: str) -> None:
    answer = written(pattern, index, METALS)
    assert value(answer, METALS[other]) == (0.8 if index == other else 0.0)
    assert value(f"{word} {answer}", METALS[index]) == 0.0
    assert value(f"{answer}\n{written(pattern, (index + 1) % 4, METALS)}", METALS[index]) == 0.0
