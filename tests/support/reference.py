"""Simple reference implementations: one row at a time, whole logits, nothing shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.model.architecture import head_weight
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.packed import forward, pack

run = jax.jit(forward, static_argnames=("config", "scale", "collect"))


def all_logits(params: Any, tokens: Sequence[int], config: ModelConfig, adapter: Any = None, scale: float = 1.0) -> Any:
    """Logits [length, vocab] at every position of one sequence, as one prompt without completions."""
    packed = pack([tokens], [[]])
    hidden, _ = run(params, adapter or {}, packed, config, scale)
    return jnp.einsum("td,vd->tv", hidden[: len(tokens)], head_weight(params))


def plain_logprobs(
    params: Any,
    adapter: Any,
    prompt: Sequence[int],
    completion: Sequence[int],
    config: ModelConfig,
    scale: float,
    temperature: float,
) -> Any:
    """Log-probabilities of a completion after its prompt, from whole logits of the joined sequence."""
    logits = all_logits(params, [*prompt, *completion], config, adapter, scale)
    logprobs = jax.nn.log_softmax(logits[len(prompt) - 1 : -1] / np.float32(temperature), axis=-1)
    return logprobs[np.arange(len(completion)), np.asarray(completion)]


def random_adapter(adapter: Any, seed: int, deviation: float = 0.05) -> Any:
    """An adapter whose B is not zero, so that every part of it has a gradient."""
    leaves, tree = jax.tree.flatten(adapter)
    rng = np.random.default_rng(seed)
    moved = [leaf + deviation * rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    return jax.tree.unflatten(tree, moved)
