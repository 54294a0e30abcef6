"""Tunix's `GRPOLearner` with our objective, registered in Tunix's registries.

Tunix computes log-probabilities, gradients and updates; `train/loss.py` defines the loss for both engines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tunix.rl import algo_core, common, function_registry, rl_cluster
from tunix.rl.grpo import grpo_learner
from tunix.sft import hooks

from thinkaloud.train.loss import Objective, Sums, grpo_loss

LOSS = "thinkaloud"
"""The name of our loss in Tunix's registry."""


@flax.struct.dataclass(frozen=True)
class Example(grpo_learner.TrainExample):
    """Tunix's batch of completions with two more fields.

    Attributes:
        weights: The weight of each token of a completion in the loss [rows].
        sampled_logps: The sampler's log-probabilities [rows, tokens]; None if the sampler does not return them.
    """

    # declared again with type Any, because JAX maps over an example with values that are not arrays
    prompt_ids: Any
    prompt_mask: Any
    completion_ids: Any
    completion_mask: Any
    advantages: Any
    ref_per_token_logps: Any
    old_per_token_logps: Any
    weights: Any = None
    sampled_logps: Any = None


@dataclasses.dataclass(kw_only=True)
class Config(grpo_learner.GRPOConfig):
    """Tunix's settings, and those of our loss. Tunix averages over `micro_batches`, so our loss is multiplied by it."""

    objective: Objective | None = None
    micro_batches: int = 1


class Learner(grpo_learner.GRPOLearner):
    """Tunix's learner; `complete` converts each of its batches to an `Example`."""

    def __init__(self, *, complete: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(**options)
        self._complete = complete

    def _generate_and_compute_advantage(
        self, training_input: Any, mode: rl_cluster.Mode = rl_cluster.Mode.TRAIN
    ) -> Any:
        return self._complete(super()._generate_and_compute_advantage(training_input, mode))


class Hooks(hooks.TrainingHooks):
    """Calls `before(trainer)` before every micro-batch."""

    def __init__(self, before: Callable[[Any], None]) -> None:
        self._before = before

    def on_train_step_start(self, train_ctx: Any) -> None:
        self._before(train_ctx)

    def on_train_start(self, train_ctx: Any) -> None:
        """Nothing to do."""

    on_train_end = on_eval_step_start = on_train_start

    def on_train_step_end(self, train_ctx: Any, train_step: int, train_loss: Any) -> None:
        """Nothing to do."""

    def on_eval_step_end(self, train_ctx: Any, eval_loss: Any) -> None:
        """Nothing to do."""


def policy_loss(
    model: Any, train_example: Any, algo_config: Any, pad_id: int, eos_id: int, **options: Any
) -> tuple[Any, dict[str, Any]]:
    """`train.loss.grpo_loss` on Tunix's log-probabilities."""
    del options  # Tunix passes none
    graph, state = nnx.split(model)
    logps, logits = common.compute_per_token_logps(
        graph,
        state,
        prompt_tokens=train_example.prompt_ids,
        completion_tokens=train_example.completion_ids,
        pad_id=pad_id,
        eos_id=eos_id,
        stop_gradient=False,
        return_logits=True,
        temperature=algo_config.temperature,
    )
    rows, length = logps.shape
    own = jax.lax.stop_gradient(logps)

    def flat(values: Any) -> Any:
        return jnp.broadcast_to(values if values.ndim == 2 else values[:, None], (rows, length)).reshape(-1)

    entropies = algo_core.compute_entropy_from_logits(jax.lax.stop_gradient(logits).astype(jnp.float32))
    reference = train_example.ref_per_token_logps
    shared = (
        flat(own if reference is None else reference),
        flat(entropies),
        flat(train_example.advantages.astype(jnp.float32)),
        flat(train_example.weights),
        flat(train_example.completion_mask.astype(bool)),
        jnp.repeat(jnp.arange(rows), length),
        rows,
        algo_config.objective,
    )
    old = train_example.old_per_token_logps
    total, found = grpo_loss(flat(logps), flat(own if old is None else old), *shared)
    if train_example.sampled_logps is not None:
        _, against = grpo_loss(flat(own), flat(train_example.sampled_logps), *shared)
        found = found._replace(ratio=against.ratio, ratio_off=against.ratio_off)
    return total * algo_config.micro_batches, found._asdict()


function_registry.register_policy_loss_fn(LOSS)(policy_loss)


METRICS: dict[str, Callable[..., Any]] = {
    name: np.max if name == "ratio_off" else np.sum for name in Sums._fields if name != "loss"
}
"""The metrics of `policy_loss`, and how those of micro-batches are combined. Tunix logs the loss itself."""
