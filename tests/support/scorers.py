"""Scorers for tests: rewards that give every group a signal, whatever a random model writes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.scoring import GroupScorer


def grouped(score: Callable[[Sequence[Task], Sequence[Completion]], Sequence[Score]]) -> GroupScorer:
    """A scorer of groups from one of flat lists: one task and one completion per row."""

    def of_groups(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        tasks = [group.task for group in groups for _ in group.completions]
        scores = iter(score(tasks, [completion for group in groups for completion in group.completions]))
        return [replace(group, scores=tuple(next(scores) for _ in group.completions)) for group in groups]

    return of_groups


def hash_reward(completion: Completion) -> float:
    """A number in [0, 1) from the token ids."""
    return zlib.crc32(repr(completion.token_ids).encode()) / 2**32


@grouped
def score_by_hash(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    """Rewards by a hash of the tokens."""
    return [Score(reward=hash_reward(completion), status=Status.GRADED) for completion in completions]


@contextmanager
def open_hash_scorer(*_: object) -> Iterator[tuple[GroupScorer, str]]:
    """In place of `open_scorer`: rewards by a hash, no verifier."""
    yield score_by_hash, "not needed"


@contextmanager
def open_rewards_by_hash(*arguments: Any) -> Iterator[tuple[GroupScorer, str]]:
    """In place of `open_scorer`: rewards by a hash; half of the completions are correct, so that pass rates differ."""
    from thinkaloud.session.scorer import open_scorer

    with open_scorer(*arguments) as (score, level):

        def by_hash(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
            return [
                replace(
                    group,
                    scores=tuple(
                        replace(
                            one,
                            reward=hash_reward(completion),
                            status=Status.CORRECT if hash_reward(completion) > 0.5 else one.status,
                        )
                        for one, completion in zip(group.scores, group.completions, strict=True)
                    ),
                )
                for group in score(groups)
            ]

        yield by_hash, level
