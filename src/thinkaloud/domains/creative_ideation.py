"""Creative ideation: ideas on a question, often as a list, so fewer function words than prose."""

from __future__ import annotations

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore
from thinkaloud.domains.heuristic import Graded, score_graded
from thinkaloud.records import Task

SPEC = Graded(function=(0.02, 0.10), lists=True, vague=(0.6, 0.4))


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    return score_graded(SPEC, task.question, reasoning, answer)


DOMAIN = Domain(
    name="creative_ideation",
    kind="heuristic",
    description="0.3 length + 0.25 lexical diversity + 0.25 relevance to the question, guarded against made-up text",
    score=score,
)
