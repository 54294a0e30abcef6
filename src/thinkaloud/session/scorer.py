"""The scorer of GRPO and evaluation: the verifiers, the sandbox, and optionally a judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.distributed.agreement import from_first, is_first, share
from thinkaloud.domains import registry_of
from thinkaloud.errors import UserError
from thinkaloud.judge import Judge, answer_of, paid
from thinkaloud.judge.records import Ruling
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import RolloutGroup, Score
from thinkaloud.rewards.scoring import GroupScorer, score_groups
from thinkaloud.sandbox import Sandbox, SandboxUnavailable


@contextmanager
def open_scorer(recipe: Recipe, contract: PromptContract) -> Iterator[tuple[GroupScorer, str]]:
    """A scorer of groups under a contract, and the level of the sandbox that runs coding answers.

    Yields:
        (scorer, level); the level is "not needed" if no domain runs code. Several processes divide the groups among
        themselves; each of them returns all.

    Raises:
        UserError: Code would have to run on a machine that cannot contain it.
    """
    sandbox: Any = None
    registry = registry_of(recipe)
    registry.load_scorers()
    if any(registry[name].runs_code for name in recipe.data.domains):
        try:
            sandbox = Sandbox(
                num_workers=recipe.rewards.sandbox_workers or None,
                allow_unsandboxed=recipe.rewards.allow_unsandboxed,
            ).start()
        except SandboxUnavailable as error:
            raise UserError(
                f"{error}; or remove coding from data.domains, or set rewards.allow_unsandboxed = true"
            ) from error

    def score(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        def score_rows(rows: range) -> list[tuple[Score, ...]]:
            own = groups[rows.start : rows.stop]
            scored = score_groups(
                own, contract=contract, sandbox=sandbox, creative=recipe.rewards.creative, registry=registry
            )
            return [group.scores for group in scored]

        scores = share(len(groups), score_rows, tuple[Score, ...])
        return [replace(group, scores=own) for group, own in zip(groups, scores, strict=True)]

    try:
        yield score, str(sandbox.level) if sandbox else "not needed"
    finally:
        if sandbox:
            sandbox.close()


def with_judge(
    score: GroupScorer,
    judge: Judge,
    recipe: Recipe,
    contract: PromptContract,
    interrupt: Callable[[], None],
    raises: Sequence[type[Exception]] = (),
) -> GroupScorer:
    """`score` with the judge's marks as a part of the reward. The judge works while code runs in the sandbox.

    Args:
        interrupt: Called repeatedly while waiting for the judge; an exception from it ends the wait.
        raises: Those exceptions, which are raised in all processes.
    """

    registry = registry_of(recipe)

    def both(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        answers = [
            None
            if registry.is_verifiable(group.task.domain)
            else answer_of(
                group.task.question,
                completion.text,
                completion.finish,
                contract,
                group.task.answer if registry.needs_gold(group.task.domain) else "",
            )
            for group in groups
            for completion in group.completions
        ]
        pending = judge.begin([answer for answer in answers if answer is not None] if is_first() else [])
        scored = score(groups)
        finish = partial(judge.finish, pending, interrupt)  # only the primary process sends requests
        found = iter(from_first(finish, list[Ruling], raises))
        rulings = [None if answer is None else next(found) for answer in answers]
        tasks = [group.task for group in scored for _ in group.scores]
        marked = iter(paid(tasks, [s for group in scored for s in group.scores], rulings, recipe.judge.reward_share))
        return [replace(group, scores=tuple(next(marked) for _ in group.scores)) for group in scored]

    return both
