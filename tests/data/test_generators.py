"""Generated tasks: every answer recomputed from its question, by rules that share nothing with the templates."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.data.generators import LICENSE, SOURCE, generate_logic, generate_math
from thinkaloud.data.logic_templates import LOGIC_TEMPLATES
from thinkaloud.data.math_templates import MATH_TEMPLATES
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id

WEEK = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

MATH_RULES: list[tuple[str, Callable[..., Fraction]]] = [
    (r"\w+ owns (\d+) (\w+) and is given (\d+) more\.", lambda a, _, b: Fraction(a) + Fraction(b)),
    (r"\w+ had (\d+) (\w+) but gave (\d+) of them away\.", lambda a, _, b: Fraction(a) - Fraction(b)),
    (r"There are (\d+) bags on a table with (\d+) ", lambda a, b: Fraction(a) * Fraction(b)),
    (r"\w+ hands out (\d+) \w+ fairly to (\d+) friends", lambda a, b: Fraction(a) / Fraction(b)),
    (
        r"\w+ buys (\d+) \w+ at (\d+) dollars each and pays with (\d+) dollars\.",
        lambda n, p, paid: Fraction(paid) - Fraction(n) * Fraction(p),
    ),
    (r"Find [xyz] if (\d+)[xyz] \+ (\d+) = (\d+)\.", lambda a, b, c: (Fraction(c) - Fraction(b)) / Fraction(a)),
    (r"\w+ saves (\d+)% of (\d+) dollars", lambda p, n: Fraction(p) / 100 * Fraction(n)),
    (r"A jar holds (\d+) \w+, and (\d+/\d+) of them", lambda n, part: Fraction(n) * Fraction(part)),
    (r"A field is (\d+) metres long and (\d+) metres wide", lambda a, b: 2 * Fraction(a) + 2 * Fraction(b)),
    (r"\w+ scored (\d+), (\d+) and (\d+) points", lambda a, b, c: (Fraction(a) + Fraction(b) + Fraction(c)) / 3),
    (r"Which number continues the row (\d+), (\d+), (\d+), (\d+)\?", lambda a, b, c, d: 2 * Fraction(d) - Fraction(c)),
    (r"\w+ travels for (\d+) h and (\d+) min\.", lambda h, m: 60 * Fraction(h) + Fraction(m)),
    (r"Add (\d+/\d+) and (\d+/\d+)\.", lambda a, b: Fraction(a) + Fraction(b)),
    (r"\w+ moves at a steady (\d+) km per hour\. .* in (\d+) hours\?", lambda v, t: Fraction(v) * Fraction(t)),
]


def _chain(a: str, more: str, b: str, c: str, d: str, left: str, right: str) -> bool:
    assert b == c
    above = {(a, b), (c, d), (a, d)}
    assert ((left, right) in above) != ((right, left) in above)
    return (left, right) in above


def _entry(least: str, age: str, ticket: str) -> bool:
    return int(age) >= int(least) and ticket == "a"


LOGIC_RULES: list[tuple[str, Callable[..., bool]]] = [
    (r"(\w+) is (\w+) than (\w+), and (\w+) is \w+ than (\w+)\. Is (\w+) \w+ than (\w+)\?", _chain),
    (
        r"All (\w+) are (\w+)\. All (\w+) are (\w+)\. Must all (\w+) be (\w+)\?",
        lambda a, b, c, d, e, f: b == c and (a, d) == (e, f),
    ),
    (
        r"All (\w+) are (\w+)\. No (\w+) are (\w+)\. Can any of the (\w+) be among the (\w+)\?",
        lambda a, b, c, d, e, f: not (b == c and (a, d) == (e, f)),
    ),
    (r"Is (\d+) \+ (\d+) an even number\?", lambda a, b: (int(a) + int(b)) % 2 == 0),
    (r"Is (\d+) divisible by (\d+)\?", lambda a, b: int(a) % int(b) == 0),
    (
        r"Today is (\w+)\. Will the day be (\w+) in (\d+) days\?",
        lambda now, then, days: WEEK[(WEEK.index(now) + int(days)) % 7] == then,
    ),
    (
        r"A \w+ contains only (\w+), (\w+), (\w+) and (\w+)\. Are there (\w+) in the \w+\?",
        lambda a, b, c, d, asked: asked in {a, b, c, d},
    ),
    (
        r"(\w+) knows a rule without exceptions: whenever (.*), (.*)\. Right now (.*)\. Can \w+ be sure that (.*)\?",
        lambda _, cause, effect, fact, asked: fact == cause and asked == effect,
    ),
    (r"Is (\d+) times (\d+) greater than (\d+)\?", lambda a, b, c: int(a) * int(b) > int(c)),
    (
        r"It is false (that it is false )?(that it is false )?that \w+ has (\w+)\. Does \w+ have (\w+)\?",
        lambda second, third, thing, asked: thing == asked and bool(second) and not third,
    ),
    (
        r"Exactly those who are at least (\d+) years old and have a ticket may go on a ride\. "
        r"\w+ is (\d+) and has (a|no) ticket\. May \w+ go on the ride\?",
        _entry,
    ),
    (r"Does the word (\w+) contain the letter (\w)\?", lambda word, letter: letter in word),
]


def _recompute(question: str, rules: list[tuple[str, Callable[..., object]]]) -> object:
    found = [(match, rule) for pattern, rule in rules if (match := re.match(pattern, question))]
    assert len(found) == 1, f"{len(found)} rules match {question!r}"
    match, rule = found[0]
    return rule(*match.groups())


@given(seed=st.integers(0, 2**40))
@settings(max_examples=25, deadline=None)
def test_math_answers_equal_an_independent_recomputation(seed: int) -> None:
    for task in generate_math(seed, 4 * len(MATH_TEMPLATES)):
        expected = _recompute(task.question, MATH_RULES)
        assert task.answer == str(expected), task.question


@given(seed=st.integers(0, 2**40))
@settings(max_examples=25, deadline=None)
def test_logic_answers_equal_an_independent_evaluation(seed: int) -> None:
    for task in generate_logic(seed, 4 * len(LOGIC_TEMPLATES)):
        truth = _recompute(task.question, LOGIC_RULES)
        assert task.answer == ("yes" if truth else "no"), task.question


@pytest.mark.parametrize("generate", [generate_math, generate_logic])
def test_more_items_only_append(generate: Callable[[int, int], list[Task]]) -> None:
    assert generate(3, 40) == generate(3, 120)[:40]
    assert generate(3, 40) == generate(3, 40)
    assert generate(3, 0) == []


@pytest.mark.parametrize("generate", [generate_math, generate_logic])
def test_neighbouring_seeds_share_next_to_nothing(generate: Callable[[int, int], list[Task]]) -> None:
    first = {task.question for task in generate(0, 100)}
    second = {task.question for task in generate(1, 101)[1:]}
    assert len(first & second) < 10


@pytest.mark.parametrize("generate", [generate_math, generate_logic])
def test_questions_are_distinct_and_rationales_short(generate: Callable[[int, int], list[Task]]) -> None:
    tasks = generate(7, 1000)
    assert len({task.question for task in tasks}) == 1000
    for task in tasks:
        assert 21 <= len(task.rationale.split()) <= 38, task.rationale
        assert task.rationale.endswith(".")
        assert not re.search(r"[<>`*]|the answer is", task.rationale)


@pytest.mark.parametrize(("domain", "generate"), [("math", generate_math), ("logic", generate_logic)])
def test_the_record_is_complete(domain: str, generate: Callable[[int, int], list[Task]]) -> None:
    task = generate(0, 1)[0]
    assert task.id == task_id(domain, task.question)
    assert (task.domain, task.source, task.license, task.split) == (domain, SOURCE, LICENSE, "train")
    assert (SOURCE, LICENSE) == ("generated", "Apache-2.0")


def test_math_rationales_reach_their_answer() -> None:
    for task in generate_math(5, 500):
        assert re.search(rf"(?<![\d/]){re.escape(task.answer)}(?![\d/])", task.rationale), task


def test_logic_is_balanced_in_every_template() -> None:
    size = len(LOGIC_TEMPLATES)
    tasks = generate_logic(2, 10 * size)
    for template in range(size):
        answers = [task.answer for task in tasks[template::size]]
        assert answers.count("yes") == answers.count("no") == 5


def test_too_many_and_too_few_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"at most \d+.*found 100000"):
        generate_logic(0, 100_000)
    with pytest.raises(UserError, match="found -1"):
        generate_math(0, -1)
