"""Creative writing: a story, scene or poem on a prompt."""

from __future__ import annotations

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore
from thinkaloud.domains.heuristic import Graded, score_graded
from thinkaloud.records import Task

SPEC = Graded()


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    return score_graded(SPEC, task.question, reasoning, answer)


DOMAIN = Domain(
    name="creative_writing",
    kind="heuristic",
    description="0.3 length + 0.25 lexical diversity + 0.25 relevance to the prompt, guarded against made-up text",
    score=score,
)
