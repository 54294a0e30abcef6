"""Our optimizer in the form that Tunix's trainer expects, and the conversion of its state."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import Adapter
from thinkaloud.train.tunix.lora import filled, gathered


class Rated(NamedTuple):
    """State of `rated`: the learning rate of the next update, set from outside, and the inner optimizer's state."""

    rate: Any
    inner: Any


def rated(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optimizer` (with a learning rate of 1) at the learning rate in its state.

    A gradient that is not finite, or zero everywhere (no group has signal), changes nothing, as in
    `learner.apply_gradients`.
    """

    def init(params: Any) -> Rated:
        return Rated(jnp.zeros((), jnp.float32), optimizer.init(params))

    def update(gradients: Any, state: Rated, params: Any = None) -> tuple[Any, Rated]:
        updates, inner = optimizer.update(gradients, state.inner, params)
        norm = optax.global_norm(gradients)
        counts = jnp.isfinite(norm) & (norm > 0)
        updates = jax.tree.map(lambda u: jnp.where(counts, state.rate * u, 0.0).astype(u.dtype), updates)
        inner = jax.tree.map(lambda new, old: jnp.where(counts, new, old), inner, state.inner)
        return updates, Rated(state.rate, inner)

    return optax.GradientTransformation(init, update)


def set_rate(trainer: Any, rate: float) -> None:
    """Set the learning rate of the trainer's next update."""
    variable = _rated(trainer).rate
    variable.set_value(jax.device_put(jnp.asarray(rate, jnp.float32), variable.get_value().sharding))


def put_state(trainer: Any, config: ModelConfig, state: Any) -> None:
    """Set the trainer's moments and count to those of our optimizer's state."""
    theirs, ours = _adam(_rated(trainer).inner), _adam(state)
    theirs.count.set_value(jax.device_put(jnp.asarray(ours.count), theirs.count.get_value().sharding))
    for old, new in ((theirs.mu, ours.mu), (theirs.nu, ours.nu)):
        nnx.update(old, filled(old, config, new))


def take_state(trainer: Any, config: ModelConfig, like: Any) -> Any:
    """The trainer's moments and count as our optimizer's state, with the shapes of `like`."""
    theirs, ours = _adam(_rated(trainer).inner), _adam(like)
    count = jax.device_put(jax.device_get(theirs.count.get_value()), ours.count.sharding)
    moments: list[Adapter] = [
        gathered(state, config, old) for state, old in ((theirs.mu, ours.mu), (theirs.nu, ours.nu))
    ]
    adam = ours._replace(count=count, mu=moments[0], nu=moments[1])
    return tuple(adam if part is ours else part for part in like)


def _rated(trainer: Any) -> Rated:
    state = trainer.optimizer.opt_state
    return state.inner_opt_state if hasattr(state, "inner_opt_state") else state  # nested if gradients are accumulated


def _adam(state: Any) -> Any:
    return next(part for part in state if hasattr(part, "mu"))
