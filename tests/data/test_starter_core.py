"""The starter tasks of the four verifiable domains: counts, form, and every gold answer checked a second time.

Math answers are recomputed from the list of sums below; reference programs run in the sandbox; every gold answer has
to satisfy the domain's own scorer.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import thinkaloud
from thinkaloud.data.generators import generate
from thinkaloud.domains import BUILTIN, FULL
from thinkaloud.domains.choices import with_options
from thinkaloud.records import SPLITS, Status, Task, task_id
from thinkaloud.sandbox import Job, Sandbox

CORE = ("math", "logic", "coding", "science")
STARTER = Path(thinkaloud.__file__).parent / "data" / "starter"
FIELDS = {"question", "answer", "rationale", "split"}

MATH_SUMS: tuple[float | Fraction, ...] = (
    *(3 + 4, 9 - 2, 6 * 3, 12 / 4, 8 + 7, 20 - 6, 7 * 5, 18 / 2, 10 + 3, 13 + 13, 7 + 7, 4 * 8, 9 * 2, 4 + 9),
    *(8 + 2, 15 - 4, 3 - 8, 5 + 6, 30 / 5, 10 - 6, 3 + 5),
    *(24 + 18 - 30, 2 * 6 + 3 * 4, 5 * 12 - 8, 90 / 6, (45 + 6) / 3, math.ceil(47 / 6)),
    *(80 * 25 / 100, 60 * (100 - 20) / 100, 100 * 18 / 30, 500 + 500 / 10),
    *(Fraction(1, 4) + Fraction(1, 2), Fraction(2, 3) * 27, Fraction(8 - 3, 8), Fraction(6, 9)),
    *(Fraction(1, 2) * Fraction(1, 5), 4 * Fraction(3, 4)),
    *(21 - 9, (11 + 4) / 3, (31 - 7) / 2, (20 + 4) / 2),
    *(8 * 5, 4 * 7, 180 - 50 - 60, 10 * 6 / 2, 4 * 3 * 2, 14 / 2),
    *((4 + 9 + 14) / 3, (7 + 9 + 10 + 4) / 4, sorted((3, 11, 5, 8, 6))[2]),
    *(3.5 * 100, 2500 / 1000, 4 * 60, 15 * 3, 27 * 3, 5 - 3.25, 300 / 20, 15 / 5 * 4),
    *(6 * 60 + 40 + 95 - 8 * 60, 11 * 60 + 45 - 9 * 60 - 15, 25 * 6 / 60),
    *(math.gcd(12, 18), 29 % 4, Fraction(3, 3 + 5)),
)
"""What each math task comes to, in the order of the file."""

Row = dict[str, Any]


def load(name: str) -> list[Row]:
    lines = (STARTER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def as_task(name: str, row: Row) -> Task:
    choices = tuple(row.get("choices", ()))
    question = with_options(row["question"], choices) if choices else row["question"]
    return Task(
        id=task_id(name, question, choices),
        domain=name,
        source="starter",
        question=question,
        answer=row["answer"],
        choices=choices,
        tests=tuple(row.get("tests", ())),
        setup=row.get("setup", ""),
    )


def asked(row: Row) -> str:
    """What is special to a question: a coding task without the words that all of them share."""
    return re.sub(r"^Write a Python function|\nExample: assert", "", row["question"])


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def likeness(left: str, right: str) -> float:
    one, other = words(left), words(right)
    return len(one & other) / len(one | other)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.mark.parametrize("name", CORE)
def test_sixty_four_tasks_are_split_44_10_10(name: str) -> None:
    rows = load(name)
    assert Counter(row["split"] for row in rows) == {"train": 44, "validation": 10, "test": 10}
    optional = {"coding": {"tests", "setup"}, "science": {"choices"}}.get(name, set())
    assert all(FIELDS <= set(row) <= FIELDS | optional for row in rows)


@pytest.mark.parametrize("name", CORE)
def test_rationales_are_one_plain_paragraph_of_21_to_38_words(name: str) -> None:
    rows = load(name)
    for row in rows:
        text = row["rationale"]
        assert 21 <= len(text.split()) <= 38, text
        assert text == " ".join(text.split())
        assert text[0].isupper()
        assert text.endswith(".")
        assert not re.search(r"[<>`*#]|answer", text), text
    assert len({row["rationale"] for row in rows}) == 64
    assert max(Counter(" ".join(row["rationale"].split()[:3]) for row in rows).values()) <= 4


@pytest.mark.parametrize("name", CORE)
def test_questions_are_short_and_free_of_tags(name: str) -> None:
    for row in load(name):
        assert 3 <= len(row["question"].split()) <= 60
        assert row["question"] == row["question"].strip()
        assert row["answer"] == row["answer"].strip() != ""
        assert not re.search(r"<\w|</|<start|<end", row["question"] + row["answer"])


@pytest.mark.parametrize("name", CORE)
def test_no_two_tasks_are_alike(name: str) -> None:
    rows = load(name)
    assert len({as_task(name, row).id for row in rows}) == 64
    for one, other in combinations(rows, 2):
        limit = 0.6 if one["split"] == other["split"] else 0.55
        assert likeness(asked(one), asked(other)) < limit, (one["question"], other["question"])
    for left, right in combinations(SPLITS, 2):
        forms = [{re.sub(r"\d+", "0", asked(row)) for row in rows if row["split"] == split} for split in (left, right)]
        assert not forms[0] & forms[1], "only the numbers differ between two splits"


@pytest.mark.parametrize("name", ["math", "logic", "science"])
def test_gold_answers_earn_full_marks_from_their_own_scorer(name: str) -> None:
    for row in load(name):
        score = BUILTIN[name].score(as_task(name, row), row["rationale"], row["answer"], None)
        assert (score.status, score.value) == (Status.CORRECT, FULL), (row["question"], score.explanation)


def test_no_wrong_option_and_no_opposite_earns_anything() -> None:
    for name in ("science", "logic"):
        for row in load(name):
            others = {"yes", "no"} if name == "logic" else set(row.get("choices", ()))
            for other in others - {row["answer"]}:
                score = BUILTIN[name].score(as_task(name, row), row["rationale"], other, None)
                assert (score.status, score.value) == (Status.WRONG, 0.0), (row["question"], other)


def test_math_answers_equal_an_independent_recomputation() -> None:
    rows = load("math")
    assert len(MATH_SUMS) == len(rows)
    for row, expected in zip(rows, MATH_SUMS, strict=True):
        number = re.sub(r"^\$|%$| cm$", "", row["answer"])
        assert Fraction(number) == Fraction(expected), row["question"]
        assert re.search(rf"(?<![\d/.]){re.escape(number)}(?![\d/]|\.\d)", row["rationale"]), row["rationale"]


def test_math_answers_come_in_several_forms() -> None:
    answers = [row["answer"] for row in load("math")]
    assert sum(bool(re.fullmatch(r"-?\d+", text)) for text in answers) >= 45
    assert sum("/" in text for text in answers) >= 4
    assert sum("." in text for text in answers) >= 3
    assert sum(bool(re.search(r"[$%]| cm", text)) for text in answers) >= 3


def test_logic_is_balanced_in_every_split() -> None:
    rows = load("logic")
    assert all(row["question"].endswith("?") for row in rows)
    counts = Counter((row["split"], row["answer"]) for row in rows)
    assert counts == {
        (split, word): n for split, n in (("train", 22), *((s, 5) for s in SPLITS[1:])) for word in ("yes", "no")
    }


def test_science_options_hold_the_right_one_in_balanced_places() -> None:
    rows = load("science")
    places: Counter[int] = Counter()
    for row in rows:
        if "choices" not in row:
            assert len(row["answer"].split()) <= 2
            continue
        assert 3 <= len(row["choices"]) <= 5
        assert len({text.lower() for text in row["choices"]}) == len(row["choices"])
        assert row["choices"].count(row["answer"]) == 1
        assert "\n" not in row["question"]
        places[row["choices"].index(row["answer"])] += 1
    assert sum(places.values()) == 56
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) - min(places.values()) <= 2
    free = Counter(row["split"] for row in rows if "choices" not in row)
    assert all(free[split] for split in SPLITS)


def test_coding_questions_name_the_function_and_show_the_first_test_only() -> None:
    for row in load("coding"):
        signature = re.match(r"Write a Python function `(\w+)\(([\w, ]+)\)` that ", row["question"])
        assert signature, row["question"]
        assert row["answer"].startswith(f"def {signature[1]}({signature[2]}):\n")
        assert len(row["answer"].splitlines()) <= 7
        assert 3 <= len(row["tests"]) <= 5
        assert len(set(row["tests"])) == len(row["tests"])
        assert all(test.startswith(f"assert {signature[1]}(") for test in row["tests"])
        assert row["question"].endswith(f".\nExample: {row['tests'][0]}")
        assert not any(test in row["question"] for test in row["tests"][1:])


def test_reference_programs_pass_all_their_tests(sandbox: Sandbox) -> None:
    rows = load("coding")
    verdicts = sandbox.run_batch([Job(code=row["answer"], tests=row["tests"], setup=row["setup"]) for row in rows])
    failed = [(row["answer"], verdict) for row, verdict in zip(rows, verdicts, strict=True) if not verdict.ok]
    assert failed == []


def test_programs_that_repeat_the_shown_example_pass_no_task(sandbox: Sandbox) -> None:
    """The hidden tests tell a solution from a function that returns what the question shows."""
    jobs = []
    for row in load("coding"):
        name = row["answer"][4 : row["answer"].index("(")]
        shown = row["tests"][0].rpartition(" == ")[2]
        jobs.append(Job(code=f"def {name}(*arguments):\n    return {shown}", tests=row["tests"]))
    verdicts = sandbox.run_batch(jobs)
    assert [verdict.passed for verdict in verdicts].count(0) == 0, "the example itself is right"
    assert not any(verdict.ok for verdict in verdicts)


def test_generators_never_repeat_a_starter_question() -> None:
    for name in ("math", "logic"):
        written = {row["question"] for row in load(name)}
        assert not written & {task.question for task in generate(name, 0, 1000)}
