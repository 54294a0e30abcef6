"""Tries several learning rates for a few GRPO steps each, on the same tasks with the same noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import fmean, stdev

import jax
import jax.numpy as jnp

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.audit.model_checks import Progress
from thinkaloud.config import Recipe
from thinkaloud.data import Mixture
from thinkaloud.model.lora import Adapter
from thinkaloud.records import RolloutGroup, Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.learning_rate import peak_learning_rate

FACTORS = (1 / 3, 1.0, 3.0)
"""The rates that are tried, as multiples of the recipe's."""
STEPS = 4
"""GRPO steps at each rate, at the full rate from the first one on."""
LOST_FORMAT = 0.05
"""A rate that lowers the format rate by more loses the format."""
MOVED = 2.0
"""The reward moved if its mean change over tasks exceeds this many standard errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTrial:
    """What a rate did to the tasks that it was trained on, in sampled completions before and after.

    Attributes:
        reward: Mean change of a task's reward.
        error: Its standard error over the tasks.
        format_rate: Change of the format rate.
    """

    rate: float
    reward: float
    error: float
    format_rate: float

    @property
    def moved(self) -> bool:
        """Whether the reward rose by more than chance."""
        return self.reward > MOVED * self.error

    @property
    def lost_format(self) -> bool:
        return self.format_rate < -LOST_FORMAT

    def __str__(self) -> str:
        result = "loses the format" if self.lost_format else "raises the reward" if self.moved else "shows no change"
        return f"{self.rate:.1e} {result} ({self.reward:+.3f} +- {self.error:.3f}, format {self.format_rate:+.0%})"


def try_rates(
    recipe: Recipe,
    policy: Policy,
    adapter: Adapter,
    by_domain: Mapping[str, Sequence[Task]],
    score: GroupScorer,
    progress: Progress,
) -> list[RateTrial]:
    """Train from `adapter` for `STEPS` steps at each rate, and sample the same tasks before and after.

    Args:
        adapter: Of the cold start; it is not changed.
        by_domain: Training tasks.
    """
    rollout, seed = recipe.rollout, derive_seed(recipe.seed, "rates")
    mixture = Mixture(by_domain, exponent=recipe.mixture.exponent, seed=seed)
    batches = [mixture.tasks(step, rollout.prompts_per_step) for step in range(STEPS)]
    tasks = list({task.id: task for batch in batches for task in batch}.values())

    def sample(adapter: Adapter) -> list[RolloutGroup]:
        groups = policy.sample(
            adapter,
            tasks,
            group_size=rollout.group_size,
            max_new_tokens=rollout.max_new_tokens,
            sampling=Sampling.of(rollout),
            seed=seed,
            batch_prompts=rollout.prompts_per_step,
        )
        return score(groups)

    before, trials = sample(adapter), []
    for number, rate in enumerate(peak_learning_rate(recipe, policy.model.config) * factor for factor in FACTORS):
        trainer = GrpoTrainer(policy, adapter, _at_rate(recipe, rate), score)
        state = trainer.start(jax.tree.map(jnp.copy, adapter))
        for step, batch in enumerate(batches):
            progress(number * STEPS + step, len(FACTORS) * STEPS, "learning rates: steps tried")
            state = trainer.step(state, batch).state
        trials.append(compare_rate(rate, before, sample(state.adapter)))
    return trials


def _at_rate(recipe: Recipe, rate: float) -> Recipe:
    """The recipe with a constant rate, without refill."""
    changes = {
        "learning_rate": rate,
        "warmup_fraction": 0.0,
        "schedule": "constant",
        "max_steps": STEPS,
        "refill_rounds": 0,
    }
    return recipe.model_copy(update={"grpo": recipe.grpo.model_copy(update=changes)})


def compare_rate(rate: float, before: Sequence[RolloutGroup], after: Sequence[RolloutGroup]) -> RateTrial:
    """The change from `before` to `after`, groups of the same tasks."""
    changes = [_reward(new) - _reward(old) for old, new in zip(before, after, strict=True)]
    error = stdev(changes) / sqrt(len(changes)) if len(changes) > 1 else float("inf")
    return RateTrial(
        rate=rate, reward=fmean(changes), error=error, format_rate=_format_rate(after) - _format_rate(before)
    )


def check_rates(trials: Sequence[RateTrial]) -> Finding:
    """Which rates raised the reward without losing the format; the recipe's is the one in the middle."""
    own = trials[len(trials) // 2]
    good = [trial for trial in trials if trial.moved and not trial.lost_format]
    best = max(good, key=lambda trial: trial.reward, default=None)
    remedy = ""
    if own.lost_format or (best is not None and own not in good):
        remedy = f"set grpo.learning_rate = {(best or trials[0]).rate:.0e}"
    return Finding(
        name="learning rates tried",
        level=Level.WARNING if remedy else Level.OK,
        message=f"{STEPS} steps each: " + "; ".join(map(str, trials)),
        remedy=remedy,
        figures={"trials": [asdict(trial) for trial in trials]},
    )


def _reward(group: RolloutGroup) -> float:
    return fmean(score.reward for score in group.scores)


def _format_rate(groups: Sequence[RolloutGroup]) -> float:
    return fmean(not score.status.breaks_format for group in groups for score in group.scores)
