"""The judge's share of a reward, by hand; one scale per group; which answers are judged."""

from __future__ import annotations

import pytest

from thinkaloud.judge import Marks, Outcome, Ruling, answer_of, paid
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Score, Status, Task

STORY, OTHER = (
    Task(id=name, domain="creative_writing", source="s", question="Write.", answer="x") for name in ("one", "two")
)
SCORE = Score(
    reward=0.6,
    status=Status.GRADED,
    components={"format": 0.2, "length": 0.2, "diversity": 0.1, "relevance": 0.1},
    explanation="words",
)
JUDGED = Ruling(outcome=Outcome.JUDGED, marks=Marks(reasoning=1, answer=10, overall=4))
FAILED, SILENT = Ruling(outcome=Outcome.FAILED, why="no mark"), Ruling(outcome=Outcome.SILENT, why="budget")


def test_shares_by_hand() -> None:
    (found,) = paid([STORY], [SCORE], [JUDGED], 0.25)
    assert found.status is Status.GRADED
    assert found.components == pytest.approx(
        {
            **{"format": 0.2, "length": 0.15, "diversity": 0.075, "relevance": 0.075},
            **{"judge_reasoning": 0.0, "judge_answer": 0.2 / 3, "judge_overall": 0.2 / 3 * 3 / 9},
        }
    )
    assert found.reward == pytest.approx(0.2 + 0.75 * 0.4 + 0.25 * 0.8 * (9 + 3) / 27)
    assert found.reward == pytest.approx(sum(found.components.values()))
    assert found.explanation == "words; judge: reasoning 1, answer 10, overall 4 of 10"
    best = Ruling(outcome=Outcome.JUDGED, marks=Marks(reasoning=10, answer=10, overall=10))
    assert paid([STORY], [SCORE], [best], 1.0)[0].reward == pytest.approx(1.0)
    worst = Ruling(outcome=Outcome.JUDGED, marks=Marks(reasoning=1, answer=1, overall=1))
    assert paid([STORY], [SCORE], [worst], 1.0)[0].reward == pytest.approx(0.2)


def test_failed_judging_is_masked_and_never_scored_zero() -> None:
    (found,) = paid([STORY], [SCORE], [FAILED], 0.5)
    assert (found.status, found.components) == (Status.UNSCORABLE, {})
    assert found.status.masked
    assert found.explanation == "the judge gave no marks: no mark"


def test_a_group_is_scored_on_one_scale() -> None:
    tasks = [STORY] * 3 + [OTHER] * 2
    found = paid(tasks, [SCORE] * 5, [JUDGED, SILENT, FAILED, JUDGED, FAILED], 0.5)
    assert found[:3] == [SCORE] * 3, "one of them is silent"
    assert found[3].reward != SCORE.reward
    assert found[4].status is Status.UNSCORABLE
    broken = Score(reward=0.0, status=Status.BAD_FORMAT)
    assert paid([STORY], [broken], [None], 1.0) == [broken]


def test_what_there_is_to_judge() -> None:
    contract = PromptContract.build(byte_tokenizer(), template="gemma")
    text = "<reasoning>plan</reasoning><answer>story</answer>"
    found = answer_of("Write.", text, "stop", contract)
    assert found is not None
    assert (found.question, found.reasoning, found.answer) == ("Write.", "plan", "story")
    assert answer_of("Write.", text, "length", contract) is None
    assert answer_of("Write.", text + " and more", "stop", contract) is None
