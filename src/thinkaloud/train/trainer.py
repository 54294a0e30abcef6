"""What every GRPO trainer has in common: its state, the result of a step, and the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from thinkaloud.config.recipe import GrpoConfig
from thinkaloud.model.lora import Adapter
from thinkaloud.records import RolloutGroup, Task
from thinkaloud.train.schedule import Horizon, learning_rate


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
    """

    adapter: Adapter
    optimizer_state: Any
    step: int
    horizon: Horizon
    rate_scale: float = 1.0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class StepResult:
    """The state after a step, what was sampled in it, and its row of metrics.jsonl."""

    state: TrainState
    groups: list[RolloutGroup]
    metrics: dict[str, Any]


def update_learning_rate(state: TrainState, update: int, updates_per_step: int, config: GrpoConfig) -> float:
    """The learning rate of the 0-based `update` within the step after `state`."""
    rate = learning_rate(
        config.learning_rate,
        state.horizon,
        state.step * updates_per_step + update,
        warmup_fraction=config.warmup_fraction,
        kind=config.schedule,
    )
    return rate * state.rate_scale


@runtime_checkable
class Trainer(Protocol):
    """Runs GRPO steps. `GrpoTrainer` is the package's own; `TunixTrainer` drives Tunix.

    Attributes:
        reference: The adapter at the start of GRPO: the reference policy of the KL penalty.
        updates_per_step: Optimizer updates in a step (`inner_iterations` x `minibatches`).
    """

    @property
    def reference(self) -> Adapter: ...

    @property
    def updates_per_step(self) -> int: ...

    def start(self, adapter: Adapter) -> TrainState:
        """The state before the first step."""
        ...

    def step(self, state: TrainState, tasks: Sequence[Task]) -> StepResult:
        """Run the next step on `tasks`. Consumes the buffers of `state`."""
        ...
