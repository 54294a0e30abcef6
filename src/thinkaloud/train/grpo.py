"""One GRPO step: sample groups, score them, turn rewards into advantages, update the adapter.

A step is one rollout of `prompts_per_step` groups and the `inner_iterations` x `minibatches` optimizer updates made
on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.profiler import TraceAnnotation

from thinkaloud.config import Recipe
from thinkaloud.distributed.processes import sum_trees
from thinkaloud.distributed.team import gather, own_rows
from thinkaloud.domains import domain
from thinkaloud.model.heap import trim_heap
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Packed, pack
from thinkaloud.model.sharding import mesh_of, place_rows
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed
from thinkaloud.train.advantage import Advantages, group_advantages
from thinkaloud.train.learner import (
    PerToken,
    add_trees,
    apply_gradients,
    grpo_gradients,
    reference_logprobs,
    spread,
)
from thinkaloud.train.loss import Objective, Sums, token_weights
from thinkaloud.train.memory import footprint_of
from thinkaloud.train.microbatch import split_rows, update_budget_bytes
from thinkaloud.train.schedule import Horizon, learning_rate, make_optimizer

Groups = list[list[Completion]]
Scorer = Callable[[Sequence[Task], Sequence[Completion]], list[Score]]


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step leaves behind."""

    adapter: Adapter
    state: Any
    metrics: dict[str, Any]
    groups: Groups
    scores: list[list[Score]]


@dataclass(frozen=True, slots=True)
class _MiniBatch:
    """One optimizer update: this process's micro-batches of it, and whether any process has one."""

    micro: list[_MicroBatch]
    counts: bool


@dataclass(slots=True)
class _MicroBatch:
    """Some groups of an update, laid out, with what the loss knows of their tokens."""

    packed: Packed
    per_token: PerToken


class Grpo:
    """The GRPO stage; holds what does not change from step to step.

    Args:
        policy: The base and its contract.
        reference: The adapter of the policy as GRPO begins: the KL's reference. Not looked at when beta is 0.
        score: Tasks and completions (flat, same order) to scores.
        between: Called between sampling, scoring and the update; what it raises drops the step, and the adapter and
            its state are as before.

    Attributes:
        horizon: The plan that the learning rate is fitted to, in updates; `grpo.max_steps` to begin with.
        rate_scale: Times the learning rate; lowered after a restart.
        attempt: How often the stage was taken back to an earlier checkpoint: another attempt samples anew.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Adapter,
        recipe: Recipe,
        score: Scorer,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.policy, self.reference, self.recipe, self.score = policy, reference, recipe, score
        # an adapter that changes nothing yet is left out of the reference's pass: the base does it
        changes = any(bool(jnp.any(pair["b"] != 0)) for pair in reference.values())
        self._reference_pass: Adapter = reference if changes else {}
        self.between = between
        self.encode = lru_cache(recipe.rollout.prompts_per_step)(policy.contract.encode)
        config = recipe.grpo
        self.updates_per_step = config.inner_iterations * config.minibatches
        self.horizon = Horizon(config.max_steps * self.updates_per_step)
        self.rate_scale = 1.0
        self.attempt = 0
        self.optimizer: optax.GradientTransformation = make_optimizer(
            b1=config.adam_b1,
            b2=config.adam_b2,
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm,
        )
        self.footprint = footprint_of(recipe, policy.model.config, jax.default_backend())
        self.budget_bytes = update_budget_bytes(self.footprint)
        self.objective = Objective(
            beta=config.beta,
            epsilon=config.epsilon,
            epsilon_high=config.epsilon if config.epsilon_high is None else config.epsilon_high,
            ratio=config.ratio,
        )

    def learning_rate(self, update: int) -> float:
        """Of the 0-based update of the whole stage."""
        config = self.recipe.grpo
        rate = learning_rate(
            config.learning_rate, self.horizon, update, warmup_fraction=config.warmup_fraction, kind=config.schedule
        )
        return rate * self.rate_scale

    def step(self, adapter: Adapter, state: Any, tasks: Sequence[Task], step: int) -> StepResult:
        """Run 0-based `step` on its tasks. `adapter` and `state` are consumed: their buffers are reused.

        Among the metrics, `seconds.idle_share` is the share of the step's wall time in which the device is surely
        given nothing to do: scoring. The true share is higher: within rollout and update the host has short turns
        of its own, and it records and saves between steps; a trace (`profiling.py`) shows them.
        """
        began = time.perf_counter()
        rollout = self.recipe.rollout
        with TraceAnnotation("rollout"):
            groups = self.policy.complete(
                adapter,
                tasks,
                group_size=rollout.group_size,
                max_new_tokens=rollout.max_new_tokens,
                sampling=Sampling(temperature=rollout.temperature, top_k=rollout.top_k, top_p=rollout.top_p),
                seed=derive_seed(self.recipe.seed, "rollout", step, *([self.attempt] if self.attempt else [])),
            )
        sampled = time.perf_counter()
        self.between()
        flat_tasks = [task for task, group in zip(tasks, groups, strict=True) for _ in group]
        with TraceAnnotation("score"):
            flat = self.score(flat_tasks, [completion for group in groups for completion in group])
        scores = [flat[i : i + rollout.group_size] for i in range(0, len(flat), rollout.group_size)]
        advantages = group_advantages(
            np.asarray([[score.reward for score in group] for group in scores]),
            self._masked(scores),
            scale_by_std=self.recipe.grpo.scale_by_std,
        )
        scored = time.perf_counter()
        self.between()
        with TraceAnnotation("update"):
            adapter, state, learned = self.update(adapter, state, tasks, groups, scores, advantages, step)
            trim_heap()
        ended = time.perf_counter()
        seconds = {
            "rollout": sampled - began,
            "score": scored - sampled,
            "update": ended - scored,
            "total": ended - began,
            "idle_share": (scored - sampled) / max(ended - began, 1e-9),
        }
        metrics = {"stage": "grpo", "step": step + 1, **learned, **outcome_metrics(tasks, groups, scores, advantages)}
        metrics["tokens"] = {
            "prompt": sum(len(self.encode(task.question)) for task in tasks),
            "completion": sum(len(c.token_ids) for group in groups for c in group),
        }
        return StepResult(adapter, state, metrics | {"seconds": seconds}, groups, scores)

    def update(
        self,
        adapter: Adapter,
        state: Any,
        tasks: Sequence[Task],
        groups: Groups,
        scores: list[list[Score]],
        advantages: Advantages,
        step: int,
    ) -> tuple[Adapter, Any, dict[str, Any]]:
        """All inner iterations of one step; returns the new adapter, its optimizer state and the metrics."""
        config = self.recipe.grpo
        batches = self._microbatches(tasks, groups, self._masked(scores), advantages)
        parts: list[Sums] = []
        norms: list[Any] = []
        taken = 0
        for iteration in range(config.inner_iterations):
            for minibatch in batches:
                gradients = None
                for micro in minibatch.micro:
                    first = iteration == 0 and config.minibatches == 1
                    part, logprobs, sums = grpo_gradients(
                        adapter,
                        self.policy.model.params,
                        micro.packed,
                        micro.per_token,
                        jnp.asarray(first),
                        config=self.policy.model.config,
                        scale=self.policy.scale,
                        temperature=self.recipe.rollout.temperature,
                        objective=self.objective,
                    )
                    if first and config.inner_iterations > 1:
                        micro.per_token = micro.per_token._replace(old=logprobs)
                    gradients = part if gradients is None else add_trees(gradients, part)
                    parts.append(sums)
                if minibatch.counts:
                    gradients = sum_trees(jax.tree.map(jnp.zeros_like, adapter) if gradients is None else gradients)
                    rate = np.float32(self.learning_rate(step * self.updates_per_step + taken))
                    adapter, state, norm = apply_gradients(adapter, state, gradients, rate, optimizer=self.optimizer)
                    norms.append(norm)
                taken += 1
        parts = _by_iteration(gather(jax.device_get(parts)), config.inner_iterations)
        return adapter, state, self._learned(parts, jax.device_get(norms), step)

    def _masked(self, scores: list[list[Score]]) -> np.ndarray:
        mask_cut = self.recipe.rewards.truncated == "mask"
        return np.asarray(
            [
                [score.status.masked or (mask_cut and score.status is Status.TRUNCATED) for score in group]
                for group in scores
            ]
        )

    def _microbatches(
        self, tasks: Sequence[Task], groups: Groups, masked: np.ndarray, advantages: Advantages
    ) -> list[_MiniBatch]:
        """Minibatches of micro-batches; groups without any gradient are left out, but still count in the means."""
        config = self.recipe.grpo
        prompts = [self.encode(task.question) for task in tasks]
        minibatches = []
        for rows in np.array_split(np.arange(len(tasks)), config.minibatches):
            counted = [(int(row), m) for row in rows for m in range(len(groups[row])) if not masked[row, m]]
            num_tokens = sum(len(groups[row][m].token_ids) for row, m in counted)
            kept = [int(row) for row in rows if not masked[row].all() and (config.beta > 0 or not advantages.dead[row])]
            counts, kept = bool(kept), [kept[i] for i in own_rows(len(kept))]
            lengths = [len(prompts[row]) + sum(len(c.token_ids) for c in groups[row]) for row in kept]
            minibatch = []
            attended = max((len(prompts[row]) for row in kept), default=0) + self.recipe.rollout.max_new_tokens
            for chosen in split_rows(lengths, self.footprint, self.budget_bytes, attended=attended) if kept else []:
                picked = [kept[i] for i in chosen]
                minibatch.append(
                    self._microbatch(picked, prompts, groups, masked, advantages, len(counted), num_tokens)
                )
            minibatches.append(_MiniBatch(minibatch, counts))
        return minibatches

    def _microbatch(
        self,
        picked: list[int],
        prompts: list[list[int]],
        groups: Groups,
        masked: np.ndarray,
        advantages: Advantages,
        num_rows: int,
        num_tokens: int,
    ) -> _MicroBatch:
        rollout = self.recipe.rollout
        members = [[() if masked[row, m] else c.token_ids for m, c in enumerate(groups[row])] for row in picked]
        packed = pack([prompts[row] for row in picked], members, completion_bucket=rollout.max_new_tokens)
        mesh = mesh_of(self.policy.model.params)
        lengths = np.asarray([len(member) for group in members for member in group])
        weights = token_weights(
            lengths,
            self.recipe.grpo.loss,
            num_rows=num_rows,
            num_tokens=num_tokens,
            max_new_tokens=rollout.max_new_tokens,
        )
        old = np.zeros(packed.targets.shape, np.float32)
        logprobs = [
            value
            for row, group in zip(picked, members, strict=True)
            for m, ids in enumerate(group)
            if ids
            for value in groups[row][m].logprobs
        ]
        old[: len(logprobs)] = logprobs
        reference = old
        if self.objective.beta > 0:
            reference = reference_logprobs(
                self.policy.model.params,
                self._reference_pass,
                place_rows(packed, mesh),
                config=self.policy.model.config,
                scale=self.policy.scale,
                temperature=rollout.temperature,
            )
        spread_advantages = spread(advantages.values[picked].reshape(-1), packed)
        per_token = PerToken(old, reference, spread_advantages, spread(weights, packed))
        return _MicroBatch(place_rows(packed, mesh), place_rows(per_token, mesh))

    def _learned(self, parts: list[Sums], norms: list[Any], step: int) -> dict[str, Any]:
        first = parts[: max(1, len(parts) // max(1, self.recipe.grpo.inner_iterations))]
        tokens, first_tokens = (sum((float(p.tokens) for p in some), 0.0) for some in (parts, first))

        def mean(name: str, over: list[Sums], count: float) -> float | None:
            return sum(float(getattr(part, name)) for part in over) / count if count else None

        finite = [float(norm) for norm in norms if np.isfinite(norm)]
        learned = {
            "loss": sum((float(part.loss) for part in parts), 0.0) / self.recipe.grpo.inner_iterations,
            "kl": mean("kl", parts, tokens) if self.objective.beta > 0 else None,  # no reference pass: not known
            "ratio_mean": mean("ratio", first, first_tokens),
            "ratio_max": max((1 + float(part.ratio_off) for part in first), default=None),
            "clip_fraction": mean("clipped", parts, tokens),
            "entropy": mean("entropy", first, first_tokens),
            "grad_norm": float(np.mean(finite or [0.0])) if finite or not norms else None,
            "learning_rate": self.learning_rate(step * self.updates_per_step),
            "skipped_updates": len(norms) - len(finite),
        }
        return {name: value if value is None or np.isfinite(value) else None for name, value in learned.items()}


def _by_iteration(parts: list[list[Sums]], inner_iterations: int) -> list[Sums]:
    """The sums of all processes, those of the first inner iteration first."""
    return [
        part
        for iteration in range(inner_iterations)
        for own in parts
        for part in own[iteration * len(own) // inner_iterations : (iteration + 1) * len(own) // inner_iterations]
    ]


def outcome_metrics(
    tasks: Sequence[Task], groups: Groups, scores: list[list[Score]], advantages: Advantages
) -> dict[str, Any]:
    """Reward, format and accuracy of a step's completions, overall and by domain; masked ones count in none of them."""
    cells = [
        (task.domain, score)
        for task, group_scores in zip(tasks, scores, strict=True)
        for score in group_scores
        if not score.status.masked
    ]
    rewards = [score.reward for _, score in cells]
    domains: dict[str, Any] = {}
    for name in dict.fromkeys(task.domain for task in tasks):
        dead = [bool(flag) for task, flag in zip(tasks, advantages.dead, strict=True) if task.domain == name]
        domains[name] = _rates([cell for cell in cells if cell[0] == name]) | {"dead_groups": sum(dead) / len(dead)}
    overall = _rates(cells)
    overall["truncated_rate"] = overall.pop("truncated")
    return {
        **overall,
        "reward_std": float(np.std(rewards)) if rewards else None,
        "dead_groups": float(advantages.dead.mean()),
        "masked": sum(len(group) for group in groups) - len(cells),
        "domains": domains,
    }


def _rates(cells: list[tuple[str, Score]]) -> dict[str, Any]:
    if not cells:
        return {"n": 0, "reward": None, "format_rate": None, "accuracy": None, "truncated": None}
    scores = [score for _, score in cells]
    broken = sum(score.status in (Status.BAD_FORMAT, Status.TRUNCATED) for score in scores)
    checked = [score for name, score in cells if domain(name).kind == "verifiable"]
    correct = sum(score.status is Status.CORRECT for score in checked)
    return {
        "n": len(scores),
        "reward": sum(score.reward for score in scores) / len(scores),
        "format_rate": 1 - broken / len(scores),
        "accuracy": correct / len(checked) if checked else None,
        "truncated": sum(score.status is Status.TRUNCATED for score in scores) / len(scores),
    }
