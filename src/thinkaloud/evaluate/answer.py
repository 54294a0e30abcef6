"""Decoding of held-out tasks, greedy or sampled: completions, scores, rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest

from thinkaloud.distributed.agreement import from_first
from thinkaloud.domains import Registry
from thinkaloud.domains.answer_kind import expected_of
from thinkaloud.errors import UserError
from thinkaloud.evaluate.answers import read_answers
from thinkaloud.evaluate.partial_results import PartialResults
from thinkaloud.evaluate.rows import Row
from thinkaloud.model.lora import Adapter
from thinkaloud.records import RolloutGroup, Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY, Sampling
from thinkaloud.seeding import derive_seed

BATCHES_A_PART = 4
"""Batches per saved part: a killed evaluation loses at most these."""


def held_out(
    tasks: Mapping[str, Sequence[Task]], *, per_domain: int, others: Mapping[str, int] | None = None
) -> list[Task]:
    """`per_domain` tasks of each domain: its sources take turns, each with its first tasks.

    Args:
        others: Other numbers for some domains.

    Raises:
        UserError: There are no tasks.
    """
    chosen: list[Task] = []
    for name, own in tasks.items():
        by_source: dict[str, list[Task]] = {}
        for task in own:
            by_source.setdefault(task.source, []).append(task)
        turns = (task for turn in zip_longest(*by_source.values()) for task in turn if task is not None)
        chosen += islice(turns, (others or {}).get(name, per_domain))
    if not chosen:
        raise UserError("there are no tasks to evaluate on; choose another split (train, validation, test) or --tasks")
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tasks are answered: by default once each, with greedy decoding."""

    max_new_tokens: int
    batch_size: int
    """Completions decoded at once."""
    samples: int = 1
    temperature: float = 0.0
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, top_k=0, top_p=1.0) if self.temperature else GREEDY


def evaluate(
    policy: Policy,
    adapter: Adapter,
    tasks: Sequence[Task],
    decoding: Decoding,
    *,
    score: GroupScorer,
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
    parts: PartialResults | None = None,
) -> list[Row]:
    """The tasks' completions, scored.

    Args:
        policy: Model and contract.
        adapter: LoRA pairs; {} for the base itself.
        tasks: At least one.
        decoding: How they are decoded.
        score: Scores completions.
        registry: The domains; if given, answers are also read without the tags.
        progress: Called with (tasks done, all tasks).
        parts: Where finished parts are saved; parts that process 0 already has are not decoded again.

    Returns:
        The rows in the order of the tasks, the samples of a task next to each other; the same whether or not the
        evaluation was interrupted.
    """

    def after(done: int) -> Callable[[int, int], None] | None:
        return (lambda more, _: progress(done + more, len(tasks))) if progress else None

    prompts = max(1, decoding.batch_size // decoding.samples)
    num_parts = -(-len(tasks) // (BATCHES_A_PART * prompts))
    rows: dict[int, list[Row]] = {}
    for part in range(num_parts):
        places = range(part, len(tasks), num_parts)  # every part has tasks of all domains, so that shapes repeat
        chosen, done = [tasks[i] for i in places], len(rows)
        kept = from_first(partial(parts.read, part), list[Row] | None) if parts else None
        known = kept is not None and len(kept) == len(chosen) * decoding.samples
        if kept is None or not known:
            groups = score(_sample(policy, adapter, chosen, decoding, part, prompts, after(done)))
            kept = _rows(groups)
            if registry:
                kept = _with_answers(kept, groups, score, policy, registry)
            if parts:
                parts.write(part, kept)
        if progress and known:
            progress(done + len(chosen), len(tasks))
        rows.update({i: kept[n * decoding.samples : (n + 1) * decoding.samples] for n, i in enumerate(places)})
    return [row for i in range(len(tasks)) for row in rows[i]]


def _sample(
    policy: Policy,
    adapter: Adapter,
    tasks: Sequence[Task],
    decoding: Decoding,
    part: int,
    batch_prompts: int,
    progress: Callable[[int, int], None] | None,
) -> list[RolloutGroup]:
    return policy.sample(
        adapter,
        tasks,
        group_size=decoding.samples,
        max_new_tokens=decoding.max_new_tokens,
        sampling=decoding.sampling,
        seed=derive_seed(decoding.seed, "evaluate", part),
        batch_prompts=batch_prompts,
        progress=progress,
    )


def _rows(groups: Sequence[RolloutGroup]) -> list[Row]:
    return [
        Row.of(group.task, completion, earned, sample)
        for group in groups
        for sample, (completion, earned) in enumerate(zip(group.completions, group.scores, strict=True))
    ]


def _with_answers(
    rows: Sequence[Row], groups: Sequence[RolloutGroup], score: GroupScorer, policy: Policy, registry: Registry
) -> list[Row]:
    """The rows with what `read_answers` found, and with what a guess would earn."""
    answers = read_answers(groups, score, policy.contract, registry)
    tasks = [group.task for group in groups for _ in group.completions]
    found = []
    for row, task, answer in zip(rows, tasks, [one for group in answers for one in group], strict=True):
        row = replace(row, answer=answer.text, answer_correct=answer.correct, answer_group=answer.group)
        if registry.is_verifiable(task.domain):
            expected = expected_of(task, registry[task.domain])
            row = replace(row, chance=expected.chance, constant=expected.constant)
        found.append(row)
    return found
