"""The original formulas, by hand."""

from __future__ import annotations

import pytest

from thinkaloud.domains.original import score_original
from thinkaloud.records import Completion, Task
from thinkaloud.rewards import score


def test_the_parts_by_hand() -> None:
    found = score_original("a b c d", "word " * 10, "a b a b a b a b x x")
    assert found.components == pytest.approx({"length": 0.075 + 0.15, "diversity": 0.25 * 3 / 10, "relevance": 0.125})
    assert found.value == pytest.approx(sum(found.components.values()))


def test_a_copied_prompt_earns_full_marks_and_only_there() -> None:
    question = "Write a short story about an old lighthouse keeper who finds one lost whale"
    task = Task(id="t", domain="creative_writing", source="test", question=question, answer="x")
    copied = Completion(text=f"<reasoning>{'word ' * 20}</reasoning><answer>{question}</answer>")
    assert score(task, copied, creative="original").reward == pytest.approx(1.0)
    assert score(task, copied).reward < 0.5
    nothing = score_original("", "", "")
    assert nothing.value == 0.0
