"""Log-probabilities of chosen tokens, without materializing [tokens, vocabulary].

The head runs in chunks, and only on positions that predict a completion token. It is frozen, so the only gradient is
that of the hidden state, which is known in the forward pass:

    d log p(t) / d h = (E[t] - sum_v p(v) E[v]) / temperature

It is stored ([targets, width]) and scaled in the backward pass. This takes two products with the head per token;
recomputing the logits would take three. With an entropy bonus the gradient of the entropy is stored as well, for one
product more:

    d H / d h = -sum_v p(v) (log p(v) + H) E[v] / temperature
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.model.precision import as_bits, as_numbers, rows_of, weight_product
from thinkaloud.model.sharding import divide_rows

CHUNK_BYTES = 64 * 2**20
"""Approximate size of the largest array of logits on a CPU, in float32."""

ACCELERATOR_CHUNK_BYTES = 512 * 2**20
"""The same on accelerators. Every chunk reads the whole head: with Gemma's vocabulary of 262,144, 64 MiB are 64 rows,
and an accelerator needs several hundred rows per read to be compute-bound."""


def chunk_size(vocab_size: int, num_targets: int) -> int:
    """Targets per chunk: a divisor of `num_targets` within the limit on bytes of logits."""
    most = CHUNK_BYTES if jax.default_backend() == "cpu" else ACCELERATOR_CHUNK_BYTES
    limit = max(1, min(num_targets, most // (4 * vocab_size)))
    return next(size for size in range(limit, 0, -1) if num_targets % size == 0)


def token_logprobs(
    head: Float[Array, "vocab width"],
    hidden: Float[Array, "targets width"],
    targets: Int[Array, " targets"],
    temperature: float,
    *,
    valid: Bool[Array, " targets"] | None = None,
    entropy_gradient: bool = False,
    mesh: Mesh | None = None,
) -> tuple[Float[Array, " targets"], Float[Array, " targets"]]:
    """Log-probability of each target and the entropy of its distribution, both at `temperature`, in nats, float32.

    No gradient flows into the head, and through the entropy only if `entropy_gradient`. Chunks of targets of which none
    is `valid` are skipped: both are 0 there. The rows of each chunk are divided over the `mesh`.
    """
    if valid is None:
        valid = jnp.ones(targets.shape, bool)
    return _token_logprobs(head, hidden, targets, valid, temperature, entropy_gradient, mesh)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _token_logprobs(
    head: Array,
    hidden: Array,
    targets: Array,
    valid: Array,
    temperature: float,
    entropy_gradient: bool,
    mesh: Mesh | None,
) -> tuple[Array, Array]:
    logprobs, entropies, _ = _chunked(head, hidden, targets, valid, temperature, mesh, num_gradients=0)
    return logprobs, entropies


def _forward(
    head: Array,
    hidden: Array,
    targets: Array,
    valid: Array,
    temperature: float,
    entropy_gradient: bool,
    mesh: Mesh | None,
) -> tuple[tuple[Array, Array], Array]:
    number = 2 if entropy_gradient else 1
    logprobs, entropies, gradients = _chunked(head, hidden, targets, valid, temperature, mesh, num_gradients=number)
    return (logprobs, entropies), gradients


def _backward(
    temperature: float,
    entropy_gradient: bool,
    mesh: Mesh | None,
    gradients: Array,
    cotangents: tuple[Array, Array],
) -> tuple[None, Array, None, None]:
    total = gradients[0].astype(jnp.float32) * cotangents[0][:, None]
    if entropy_gradient:
        total = total + gradients[1].astype(jnp.float32) * cotangents[1][:, None]
    return None, total.astype(gradients.dtype), None, None


_token_logprobs.defvjp(_forward, _backward)


def _chunked(
    head: Array,
    hidden: Array,
    targets: Array,
    valid: Array,
    temperature: float,
    mesh: Mesh | None,
    *,
    num_gradients: int,
) -> tuple[Array, Array, Array]:
    """Log-probabilities, entropies, and the first of the gradients of both: [num_gradients, targets, width]."""
    size = chunk_size(head.shape[0], hidden.shape[0])
    inverse, carried = np.float32(1.0 / temperature), as_bits(head)

    def one(chunk: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        rows, wanted = divide_rows(chunk, mesh)
        head = as_numbers(carried)
        logits = weight_product("td,vd->tv", rows, head) * inverse
        highest = jnp.max(logits, axis=-1)
        powers = jnp.exp(logits - highest[:, None])  # computed once: the largest cost besides the products
        total = jnp.sum(powers, axis=-1)
        normalizer = highest + jnp.log(total)
        logprobs = jnp.take_along_axis(logits, wanted[:, None], axis=-1)[:, 0] - normalizer
        entropies = normalizer - jnp.sum(powers * logits, axis=-1) / total
        if not num_gradients:
            return logprobs, entropies, jnp.zeros((0, *rows.shape), rows.dtype)

        def mean(values: Array) -> Array:
            """The mean of the head's rows under `values` / `total`."""
            return weight_product("tv,vd->td", values, head) / total[:, None]

        gradients = [rows_of(carried, wanted).astype(jnp.float32) - mean(powers)]
        if num_gradients > 1:
            surprise = logits - (normalizer - entropies)[:, None]  # log p + H
            gradients.append(-mean(powers * surprise))
        return logprobs, entropies, (jnp.stack(gradients) * inverse).astype(rows.dtype)

    def skipped(chunk: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        zero = jnp.zeros(size, jnp.float32)
        return zero, zero, jnp.zeros((num_gradients, size, hidden.shape[1]), hidden.dtype)

    chunks = divide_rows((hidden.reshape(-1, size, hidden.shape[1]), targets.reshape(-1, size)), mesh, axis=1)
    logprobs, entropies, gradients = jax.lax.map(  # gradients: [chunks, num_gradients, size, width]
        lambda chunk: jax.lax.cond(chunk[1], one, skipped, chunk[0]), (chunks, valid.reshape(-1, size).any(axis=1))
    )
    return logprobs.reshape(-1), entropies.reshape(-1), jnp.swapaxes(gradients, 0, 1).reshape(-1, *hidden.shape)
