"""Summarization: the source in fewer words, and in other ones: a copied line is no summary."""

from __future__ import annotations

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore
from thinkaloud.domains.heuristic import Graded, score_graded
from thinkaloud.records import Task

SPEC = Graded(copy=(0.8, 0.5), step=(0.9, 0.7), grounded=0.4, novelty=None, shorter=(1.0, 0.75), asks=False)


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    return score_graded(SPEC, task.question, reasoning, answer)


DOMAIN = Domain(
    name="summarization",
    kind="heuristic",
    description="0.3 length + 0.25 lexical diversity + 0.25 relevance to the source, guarded against copied text",
    score=score,
)
