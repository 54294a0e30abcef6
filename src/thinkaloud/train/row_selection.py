"""Which sampled answers the cold start trains on: right, well-formed, short, one per task, no two alike.

The model's own right answers are a better target than rationales of other authors in one respect: they are near what
it writes already (STaR, arXiv 2203.14465; rejection sampling in DeepSeek-R1, arXiv 2501.12948, section 2.3.3). Short
ones are preferred because the first lengths set the length of the rollouts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from thinkaloud.config import ColdStartConfig
from thinkaloud.data.words import normalized
from thinkaloud.domains import Registry
from thinkaloud.domains.base import Domain
from thinkaloud.domains.untagged import read_answer_without_tags, without_code
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.parse import without_tags
from thinkaloud.records import Completion, Finish, RolloutGroup, Status, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A well-formed answer to a task, correct in a verifiable domain.

    `num_tokens` is its length in the contract's format, the end of turn included.
    """

    task_id: str
    reasoning: str
    answer: str
    reward: float
    num_tokens: int


def put_into_format(groups: Sequence[RolloutGroup], contract: PromptContract, registry: Registry) -> list[RolloutGroup]:
    """Unscored groups whose answers may stand outside the tags, as completions in the contract's format.

    A complete completion of a verifiable domain that does not keep the format becomes one that does, if it has an
    answer: its text is the reasoning (without code blocks where the answer is code). The others do not change.
    """

    def convert(completion: Completion, task: Task, domain: Domain) -> Completion:
        text = completion.text
        if completion.finish is Finish.LENGTH or contract.parse(text).reason is None:
            return completion
        answer = read_answer_without_tags(text, task, domain, contract.tags)
        reasoning = without_code(text) if domain.runs_code else text
        parts = [without_tags(part, contract.tags).strip() for part in (reasoning, answer or "")]
        return replace(completion, text=contract.render_completion(*parts)) if all(parts) else completion

    return [
        replace(
            group,
            completions=tuple(convert(one, group.task, registry[group.task.domain]) for one in group.completions),
        )
        if registry.is_verifiable(group.task.domain)
        else group
        for group in groups
    ]


def candidates_of(
    groups: Sequence[RolloutGroup], contract: PromptContract, registry: Registry, max_tokens: int
) -> Iterator[Candidate]:
    """The candidates among scored completions.

    Args:
        groups: Scored.
        contract: The run's; a teacher's text is read by it too.
        registry: The domains.
        max_tokens: Longer answers are left out.
    """
    for group in groups:
        verifiable = registry.is_verifiable(group.task.domain)
        for completion, score in zip(group.completions, group.scores, strict=True):
            parsed = contract.parse(completion.text, truncated=completion.finish is Finish.LENGTH)
            if parsed.reasoning is None or parsed.answer is None or score.status.masked:
                continue
            if verifiable and score.status is not Status.CORRECT:
                continue
            num_tokens = len(contract.encode_completion(parsed.reasoning, parsed.answer))
            if num_tokens <= max_tokens:
                yield Candidate(
                    task_id=group.task.id,
                    reasoning=parsed.reasoning,
                    answer=parsed.answer,
                    reward=score.reward,
                    num_tokens=num_tokens,
                )


def select(candidates: Sequence[Candidate], verifiable: bool, config: ColdStartConfig) -> list[Candidate]:
    """The rows of one domain, in the order in which their tasks were sampled.

    Args:
        candidates: Of one domain.
        verifiable: Whether they are correct; if not, the best `self_top_share` by reward count as right.
        config: The recipe's.

    Returns:
        For each task its shortest right answer whose reasoning no earlier row has, in words; answers over
        `self_length_percentile` of the right ones are left out.
    """
    right = candidates if verifiable else _best(candidates, config.self_top_share)
    if not right:
        return []
    lengths = sorted(candidate.num_tokens for candidate in right)
    longest = lengths[ceil(len(lengths) * config.self_length_percentile / 100) - 1]
    by_task: dict[str, list[Candidate]] = {}
    for candidate in right:
        if candidate.num_tokens <= longest:
            by_task.setdefault(candidate.task_id, []).append(candidate)
    chosen: dict[str, Candidate] = {}
    for own in by_task.values():
        for candidate in sorted(own, key=lambda one: one.num_tokens):
            if chosen.setdefault(normalized(candidate.reasoning), candidate) is candidate:
                break
    return list(chosen.values())


def _best(candidates: Sequence[Candidate], share: float) -> list[Candidate]:
    """The given share of the candidates, rounded up, by reward; more if the last of them have equals."""
    if not candidates:
        return []
    rewards = sorted((candidate.reward for candidate in candidates), reverse=True)
    least = rewards[ceil(len(rewards) * share) - 1]
    return [candidate for candidate in candidates if candidate.reward >= least]
