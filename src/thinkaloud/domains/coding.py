"""Coding: all tests pass, in the sandbox.

Nothing that a model wrote is run, parsed or compiled in this process: the answer's text goes to `thinkaloud.sandbox`,
and its verdict comes back.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Sequence

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, unscorable, wrong
from thinkaloud.errors import UserError
from thinkaloud.records import Status, Task

MAX_CHARS = 100_000
"""Longer answers are not run."""

_FENCE = re.compile(r"^[ \t]{0,3}(```+|~~~+)[^\n`]*$", re.MULTILINE)
_shared: dict[int, CodeRunner] = {}


def extract_code(answer: str) -> str | None:
    """The program in an answer: the one fenced block if there is a fence, else the whole text.

    Args:
        answer: the text between the answer tags.

    Returns:
        The code, or None where there is none: an empty answer, an unclosed fence, or more than one block.
    """
    fences = list(_FENCE.finditer(answer))
    if not fences:
        return answer if answer.strip() else None
    if len(fences) != 2 or fences[0][1] != fences[1][1]:
        return None
    code = answer[fences[0].end() : fences[1].start()]
    return code if code.strip() else None


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """Full marks where every test passes."""
    return score_many([(task, reasoning, answer)], sandbox)[0]


def score_many(items: Sequence[tuple[Task, str, str]], sandbox: CodeRunner | None = None) -> list[DomainScore]:
    """Scores of (task, reasoning, answer) items in order, their programs run as one batch.

    Args:
        items: what to score.
        sandbox: where to run them; without one a sandbox of this process is started and kept.
    """
    scores: list[DomainScore | None] = [None] * len(items)
    jobs: list[tuple[int, str]] = []
    for index, (task, _, answer) in enumerate(items):
        if not task.tests:
            scores[index] = unscorable("the task has no tests")
        elif len(answer) > MAX_CHARS:
            scores[index] = wrong(f"expected at most {MAX_CHARS:,} characters of code, found {len(answer):,}")
        elif (code := extract_code(answer)) is None:
            scores[index] = no_answer("expected plain code or one fenced block")
        else:
            jobs.append((index, code))
    if jobs:
        from thinkaloud.sandbox import Job

        batch = [Job(code=code, tests=items[i][0].tests, setup=items[i][0].setup) for i, code in jobs]
        verdicts = (sandbox or shared_sandbox()).run_batch(batch)
        for (index, _), verdict in zip(jobs, verdicts, strict=True):
            scores[index] = _from_verdict(str(verdict.outcome), verdict.passed, verdict.total, verdict.detail)
    return [score for score in scores if score is not None]


def _from_verdict(outcome: str, passed: int, total: int, detail: str) -> DomainScore:
    summary = f"{passed} of {total} tests passed"
    if outcome == "pass":
        return correct(summary)
    line = " ".join(detail.split())[:200]
    if outcome == "infra_error":
        return DomainScore(value=0.0, status=Status.SANDBOX_ERROR, explanation=f"the sandbox failed: {line}")
    return wrong(f"{summary} ({outcome}{': ' if line else ''}{line})")


def shared_sandbox() -> CodeRunner:
    """The sandbox of this process, started when first needed and closed at exit.

    Raises:
        UserError: this machine cannot contain a program.
    """
    if os.getpid() not in _shared:  # a forked child must not talk on its parent's channels
        from thinkaloud.sandbox import Sandbox, SandboxUnavailable

        sandbox = Sandbox()
        try:
            _shared[os.getpid()] = sandbox.start()
        except SandboxUnavailable as error:
            raise UserError(f"expected a sandbox to run coding answers in, found none: {error}") from error
        atexit.register(sandbox.close)
    return _shared[os.getpid()]


DOMAIN = Domain(
    name="coding",
    kind="verifiable",
    description="all tests pass in the sandbox; the answer is plain code or one fenced block",
    score=score,
    score_many=score_many,
    runs_code=True,
)
