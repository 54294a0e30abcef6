"""The expensive part of an audit: completions of the base model, and timed steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.data import Mixture
from thinkaloud.durations import duration
from thinkaloud.records import Finish, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed
from thinkaloud.train.advantage import with_advantages
from thinkaloud.train.grpo_step import GrpoTrainer

Progress = Callable[[int, int, str], None]

LIMITS = (128, 256, 512, 1024)
"""Token limits at which truncation is reported, up to the recipe's limit."""
LOW_FORMAT = 0.05
"""Below this sampled format rate, almost all groups have only rewards of 0."""
WEAK_FORMAT = 0.2
"""Below this sampled format rate, many groups have only rewards of 0."""
HIGH_TRUNCATION = 0.25
TIMED_STEPS = 2
"""Timed steps after the first, which includes compilation."""


def sample_completions(
    recipe: Recipe,
    policy: Policy,
    by_domain: Mapping[str, Sequence[Task]],
    score: GroupScorer,
    *,
    per_domain: int,
    progress: Progress,
) -> list[Finding]:
    """Sample groups of completions from the base model at the training temperature.

    Args:
        by_domain: Training tasks.
        per_domain: Completions per domain, rounded up to whole groups.

    Returns:
        Findings on format, truncation and signal.
    """
    rollout = recipe.rollout
    tasks = [task for own in by_domain.values() for task in own[: min(len(own), ceil(per_domain / rollout.group_size))]]
    groups = policy.sample(
        {},
        tasks,
        group_size=rollout.group_size,
        max_new_tokens=rollout.max_new_tokens,
        sampling=Sampling.of(rollout),
        seed=derive_seed(recipe.seed, "audit"),
        batch_prompts=max(1, recipe.evaluate.batch_size // rollout.group_size),
        progress=lambda done, total: progress(done, total, "base model: groups sampled"),
    )
    scored = with_advantages(score(groups), mask_truncated=False, scale_by_std=recipe.grpo.scale_by_std)
    return [check_format(recipe, scored), check_truncation(recipe, scored), check_signal(recipe, scored)]


def check_format(recipe: Recipe, groups: Sequence[RolloutGroup]) -> Finding:
    """The format rate of the base model, by domain."""
    valid: dict[str, list[bool]] = {}
    for group in groups:
        valid.setdefault(group.task.domain, []).extend(not score.status.breaks_format for score in group.scores)
    rates = {name: sum(own) / len(own) for name, own in valid.items()}
    count = sum(map(len, valid.values()))
    rate = sum(map(sum, valid.values())) / count
    message = f"the base model writes the format in {rate:.0%} of {count} samples"
    figures = {"format_rate": rate, "samples": count, "by_domain": rates}
    if rate >= WEAK_FORMAT:
        return Finding(name="format", level=Level.OK, message=message, figures=figures)
    if recipe.cold_start.max_steps:
        message += f"; the cold start (up to {recipe.cold_start.max_steps} steps) teaches it"
        return Finding(name="format", level=Level.OK, message=message, figures=figures)
    stop = rate < LOW_FORMAT
    return Finding(
        name="format",
        level=Level.STOP if stop else Level.WARNING,
        message=f"{message}: {'almost all' if stop else 'most'} rewards of GRPO would be 0",
        remedy="use a cold start: cold_start.max_steps = 24",
        figures=figures,
    )


def check_truncation(recipe: Recipe, groups: Sequence[RolloutGroup]) -> Finding:
    """The share of completions that each token limit would cut off."""
    limit = recipe.rollout.max_new_tokens
    completions = [completion for group in groups for completion in group.completions]
    lengths = [len(c.token_ids) + (c.finish is Finish.LENGTH) for c in completions]
    limits = sorted({*(at for at in LIMITS if at < limit), limit})
    shares = {at: sum(length > at for length in lengths) / len(lengths) for at in limits}
    listed = ", ".join(f"{share:.0%} at {at}" for at, share in shares.items())
    cut = shares[limit]
    high = cut > HIGH_TRUNCATION
    covered = recipe.cold_start.max_steps > 0 and recipe.cold_start.source == "data"
    message = f"completions cut off by a token limit: {listed}"
    if high and covered:
        message += "; the cold start teaches rationales that fit the limit"
    elif cut and any(at > limit for at in LIMITS):
        message += f"; unknown beyond rollout.max_new_tokens = {limit}"
    warns = high and not covered
    return Finding(
        name="truncation",
        level=Level.WARNING if warns else Level.OK,
        message=message,
        remedy="raise rollout.max_new_tokens: truncated completions earn no reward" if warns else "",
        figures={"truncated": {str(at): share for at, share in shares.items()}, "max_new_tokens": limit},
    )


def check_signal(recipe: Recipe, groups: Sequence[RolloutGroup]) -> Finding:
    """The share of groups without signal (all rewards equal)."""
    rewards = [score.reward for group in groups for score in group.scores]
    share = sum(not group.has_signal for group in groups) / len(groups)
    mean = sum(rewards) / len(rewards)
    silent = share == 1.0
    covered = recipe.cold_start.max_steps > 0
    level = Level.STOP if silent and not covered else Level.OK
    return Finding(
        name="signal",
        level=level,
        message=f"{share:.0%} of {len(groups)} groups of the base model have no signal (all rewards equal); mean "
        f"reward {mean:.2f}" + (": GRPO would see no gradient" if level is Level.STOP else ""),
        remedy="use a cold start (cold_start.max_steps = 24), or a higher rollout.temperature"
        if level is Level.STOP
        else "",
        figures={"zero_std_fraction": share, "groups": len(groups), "mean_reward": mean},
    )


def time_steps(
    recipe: Recipe, policy: Policy, by_domain: Mapping[str, Sequence[Task]], progress: Progress
) -> dict[str, float]:
    """Time GRPO steps on this machine, on the first tasks of the run; the adapter is discarded.

    The rewards are artificial, so that every group has a gradient: an upper bound of a real step without refills.

    Returns:
        Seconds: `first_step` (including compilation), and the medians of the others: `step`, `rollout`, `update`.
    """
    from thinkaloud.model.lora import init_adapter

    def alternate(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        scores = tuple(Score(reward=float(i % 2), status=Status.GRADED) for i in range(recipe.rollout.group_size))
        return [replace(group, scores=scores) for group in groups]

    lora = recipe.lora
    adapter = init_adapter(policy.model.config, lora.rank, lora.targets, derive_seed(recipe.seed, "audit"))
    trainer = GrpoTrainer(policy, jax.tree.map(jnp.copy, adapter), recipe, alternate)
    state = trainer.start(adapter)
    mixture = Mixture(by_domain, exponent=recipe.mixture.exponent, seed=derive_seed(recipe.seed, "mixture"))
    rows = []
    for step in range(1 + TIMED_STEPS):
        progress(step, 1 + TIMED_STEPS, "steps timed")
        began = time.perf_counter()
        result = trainer.step(state, mixture.tasks(step, recipe.rollout.prompts_per_step))
        state = result.state
        jax.tree.map(lambda leaf: leaf.block_until_ready(), (state.adapter, state.optimizer_state))
        rows.append({**result.metrics["seconds"], "total": time.perf_counter() - began})
    timed = rows[1:]
    return {
        "first_step": rows[0]["total"],
        "step": median(row["total"] for row in timed),
        "rollout": median(row["rollout"] for row in timed),
        "update": median(row["update"] for row in timed),
    }


def check_time(recipe: Recipe, seconds: dict[str, float], deadline_seconds: float | None) -> Finding:
    """The number of steps that fit before the deadline.

    Args:
        seconds: The result of `time_steps`.
        deadline_seconds: Time for the whole run; None without a deadline.
    """
    steps = recipe.grpo.max_steps
    total = seconds["first_step"] + seconds["step"] * max(0, steps - 1)
    message = f"a step takes {seconds['step']:.1f} s here; the recipe's {steps} steps take {duration(total)}"
    message += " without evaluation"
    if rounds := recipe.grpo.refill_rounds:
        message += f", and up to {rounds} x {seconds['rollout']:.1f} s more a step to replace groups without signal"
    figures: dict[str, Any] = {"seconds": seconds, "grpo_seconds": total}
    if deadline_seconds is None:
        return Finding(name="time", level=Level.OK, message=message, figures=figures)
    share = 0.8  # the rest is for evaluation, cold start and report
    fit = int(max(0.0, share * deadline_seconds - seconds["first_step"]) / seconds["step"])
    figures |= {"deadline_seconds": deadline_seconds, "steps_that_fit": fit}
    message += f"; {fit} fit into {duration(deadline_seconds)}, with a fifth of it reserved for the other stages"
    if fit < 1:
        level, remedy = Level.STOP, "lower rollout.prompts_per_step, group_size or max_new_tokens, or allow more time"
    elif fit < steps:
        level, remedy = Level.WARNING, f"set grpo.max_steps = {fit}, so that the learning rate decays completely"
    else:
        level, remedy = Level.OK, ""
    return Finding(name="time", level=level, message=message, remedy=remedy, figures=figures)
