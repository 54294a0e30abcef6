"""The gate, the breakdown, the states; and how fast."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from thinkaloud.errors import UserError
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Completion, Finish, Score, Status, Task
from thinkaloud.rewards import score, score_batch
from thinkaloud.sandbox import Job, Outcome, Verdict

MATH = Task(id="m", domain="math", source="test", question="What is 6 * 7?", answer="42")
CODE = Task(id="c", domain="coding", source="test", question="Write f.", answer="f", tests=("assert f() == 1",))
STORY = Task(id="s", domain="creative_writing", source="test", question="Write about a keeper and a whale.", answer="x")


def completion(answer: str, reasoning: str = "think", finish: Finish = Finish.STOP) -> Completion:
    text = f"<reasoning>{reasoning}</reasoning>\n<answer>{answer}</answer>"
    return Completion(text=text, finish=finish)


class OneVerdict:
    """A sandbox that says the same of every program, and counts its batches."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.sizes: list[int] = []

    def run_batch(self, jobs: Sequence[Job]) -> list[Verdict]:
        self.sizes.append(len(jobs))
        return [Verdict(outcome=self.outcome, passed=0, total=1, detail="", seconds=0.0) for _ in jobs]


def test_right_wrong_and_none() -> None:
    assert score(MATH, completion("42")) == Score(
        reward=1.0,
        status=Status.CORRECT,
        components={"format": 0.2, "correctness": 0.8},
        explanation="the same as '42'",
    )
    wrong = score(MATH, completion("41"))
    assert (wrong.reward, wrong.status, wrong.reason) == (0.2, Status.WRONG, None)
    assert wrong.components == {"format": 0.2, "correctness": 0.0}
    nothing = score(MATH, completion("I do not know"))
    assert (nothing.reward, nothing.status) == (0.2, Status.NO_ANSWER)


def test_an_invalid_format_earns_nothing() -> None:
    found = score(MATH, Completion(text="42"))
    assert found == Score(
        reward=0.0, status=Status.BAD_FORMAT, reason="missing_reasoning", explanation="format: missing reasoning"
    )


def test_reasoning_without_an_answer_is_an_invalid_format() -> None:
    found = score(MATH, Completion(text="<reasoning>think</reasoning>"))
    assert (found.reward, found.status, found.reason) == (0.0, Status.BAD_FORMAT, "missing_answer")


def test_a_truncated_completion_earns_nothing_even_when_it_looks_whole() -> None:
    found = score(MATH, completion("42", finish=Finish.LENGTH))
    assert (found.reward, found.status, found.reason) == (0.0, Status.TRUNCATED, "truncated")


def test_masked_states() -> None:
    broken = score(CODE, completion("f = 1"), sandbox=OneVerdict(Outcome.INFRA_ERROR))
    assert (broken.reward, broken.status, broken.components) == (0.0, Status.SANDBOX_ERROR, {})
    untested = score(Task(id="c", domain="coding", source="t", question="q", answer="f"), completion("f = 1"))
    assert (untested.reward, untested.status) == (0.0, Status.UNSCORABLE)
    assert broken.status.masked
    assert untested.status.masked


def test_graded_components_sum_to_the_reward() -> None:
    answer = "The keeper turned the lamp away from the ships and held it steady until the whale had found the gap."
    for text in (answer, answer[:40], answer * 3, "word " * 50):
        found = score(STORY, completion(text, reasoning=answer))
        assert found.status == Status.GRADED
        assert set(found.components) == {"format", "length", "diversity", "relevance"}
        assert sum(found.components.values()) == pytest.approx(found.reward)


def test_the_original_formulas_score_heuristic_domains_only() -> None:
    padded = completion("keeper whale lamp " * 40)
    (math,) = score_batch([MATH], [completion("42")], creative="original")
    (story,) = score_batch([STORY], [padded], creative="original")
    assert math.status == Status.CORRECT
    assert story.reward != score(STORY, padded).reward


def test_outside_text_by_contract_or_by_hand() -> None:
    chatty = Completion(text="Sure! " + completion("42").text)
    lax = PromptContract.build(byte_tokenizer(), template="gemma", outside_text="allow")
    assert score(MATH, chatty).reason == "text_outside"
    assert score(MATH, chatty, contract=lax).reward == 1.0
    assert score(MATH, chatty, contract=lax, outside_text="reject").reason == "text_outside"
    assert score(MATH, chatty, outside_text="allow").reward == 1.0


def test_a_batch_is_in_order_and_runs_its_code_at_once() -> None:
    sandbox = OneVerdict(Outcome.PASS)
    tasks = [CODE, MATH, CODE, STORY, MATH, CODE]
    answers = ["f = 1", "42", "f = 2", "x", "7", "```\nf = 3\n```"]
    scores = score_batch(tasks, [completion(answer) for answer in answers], sandbox=sandbox)
    assert [s.status for s in scores] == ["correct", "correct", "correct", "graded", "wrong", "correct"]
    assert sandbox.sizes == [3]
    assert score_batch([], []) == []


def test_mistakes_of_the_caller() -> None:
    with pytest.raises(ValueError, match="0 and 1"):
        score_batch([MATH], [])
    unknown = Task(id="x", domain="poetry", source="test", question="q", answer="a")
    with pytest.raises(UserError, match="'poetry'"):
        score(unknown, completion("x"))


def test_importing_is_light() -> None:
    """Neither JAX nor SymPy nor the sandbox, until something needs them."""
    heavy = "{'jax', 'numpy', 'sympy', 'math_verify', 'thinkaloud.sandbox', 'tokenizers', 'pydantic'}"
    program = f"import sys, thinkaloud.rewards; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
