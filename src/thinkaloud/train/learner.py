"""The device side of learning: log-probabilities, gradients micro-batch by micro-batch, one optimizer step.

Micro-batches contain whole groups, so that a prompt is computed once per group; the sum of their gradients is the
gradient of the update. Adapters, gradients and moments are float32.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from thinkaloud.model.architecture import Params, head_weight
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.head import token_logprobs
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Packed, forward
from thinkaloud.train.loss import Objective, Sums, grpo_loss


class PerToken(NamedTuple):
    """The inputs of the loss for each target of a micro-batch, besides the policy's log-probabilities."""

    old: Float[Any, " targets"]
    sampled: Float[Any, " targets"]
    reference: Float[Any, " targets"]
    teacher: Float[Any, " targets"]
    advantages: Float[Any, " targets"]
    weights: Float[Any, " targets"]


def packed_logprobs(
    params: Params,
    adapter: Adapter,
    packed: Packed,
    config: ModelConfig,
    scale: float,
    temperature: float,
    *,
    entropy_gradient: bool = False,
) -> tuple[Float[Array, " targets"], Float[Array, " targets"]]:
    """Log-probability and entropy at every target of the layout (undefined where `target_valid` is False)."""
    hidden, _ = forward(params, adapter, packed, config, scale)
    predicting = hidden[packed.predictors]
    return token_logprobs(
        head_weight(params),
        predicting,
        packed.targets,
        temperature,
        valid=packed.target_valid,
        entropy_gradient=entropy_gradient,
        mesh=packed.mesh,
    )


@partial(jax.jit, static_argnames=("config", "scale", "temperature"))
def reference_logprobs(
    params: Params, adapter: Adapter, packed: Packed, *, config: ModelConfig, scale: float, temperature: float
) -> Float[Array, " targets"]:
    """Log-probabilities under a frozen policy, without a backward pass."""
    return packed_logprobs(params, adapter, packed, config, scale, temperature)[0]


@partial(jax.jit, static_argnames=("config", "scale", "temperature", "objective"))
def grpo_gradients(
    adapter: Adapter,
    params: Params,
    packed: Packed,
    per_token: PerToken,
    use_current_as_old: Bool[Array, ""],
    entropy_weight: Float[Any, ""] | float = 0.0,
    *,
    config: ModelConfig,
    scale: float,
    temperature: float,
    objective: Objective,
) -> tuple[Adapter, Float[Array, " targets"], Sums]:
    """Gradient of one micro-batch's share of the loss.

    Args:
        use_current_as_old: True in the first inner iteration, where the policy is the one that sampled: its own
            log-probabilities are used as the old ones, and the ratio is exactly 1.
        entropy_weight: Of the entropy bonus, if the objective has one.

    Returns:
        Gradients, the policy's log-probabilities, and the metrics' sums. The ratio metrics compare with
        `per_token.old`, which holds the sampler's own log-probabilities in the first iteration.
    """

    def loss(trained: Adapter) -> tuple[Array, tuple[Array, Sums]]:
        logprobs, entropies = packed_logprobs(
            params, trained, packed, config, scale, temperature, entropy_gradient=objective.entropy_bonus
        )
        old = jnp.where(use_current_as_old, jax.lax.stop_gradient(logprobs), per_token.old)
        group = packed.num_completions
        arguments = (per_token.reference, entropies, per_token.advantages, per_token.weights)
        shared = (*arguments, packed.target_valid, packed.target_rows, group, objective)
        own = {"sampled": per_token.sampled, "teacher": per_token.teacher}
        total, sums = grpo_loss(logprobs, old, *shared, entropy_weight=entropy_weight, **own)
        _, against_sampler = grpo_loss(jax.lax.stop_gradient(logprobs), per_token.old, *shared)
        return total, (logprobs, sums._replace(ratio=against_sampler.ratio, ratio_off=against_sampler.ratio_off))

    (_, (logprobs, sums)), gradients = jax.value_and_grad(loss, has_aux=True)(adapter)
    return gradients, logprobs, sums


@partial(jax.jit, static_argnames=("config", "scale"))
def imitation_gradients(
    adapter: Adapter,
    params: Params,
    packed: Packed,
    weights: Float[Array, " targets"],
    *,
    config: ModelConfig,
    scale: float,
) -> tuple[Adapter, Float[Array, ""]]:
    """Gradient and value of the weighted negative log-likelihood of the targets."""

    def loss(trained: Adapter) -> Array:
        logprobs, _ = packed_logprobs(params, trained, packed, config, scale, 1.0)
        return -jnp.sum(jnp.where(packed.target_valid, logprobs * weights, 0.0))

    value, gradients = jax.value_and_grad(loss)(adapter)
    return gradients, value


@jax.jit
def add_trees(first: Any, second: Any) -> Any:
    """The sum of two pytrees, leaf by leaf."""
    return jax.tree.map(jnp.add, first, second)


@partial(jax.jit, static_argnames=("optimizer",), donate_argnums=(0, 1))
def apply_gradients(
    adapter: Adapter,
    state: Any,
    gradients: Adapter,
    learning_rate: Float[Any, ""],
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[Adapter, Any, Float[Array, ""]]:
    """One optimizer step; returns the norm of the gradient before it was clipped.

    `optimizer` has a learning rate of 1; its updates are multiplied by `learning_rate` (float32). A gradient that is
    not finite changes neither the adapter nor the moments.
    """
    norm = optax.tree.norm(gradients)
    with jax.numpy_dtype_promotion("standard"):  # Optax raises floats to integer counts
        updates, new_state = optimizer.update(gradients, state, adapter)
    new_adapter = jax.tree.map(lambda leaf, update: leaf + learning_rate * update, adapter, updates)
    finite = jnp.isfinite(norm)

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(finite, new, old)

    return jax.tree.map(keep, new_adapter, adapter), jax.tree.map(keep, new_state, state), norm


def rows_to_targets(rows: np.ndarray, packed: Packed) -> np.ndarray:
    """Spread one value per completion [prompts * group] over its targets; zero at padding."""
    return np.where(packed.target_valid, rows.astype(np.float32)[packed.target_rows], np.float32(0.0))
