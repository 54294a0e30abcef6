"""Dtypes of the base's weights and of activations, the precision of products, and how weights are stored on a CPU.

Adapters, norms, softmax and sums of products are always float32. The base is float32, bfloat16 or float16. Activations
have the base's dtype on accelerators if it is bfloat16. On a CPU, and with float16, they are float32, and only the
factors of a product with the base are rounded: this is more accurate, float16 would overflow, and on a CPU XLA computes
in float32 anyway, converting narrower types back and forth.

Float32 factors are multiplied as float32: without an explicit precision, TPUs would round them to bfloat16 first, and
GPUs to TF32.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""A CPU with one of them multiplies bfloat16 faster than float32."""

FIRST_BFLOAT16_CAPABILITY = 8.0
"""NVIDIA GPUs of a lower compute capability (T4: 7.5) have float16 products, but no bfloat16 ones."""


def base_dtype(dtype: Dtype, backend: str | None = None) -> Literal["float32", "bfloat16", "float16"]:
    """The dtype for `auto`: bfloat16 where the device multiplies it fast, else float16 on GPUs, float32 on CPUs.

    Sampler and trainer sum in different orders. In bfloat16 their log-probabilities of a token differ by about 0.01
    (docs/log.md, 2026-11-24), in float32 by less than 0.0001.
    """
    if dtype != "auto":
        return dtype
    backend = backend or jax.default_backend()
    if backend == "cpu":
        return "bfloat16" if _cpu_flags(CPU_INFO) & BFLOAT16_FLAGS else "float32"
    capability = gpu_capability() if backend == "gpu" else None
    if capability is not None and capability < FIRST_BFLOAT16_CAPABILITY:
        return "float16"
    return "bfloat16"


def is_slow(dtype: Dtype, backend: str | None = None) -> bool:
    """Whether a dtype that a recipe names makes this device convert each weight before it multiplies."""
    backend = backend or jax.default_backend()
    if dtype == "bfloat16":
        return base_dtype("auto", backend) != "bfloat16"
    return dtype == "float16" and backend == "cpu"


@cache
def _cpu_flags(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def gpu_capability() -> float | None:
    """The compute capability of this process's first NVIDIA GPU; None on other devices."""
    try:
        return float(getattr(jax.local_devices()[0], "compute_capability", "none"))
    except ValueError:
        return None


def activation_dtype(weights: Any, backend: str | None = None) -> Any:
    """The dtype of hidden states, keys and values, for weights of this dtype."""
    wide = (backend or jax.default_backend()) == "cpu" or jnp.dtype(weights) == jnp.float16
    return jnp.dtype(jnp.float32) if wide else jnp.dtype(weights)


def product(formula: str, one: Any, other: Any) -> Any:
    """An einsum of factors of one dtype, summed in float32; float32 factors are not rounded."""
    precision = jax.lax.Precision.HIGHEST if one.dtype == jnp.float32 else None
    return jnp.einsum(formula, one, other, precision=precision, preferred_element_type=jnp.float32)


def weight_product(formula: str, x: Any, weight: Any) -> Any:
    """`product`, with x rounded to the dtype of the weights.

    For float16 each row of x (its last axis) is divided by a power of two first, and the result multiplied by it:
    large hidden states do not overflow, and small gradients do not vanish.
    """
    if weight.dtype != jnp.float16:
        return product(formula, x.astype(weight.dtype), weight)
    x = x.astype(jnp.float32)
    _, exponent = jnp.frexp(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    return jnp.ldexp(product(formula, jnp.ldexp(x, -exponent).astype(weight.dtype), weight), exponent)


def as_bits(tree: Any) -> Any:
    """Weights in the form in which they are stored and passed to programs; `as_numbers` is the inverse.

    On a CPU, XLA converts every bfloat16 array that it gathers from, or that a loop carries, to float32 as a whole, and
    converts parts back in every iteration. It does not touch weights stored as bits (uint16).
    """
    if jax.default_backend() != "cpu":
        return tree

    def bits(x: Any) -> Any:
        if x.dtype != jnp.bfloat16:
            return x
        return x.view(np.uint16) if isinstance(x, np.ndarray) else jax.lax.bitcast_convert_type(x, jnp.uint16)

    return jax.tree.map(bits, tree)


def as_numbers(tree: Any) -> Any:
    """The inverse of `as_bits`."""

    def numbers(x: Any) -> Any:
        return jax.lax.bitcast_convert_type(x, jnp.bfloat16) if x.dtype == jnp.uint16 else x

    return jax.tree.map(numbers, tree)


def rows_of(weight: Any, rows: Any) -> Any:
    """weight[rows] as numbers; a barrier keeps XLA from converting all rows first."""
    barrier: Any = jax.lax.optimization_barrier
    return as_numbers(barrier(as_bits(weight)[rows]))


def weights_dtype(params: Any) -> Any:
    """The dtype of a model's weights, stored as numbers or as bits."""
    dtype = jnp.dtype(params["embed"].dtype)
    return jnp.dtype(jnp.bfloat16) if dtype == jnp.uint16 else dtype
