"""Kinds of math answers as data: `cases/math.jsonl`, and ways of hedging, denying or changing any answer."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.domains.math import score
from thinkaloud.records import Task

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "math.jsonl").read_text("utf-8").splitlines()]


def is_paid(gold: str, answer: str, question: str = "What is the value?") -> bool:
    task = Task(id="t", domain="math", source="test", question=question, answer=gold)
    return score(task, "", answer).value > 0


def kinds() -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for case in CASES:
        found[case["kind"]].append(case)
    return dict(found)


@pytest.mark.parametrize("kind", kinds())
def test_cases(kind: str) -> None:
    misjudged = [
        case
        for case in kinds()[kind]
        if is_paid(case["gold"], case["answer"], case.get("question", "What is the value?")) != case["paid"]
    ]
    assert misjudged == []


GOLDS = (
    "x^2 + 3x + 2", "(4, 7)", "[4, 7)", "\\{4, 7\\}", "y = 3x - 2", "5\\sqrt{2}", "4:9", "6:20 pm", "z \\ge 6",
    "4 hours 10 minutes", "\\begin{pmatrix}4&7\\\\1&0\\end{pmatrix}", "4 or 7", "\\frac{4}{9}", "-6", "35%", "$19",
    "8 km", "x = 9", "1-\\frac{1}{3^{50}}", "52",
    "K:L = 4:9", "PQ = 9", "a=4, b=7; a=7, b=4", "4<g(x)<7", "\\frac{PQ}{RS} = \\frac{4}{9}",
)  # fmt: skip


@pytest.mark.parametrize("gold", GOLDS)
def test_the_gold_answer_is_paid_in_words_and_in_a_box(gold: str) -> None:
    for answer in (gold, f"The answer is {gold}.", f"\\boxed{{{gold}}}", f"**{gold}**", f"So the answer is: {gold}"):
        assert is_paid(gold, answer), answer


SPOILT = (
    "not {}", "{} is wrong", "{} or something", "{} or 99", "{}, 99", "{} and 99", "about {}", "~~{}~~", "at least {}",
    "over {}", "greater than {}", "{} is incorrect", "-({})", "{}?", "maybe {}", "99 {}", "{} 99", "{} x", "{} \\pi",
    "2({})", "\\sqrt{{{}}}", "1/({})", "{} + 1", "{} - z", "pencil = {}", "{} = 99", "99 = {}", "{} < 99", "{} \\ne 99",
    "anything but {}", "({}", "{})]", "I reject {}", "{} - no", "half of {}", "twice {}", "{} squared",
)  # fmt: skip


@pytest.mark.parametrize("gold", GOLDS)
def test_a_spoilt_answer_is_never_paid(gold: str) -> None:
    assert [way for way in SPOILT if is_paid(gold, way.format(gold))] == []
