"""Generated tasks: right answers, right rationales, and parts that have nothing in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from math import log
from operator import add, mul, sub
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.generated_answers import logic_answer, math_answer
from thinkaloud.data.generators import HELD_OUT, LICENSE, NEW_TEMPLATES, SOURCES, TEST, TRAINING, Part, generate
from thinkaloud.data.templates import TEMPLATES, Template
from thinkaloud.data.words import normalized
from thinkaloud.domains.consistency import by_number, by_polarity
from thinkaloud.errors import UserError
from thinkaloud.records import Task, task_id
from thinkaloud.rewards.gold import check_golds


def templates(domain: str) -> list[object]:
    return [pytest.param(template, id=template.name) for template in TEMPLATES[domain]]


@pytest.mark.parametrize(("domain", "answer"), [("math", math_answer), ("logic", logic_answer)])
@given(seed=st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_answers_equal_an_independent_recomputation(domain: str, answer: Callable[[str], str], seed: int) -> None:
    for part in (TRAINING, NEW_TEMPLATES):
        for task in generate(domain, seed, 96, part):
            assert task.answer == answer(task.question), task.question


BY_HAND = {
    "gain": (
        *(1, "Hugo owns 49 beads and is given 40 more. How many beads does Hugo own now?", "89"),
        "Being given more means that we add. 49 + 40 = 89.",
    ),
    "percent": (
        *(2, "Hugo saves 40% of 120 dollars. How many dollars is that?", "48"),
        "10% is 120 / 10 = 12. 40% is 4 times as much: 4 x 12 = 48.",
    ),
    "two_kinds": (
        *(
            3,
            "Hugo buys 9 beads at 2 dollars each and 3 plums at 9 dollars each. How many dollars does this cost?",
            "45",
        ),
        "The beads cost 9 x 2 = 18. The plums cost 3 x 9 = 27. Together this is 18 + 27 = 45.",
    ),
    "brackets": (
        *(4, "Find b if 3(4b + 8) - 1 = 47.", "2"),
        "We undo each part from the outside. 47 + 1 = 48. 48 / 3 = 16. 16 - 8 = 8. 8 / 4 = 2.",
    ),
    "parity": (
        *(2, "Is 19 + 25 an even number?", "yes"),
        "19 + 25 = 44. The last digit of 44 is 4, so the sum is even. So yes.",
    ),
    "turns": (
        *(4, "A robot faces east. It turns left, then left, then right, then around. Does it face south now?", "yes"),
        "Left: north. Left: west. Right: north. Around: south. At the end it faces south. So yes.",
    ),
}
"""By template: steps, question, answer, rationale, drawn with seed 3 and checked by hand."""


@pytest.mark.parametrize("name", BY_HAND)
def test_instances_checked_by_hand(name: str) -> None:
    (template,) = [own for own in (*TEMPLATES["math"], *TEMPLATES["logic"]) if own.name == name]
    assert (template.steps, *template.draft(Random(3), True)) == BY_HAND[name]


@pytest.mark.parametrize("domain", TEMPLATES)
class TestParts:
    def test_more_items_only_append(self, domain: str) -> None:
        for part in (TRAINING, *HELD_OUT):
            assert generate(domain, 3, 40, part) == generate(domain, 3, 120, part)[:40]
        assert generate(domain, 3, 40) == generate(domain, 3, 40)
        assert generate(domain, 3, 0) == []

    def test_neighbouring_seeds_share_next_to_nothing(self, domain: str) -> None:
        first = {task.question for task in generate(domain, 0, 100)}
        second = {task.question for task in generate(domain, 1, 101)[1:]}
        assert len(first & second) < 10

    def test_no_instance_is_in_two_parts_whatever_the_seed(self, domain: str) -> None:
        """Instances: the numbers of a template, or where it has too few, its question."""
        by_part = {}
        for seed, part in enumerate((TRAINING, *HELD_OUT)):
            count = 5000 if part == TRAINING else 500
            tasks = generate(domain, seed, count, part)
            assert len({normalized(task.question) for task in tasks}) == count
            assert {(task.split, task.source) for task in tasks} == {(part.split, part.source)}
            by_part[part] = {_instance(domain, part, place, task) for place, task in enumerate(tasks)}
        shared = [one & other for i, one in enumerate(by_part.values()) for other in list(by_part.values())[:i]]
        assert len(shared) == 6
        assert not any(shared)

    def test_a_quarter_of_the_templates_of_each_difficulty_is_new(self, domain: str) -> None:
        found = Counter((template.steps, template.held_out) for template in TEMPLATES[domain])
        number = {"math": 8, "logic": 6}[domain]
        assert [found[steps, True] + found[steps, False] for steps in (1, 2, 3, 4)] == [number] * 4
        assert [found[steps, True] for steps in (1, 2, 3, 4)] == ([2, 2, 2, 2] if domain == "math" else [1, 2, 2, 1])
        assert len({template.name for template in TEMPLATES[domain]}) == 4 * number

    @pytest.mark.parametrize("part", [TRAINING, NEW_TEMPLATES])
    def test_most_steps_leaves_harder_templates_out(
        self, domain: str, part: Part, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        easy = generate(domain, 5, 60, part, most_steps=1)
        assert generate(domain, 5, 60, part, most_steps=4) == generate(domain, 5, 60, part) != easy
        monkeypatch.setitem(TEMPLATES, domain, tuple(one for one in TEMPLATES[domain] if one.steps == 1))
        assert generate(domain, 5, 60, part) == easy

    def test_two_thousand_golds_pass_and_agree_with_their_rationales(self, domain: str) -> None:
        agrees = by_number if domain == "math" else by_polarity
        for part in (TRAINING, NEW_TEMPLATES):
            tasks = generate(domain, 11, 1000, part)
            assert all(check.passed for check in check_golds(tasks))
            for task in tasks:
                assert agrees(task.question, task.rationale, task.answer), task
                assert not re.search(r"[<>`*]|the answer is", task.rationale)

    @pytest.mark.parametrize("part", [TRAINING, NEW_TEMPLATES])
    def test_the_record_is_complete(self, domain: str, part: Part) -> None:
        task = generate(domain, 0, 1, part)[0]
        assert task.id == task_id(domain, task.question)
        assert (task.domain, task.license, LICENSE) == (domain, LICENSE, "Apache-2.0")
        assert (SOURCES, task.source in SOURCES) == (("generated", "generated-new-templates"), True)

    def test_too_many_and_too_few_are_refused_in_one_line(self, domain: str) -> None:
        with pytest.raises(UserError, match=r"at most \d+.*found 100000"):
            generate(domain, 0, 100_000, TEST)
        with pytest.raises(UserError, match="found -1"):
            generate(domain, 0, -1)


def _instance(domain: str, part: Part, place: int, task: Task) -> str:
    own = [template for template in TEMPLATES[domain] if template.held_out == part.new_templates]
    template = own[place % len(own)]
    return f"{template.name} {re.findall(r'[0-9]+', task.question) if template.by_numbers else task.question}"


@pytest.mark.parametrize("template", [*templates("math"), *templates("logic")])
class TestEachTemplate:
    def test_every_equation_of_a_rationale_is_right_and_new_to_the_reader(self, template: Template) -> None:
        """And there are enough of them; the answer is not said before it is computed."""
        operators = {"+": add, "-": sub, "x": mul, "/": Fraction}
        for draft in (template.draft(Random(seed), seed % 2 == 0) for seed in range(60)):
            found = re.findall(r"((?:\d+ [-+x/] )+\d+) = (\d+(?:/\d+)?)", draft.rationale)
            for left, right in found:
                value, *rest = left.split()
                value = Fraction(value)
                for operator, number in zip(rest[::2], rest[1::2], strict=True):
                    value = operators[operator](value, Fraction(number))
                assert value == Fraction(right), draft.rationale
            if not draft.answer.isalpha():
                assert len(found) >= template.steps - (template.name in ("fraction_left",)), draft.rationale
                if "/" not in draft.answer:
                    assert found[-1][1] == draft.answer

    def test_no_number_is_negative(self, template: Template) -> None:
        for seed in range(1500):
            assert not re.search(r"-\d", " ".join(template.draft(Random(seed), seed % 2 == 0))), seed

    def test_rationales_are_short(self, template: Template) -> None:
        limit = {1: 30, 2: 40, 3: 56, 4: 60}[template.steps]
        for seed in range(60):
            rationale = template.draft(Random(seed), seed % 2 == 0).rationale
            tokens = re.findall(r"[A-Za-z]+|\d|[^\sA-Za-z\d]", rationale)  # as small models read: digit by digit
            assert len(tokens) <= limit, rationale
            assert rationale.endswith(".")


@pytest.mark.parametrize("template", templates("logic"))
def test_the_words_of_a_logic_question_do_not_tell_its_answer(template: Template) -> None:
    """Naive Bayes over the words of 2,000 questions guesses about half of 1,000 others."""
    rng = Random(1)
    drawn = [template.draft(rng, i % 2 == 0) for i in range(3000)]
    texts = [(set(re.findall(r"\w+", draft.question.casefold())), draft.answer == "yes") for draft in drawn]
    yes, no = (
        Counter(word for words, truth in texts[:2000] if truth == kind for word in words) for kind in (True, False)
    )
    right = sum(
        (sum(log((yes[word] + 1) / (no[word] + 1)) for word in words) > 0) == truth for words, truth in texts[2000:]
    )
    assert 0.4 < right / 1000 < 0.6


def test_logic_is_balanced_in_every_template() -> None:
    for part in (TRAINING, *HELD_OUT):
        size = 6 if part.new_templates else 18
        tasks = generate("logic", 2, 10 * size, part)
        for template in range(size):
            answers = [task.answer for task in tasks[template::size]]
            assert answers.count("yes") == answers.count("no") == 5
