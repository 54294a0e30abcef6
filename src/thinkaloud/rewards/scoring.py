"""Scores completions: first the format gate, then the domain.

reward = 0                     where the format is invalid, or the completion is truncated
reward = 0.2 + domain score    otherwise, the domain score in [0, 0.8]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from thinkaloud.domains import BUILTIN, DomainScore, Registry
from thinkaloud.domains.base import CodeRunner, Creative, Item
from thinkaloud.domains.original import score_original
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.parse import OutsideText, Parsed, Reason, parse_completion
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task

FORMAT = 0.2
"""The reward of a valid format, whatever the answer."""


GroupScorer = Callable[[Sequence[RolloutGroup]], list[RolloutGroup]]
"""Returns the groups with their scores."""


def score_groups(
    groups: Sequence[RolloutGroup],
    *,
    contract: PromptContract | None = None,
    sandbox: CodeRunner | None = None,
    creative: Creative = "guarded",
    registry: Registry = BUILTIN,
) -> list[RolloutGroup]:
    """The groups with a score for each completion; see `score_batch`, which scores all of them as one batch."""
    scores = iter(
        score_batch(
            [group.task for group in groups for _ in group.completions],
            [completion for group in groups for completion in group.completions],
            contract=contract,
            sandbox=sandbox,
            creative=creative,
            registry=registry,
        )
    )
    return [replace(group, scores=tuple(next(scores) for _ in group.completions)) for group in groups]


def score(
    task: Task,
    completion: Completion,
    *,
    contract: PromptContract | None = None,
    outside_text: OutsideText | None = None,
    sandbox: CodeRunner | None = None,
    creative: Creative = "guarded",
) -> Score:
    """The score of one completion; see `score_batch`, which is faster for many."""
    return score_batch(
        [task], [completion], contract=contract, outside_text=outside_text, sandbox=sandbox, creative=creative
    )[0]


def score_batch(
    tasks: Sequence[Task],
    completions: Sequence[Completion],
    *,
    contract: PromptContract | None = None,
    outside_text: OutsideText | None = None,
    sandbox: CodeRunner | None = None,
    creative: Creative = "guarded",
    registry: Registry = BUILTIN,
) -> list[Score]:
    """Scores of completions, in order; coding completions run as one batch in the sandbox.

    Args:
        tasks: The task of each completion (a group repeats its task).
        completions: Model output; `finish` says whether it was truncated.
        contract: Its tags and its rule for outside text are used for parsing; the defaults when absent.
        outside_text: Overrides the contract's rule, to report rates under both.
        sandbox: Where code is run; when absent, a sandbox of this process is started if needed.
        creative: How the heuristic domains are scored; `original` is for comparison.
        registry: The domains; those of a recipe are `registry_of(recipe)`.

    Returns:
        One score per completion. Its components sum to its reward.

    Raises:
        UserError: A task's domain is unknown.
        ValueError: The lengths differ.
    """
    if len(tasks) != len(completions):
        raise ValueError(f"expected as many completions as tasks, found {len(completions)} and {len(tasks)}")
    scores: list[Score | None] = [None] * len(tasks)
    items: dict[str, list[tuple[int, Item]]] = {}
    for index, (task, completion) in enumerate(zip(tasks, completions, strict=True)):
        name = registry.domain(task.domain).name
        parsed = _parse(completion, contract, outside_text)
        if parsed.reasoning is None or parsed.answer is None:
            scores[index] = _invalid(parsed)
        else:
            items.setdefault(name, []).append((index, (task, parsed.reasoning, parsed.answer)))
    for name, entries in items.items():
        chosen = [item for _, item in entries]
        if creative == "original" and not registry.needs_gold(name):
            found = [score_original(task.question, reasoning, answer) for task, reasoning, answer in chosen]
        else:
            found = registry[name].score_batch(chosen, sandbox)
        for (index, _), domain_score in zip(entries, found, strict=True):
            scores[index] = _valid(domain_score)
    return [found for found in scores if found is not None]


def is_masked(score: Score, mask_truncated: bool) -> bool:
    """Whether a completion is left out of advantages and loss."""
    return score.status.masked or (mask_truncated and score.status is Status.TRUNCATED)


def _parse(completion: Completion, contract: PromptContract | None, outside_text: OutsideText | None) -> Parsed:
    return parse_completion(
        completion.text,
        truncated=completion.finish == Finish.LENGTH,
        outside_text=outside_text or (contract.outside_text if contract else "reject"),
        tags=contract.tags if contract else None,
    )


def _invalid(parsed: Parsed) -> Score:
    truncated = parsed.reason == Reason.TRUNCATED
    return Score(
        reward=0.0,
        status=Status.TRUNCATED if truncated else Status.BAD_FORMAT,
        reason=str(parsed.reason),
        explanation="cut off at the token limit" if truncated else f"format: {str(parsed.reason).replace('_', ' ')}",
    )


def _valid(found: DomainScore) -> Score:
    if found.status.masked:
        return Score(reward=0.0, status=found.status, explanation=found.explanation)
    return Score(
        reward=FORMAT + found.value,
        status=found.status,
        components={"format": FORMAT, **found.components},
        explanation=found.explanation,
    )
