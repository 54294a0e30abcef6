"""One GRPO step, top to bottom: sample -> score -> advantages -> refill -> loss -> update -> metrics.

A step samples one group of completions for each of `prompts_per_step` tasks, replaces groups without signal
(`refill.py`), and makes `inner_iterations` x `minibatches` optimizer updates on them. `minibatches.py` lays the groups
out for the device, `learner.py` computes gradients, `loss.py` and `advantage.py` hold the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.profiler import TraceAnnotation

from thinkaloud.config import Recipe
from thinkaloud.model.heap import trim_heap
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.records import RolloutGroup, Task
from thinkaloud.rewards.learned import rewards_to_learn
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed
from thinkaloud.train.advantage import with_advantages
from thinkaloud.train.learner import add_trees, apply_gradients, grpo_gradients
from thinkaloud.train.loss import Sums, next_entropy_weight
from thinkaloud.train.minibatches import MiniBatch, Minibatches
from thinkaloud.train.refill import Replacements, tasks_to_replace, with_replacements
from thinkaloud.train.step_metrics import Stopwatch, outcome_metrics, signal_metrics, update_metrics
from thinkaloud.train.trainer import StepResult, Trainer, TrainState


class GrpoTrainer(Trainer):
    """The package's own trainer; see `Trainer` for the arguments. `teacher` is that of `recipe.teacher`."""

    def __init__(
        self,
        policy: Policy,
        reference: Adapter,
        recipe: Recipe,
        score: GroupScorer,
        interrupt: Callable[[], None] = lambda: None,
        teacher: Model | None = None,
    ) -> None:
        super().__init__(policy, reference, recipe, score, interrupt)
        assert (teacher is None) == (not recipe.teacher.source)
        self.minibatches = Minibatches(policy, reference, recipe, teacher)

    def step(self, state: TrainState, tasks: Sequence[Task], replacements: Replacements | None = None) -> StepResult:
        """Run the next step on `tasks`, and on others in place of those without signal. Consumes `state`'s buffers."""
        clock = Stopwatch()
        groups = self.rollout(state, tasks, 0, clock)
        sampled = list(groups)
        for round in range(1, self.recipe.grpo.refill_rounds + 1):
            if (
                replacements is None
                or not self.recipe.teacher.reward
                or not (replaced := tasks_to_replace(groups, self.recipe.grpo))
            ):
                break
            drawn = replacements(replaced, round, {group.task.id for group in sampled})
            extra = self.rollout(state, drawn, round, clock)
            sampled += extra
            groups = with_replacements(groups, extra)
        with TraceAnnotation("update"), clock.phase("update"):
            state, learned = self.update(state, groups)
            trim_heap()
        metrics = {
            "stage": "grpo",
            "step": state.step,
            **learned,
            **outcome_metrics(sampled, self.registry),
            **signal_metrics(sampled, groups),
            "seconds": clock.seconds(),
        }
        return StepResult(state, sampled, metrics)

    def rollout(self, state: TrainState, tasks: Sequence[Task], round: int, clock: Stopwatch) -> list[RolloutGroup]:
        """One group of completions for each task, with scores and advantages."""
        with TraceAnnotation("rollout"), clock.phase("rollout"):
            groups = self.sample(state, tasks, round)
        self.interrupt()
        with TraceAnnotation("score"), clock.phase("score"):
            groups = self.score(groups)
        self.interrupt()
        return with_advantages(
            groups,
            rewards=rewards_to_learn(
                groups,
                self.recipe.rewards,
                self.registry,
                max_new_tokens=self.recipe.rollout.max_new_tokens,
                seed=self._seed("control", state, round),
            ),
            mask_truncated=self.recipe.rewards.truncated == "mask",
            scale_by_std=self.recipe.grpo.scale_by_std,
        )

    def sample(self, state: TrainState, tasks: Sequence[Task], round: int = 0) -> list[RolloutGroup]:
        """One group of completions for each task; `round` counts the step's refills."""
        rollout = self.recipe.rollout
        return self.policy.sample(
            state.adapter,
            tasks,
            group_size=rollout.group_size,
            max_new_tokens=rollout.max_new_tokens,
            sampling=Sampling.of(rollout),
            seed=self._seed("rollout", state, round),
        )

    def _seed(self, name: str, state: TrainState, round: int) -> int:
        """The seed of one kind of noise in a round of the next step; after a restart it is another."""
        attempt: list[str | int] = [state.attempt] if state.attempt else []
        refill: list[str | int] = ["refill", round] if round else []
        return derive_seed(self.recipe.seed, name, state.step, *attempt, *refill)

    def update(self, state: TrainState, groups: Sequence[RolloutGroup]) -> tuple[TrainState, dict[str, Any]]:
        """All optimizer updates of one step; returns the next state and the metrics of the updates."""
        config = self.recipe.grpo
        minibatches = self.minibatches.build(groups, state.adapter)
        adapter, optimizer_state = state.adapter, state.optimizer_state
        sums: list[Sums] = []
        norms: list[Any] = []
        for iteration in range(config.inner_iterations):
            for index, minibatch in enumerate(minibatches):
                gradients = self._gradients(adapter, minibatch, iteration, state.entropy_weight, sums)
                if gradients is not None:
                    rate = self.learning_rate(state, iteration * config.minibatches + index)
                    adapter, optimizer_state, norm = apply_gradients(
                        adapter, optimizer_state, gradients, np.float32(rate), optimizer=self.optimizer
                    )
                    norms.append(norm)
        rate = self.learning_rate(state, 0)
        learned = update_metrics(
            jax.device_get(sums),
            jax.device_get(norms),
            rate,
            config,
            has_teacher=bool(self.recipe.teacher.source),
        )
        if config.entropy_floor:
            learned["entropy_weight"] = state.entropy_weight
        weight = next_entropy_weight(state.entropy_weight, learned["entropy"], config)
        state = replace(
            state, adapter=adapter, optimizer_state=optimizer_state, step=state.step + 1, entropy_weight=weight
        )
        return state, learned

    def _gradients(
        self, adapter: Adapter, minibatch: MiniBatch, iteration: int, entropy_weight: float, sums: list[Sums]
    ) -> Adapter | None:
        """The gradient of one minibatch, None if no group has one; appends the metrics to `sums`."""
        config = self.recipe.grpo
        # In the first iteration of a single minibatch, the policy is the one that sampled: its ratio is exactly 1.
        on_policy = iteration == 0 and config.minibatches == 1
        gradients = None
        for micro in minibatch:
            part, logprobs, counted = grpo_gradients(
                adapter,
                self.policy.model.params,
                micro.packed,
                micro.per_token,
                np.asarray(on_policy),
                np.float32(entropy_weight),
                config=self.policy.model.config,
                scale=self.policy.scale,
                temperature=self.recipe.rollout.temperature,
                objective=self.objective,
            )
            if on_policy and config.inner_iterations > 1:
                micro.per_token = micro.per_token._replace(old=logprobs)
            gradients = part if gradients is None else add_trees(gradients, part)
            sums.append(counted)
        return gradients
