"""Coding answers: the code in them, and what a verdict becomes. The sandbox itself is tested under `tests/sandbox`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from thinkaloud.domains import coding
from thinkaloud.domains.coding import extract_code, score, score_many
from thinkaloud.records import Status, Task
from thinkaloud.sandbox import Job, Outcome, Verdict

TASK = Task(
    id="t",
    domain="coding",
    source="test",
    question="Write `double(n)`.",
    answer="def double(n):\n    return 2 * n",
    tests=("assert double(2) == 4", "assert double(3) == 6"),
    setup="import math",
)


@dataclass
class RecordingSandbox:
    """Gives the verdicts it was told to, and keeps what it was asked."""

    outcomes: list[Outcome]
    jobs: list[Job] = field(default_factory=list)
    num_batches: int = 0

    def run_batch(self, jobs: Sequence[Job]) -> list[Verdict]:
        self.jobs += jobs
        self.num_batches += 1
        return [Verdict(outcome=outcome, passed=1, total=2, detail="a\nb", seconds=0.1) for outcome in self.outcomes]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "\nx = 1\n"),
        ("```\nx = 1\n```", "\nx = 1\n"),
        ("Here it is:\n```py\nx = 1\n```\nDone.", "\nx = 1\n"),
        ("~~~\nx = 1\n~~~", "\nx = 1\n"),
        ("x = '```'", "x = '```'"),
        ("```python\nx = 1", None),
        ("```\nx = 1\n```\n```\nx = 2\n```", None),
        ("```\n\n```", None),
        (" \n", None),
    ],
)
def test_one_program_in_the_answer(answer: str, code: str | None) -> None:
    assert extract_code(answer) == code


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_a_verdict_becomes(outcome: Outcome) -> None:
    found = score(TASK, "", "x = 1", RecordingSandbox([outcome]))
    expected = {Outcome.PASS: Status.CORRECT, Outcome.INFRA_ERROR: Status.SANDBOX_ERROR}.get(outcome, Status.WRONG)
    assert found.status == expected
    assert found.value == (0.8 if outcome == Outcome.PASS else 0.0)
    assert "\n" not in found.explanation
    assert found.status.masked == (outcome == Outcome.INFRA_ERROR)


def test_a_batch_is_run_as_one_and_comes_back_in_order() -> None:
    sandbox = RecordingSandbox([Outcome.PASS, Outcome.WRONG])
    bare = Task(id="t", domain="coding", source="test", question="q", answer="x")
    items = [
        (TASK, "", "x = 1"),
        (TASK, "", "```\na\n```\n```\nb\n```"),
        (bare, "", "x = 1"),
        (TASK, "", "```\ny\n```"),
    ]
    statuses = [found.status for found in score_many(items, sandbox)]
    assert statuses == [Status.CORRECT, Status.NO_ANSWER, Status.UNSCORABLE, Status.WRONG]
    assert sandbox.num_batches == 1
    assert [(job.code, tuple(job.tests), job.setup) for job in sandbox.jobs] == [
        ("x = 1", TASK.tests, "import math"),
        ("\ny\n", TASK.tests, "import math"),
    ]


def test_huge_answers_are_not_run() -> None:
    sandbox = RecordingSandbox([])
    assert score(TASK, "", "#" * 100_001, sandbox).status == Status.WRONG
    assert sandbox.num_batches == 0


def test_in_the_sandbox_of_this_process() -> None:
    assert score(TASK, "", TASK.answer).status == Status.CORRECT
    assert score(TASK, "", "def double(n):\n    return 4").explanation.startswith("1 of 2 tests passed (wrong")
    assert coding.shared_sandbox() is coding.shared_sandbox()
