"""What all GRPO trainers share: the state, the result of a step, and the base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optax

from thinkaloud.config import Recipe
from thinkaloud.domains import registry_of
from thinkaloud.model.lora import Adapter
from thinkaloud.records import RolloutGroup, Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.train.learning_rate import peak_learning_rate
from thinkaloud.train.loss import objective_of
from thinkaloud.train.refill import Replacements
from thinkaloud.train.schedule import Horizon, learning_rate, optimizer_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """The state of GRPO after `step` steps. Going back to a checkpoint replaces it as a whole.

    Attributes:
        adapter: LoRA pairs, float32. A step consumes the buffers of the state it is given.
        optimizer_state: The optimizer's state for `adapter`.
        step: Steps done.
        horizon: The plan that the learning rate follows, in optimizer updates.
        rate_scale: Factor on the learning rate; lowered after a restart.
        attempt: Restarts from an earlier checkpoint so far. Each attempt samples with new noise.
        entropy_weight: Weight of the entropy bonus in the next step.
    """

    adapter: Adapter
    optimizer_state: Any
    step: int
    horizon: Horizon
    rate_scale: float = 1.0
    attempt: int = 0
    entropy_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """The state after a step, all groups sampled in it, and its row of metrics.jsonl.

    Groups without signal have advantages of zero.
    """

    state: TrainState
    groups: list[RolloutGroup]
    metrics: dict[str, Any]


class Trainer(ABC):
    """Runs GRPO steps. `GrpoTrainer` is the package's own; `TunixTrainer` drives Tunix.

    Args:
        policy: The base model and its prompt contract.
        reference: The adapter at the start of GRPO. Used by the KL penalty, so only if `grpo.beta` is not 0.
        recipe: All settings.
        score: Scores the groups.
        interrupt: Called between the phases of a step. If it raises, the step is dropped, and the state that was
            passed in is still valid.

    Attributes:
        updates_per_step: Optimizer updates in a step (`inner_iterations` x `minibatches`).
        peak: The peak learning rate.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Adapter,
        recipe: Recipe,
        score: GroupScorer,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self.policy, self.reference, self.recipe = policy, reference, recipe
        self.score, self.interrupt = score, interrupt
        self.registry = registry_of(recipe)
        self.updates_per_step = recipe.grpo.updates_per_step
        self.peak = peak_learning_rate(recipe, policy.model.config)
        self.optimizer: optax.GradientTransformation = optimizer_of(recipe)
        self.objective = objective_of(recipe.grpo, recipe.teacher)

    def start(self, adapter: Adapter) -> TrainState:
        """The state before the first step, with the learning rate planned for `grpo.max_steps`."""
        horizon = Horizon(self.recipe.grpo.max_steps * self.updates_per_step)
        return TrainState(adapter=adapter, optimizer_state=self.optimizer.init(adapter), step=0, horizon=horizon)

    @abstractmethod
    def step(self, state: TrainState, tasks: Sequence[Task], replacements: Replacements | None = None) -> StepResult:
        """Run the next step on `tasks`, and on others in place of those without signal. Consumes `state`'s buffers."""

    def learning_rate(self, state: TrainState, update: int) -> float:
        """The learning rate of the 0-based `update` within the step after `state`."""
        config = self.recipe.grpo
        rate = learning_rate(
            self.peak,
            state.horizon,
            state.step * self.updates_per_step + update,
            warmup_fraction=config.warmup_fraction,
            kind=config.schedule,
        )
        return rate * state.rate_scale
