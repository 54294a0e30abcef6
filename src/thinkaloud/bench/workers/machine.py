"""Measures the machine: bytes copied and floating-point operations per second, with JAX, on the training device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.bench.workers import block

COPY_BYTES = 1 << 28
WIDTH = 2048
REPEATS = 8


def main() -> None:
    dtype = block.read_job()["dtype"]
    if dtype == "auto":
        dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    vector = jnp.zeros(COPY_BYTES // 4, jnp.float32)
    matrix = jnp.ones((WIDTH, WIDTH), dtype)
    copying = _least(jax.jit(lambda x: x + np.float32(1.0)), vector)
    # sums in float32, as in the engine; on some processors twice as fast
    product = jax.jit(lambda x: jnp.matmul(x, x, preferred_element_type=jnp.float32))
    multiplying = _least(product, matrix)
    block.report_machine(
        copy_bytes_per_second=2 * COPY_BYTES / copying, matrix_flops_per_second=2 * WIDTH**3 / multiplying, dtype=dtype
    )
    block.report_end()


def _least(function: Callable[[Any], Any], argument: Any) -> float:
    """The shortest of several runs, to exclude the load of other processes."""
    function(argument).block_until_ready()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        function(argument).block_until_ready()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
