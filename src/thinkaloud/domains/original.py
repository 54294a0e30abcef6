"""The original write-up's measure of the graded domains, as plain as it stands there, for comparison.

    value = 0.3 length + 0.25 distinct words / words + 0.25 share of the question's words that the answer uses

Words are what white space separates, in lower case. Nothing guards it, and the reward bench shows what beats it: a
copied prompt, a list of keywords, shuffled words. `rewards.creative = "original"` chooses it; `graded` is the default.
"""

from __future__ import annotations

from thinkaloud.domains.base import DomainScore
from thinkaloud.domains.measures import ANSWER_WORDS, DIVERSITY, LENGTH, REASONING_WORDS, RELEVANCE, in_range
from thinkaloud.records import Status


def score_original(question: str, reasoning: str, answer: str) -> DomainScore:
    """The score of a completion by the original formulas.

    Args:
        question: the task's question, the source text included where there is one.
        reasoning: the text between the reasoning tags.
        answer: the text between the answer tags.

    Returns:
        A value in [0, 0.8] with its components `length`, `diversity` and `relevance`.
    """
    thought, said = len(reasoning.split()), answer.lower().split()
    asked, used = set(question.lower().split()), set(said)
    length = in_range(thought, *REASONING_WORDS) + in_range(len(said), *ANSWER_WORDS)
    components = {
        "length": LENGTH * length / 2,
        "diversity": DIVERSITY * len(used) / max(1, len(said)),
        "relevance": RELEVANCE * len(asked & used) / max(1, len(asked)),
    }
    explanation = f"reasoning {thought} words, answer {len(said)} words; original formulas"
    return DomainScore(
        value=sum(components.values()), status=Status.GRADED, components=components, explanation=explanation
    )
