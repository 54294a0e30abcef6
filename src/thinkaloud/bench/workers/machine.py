"""Measures the machine: bytes copied and floating-point operations per second, with JAX, on the training device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.bench.workers import block
from thinkaloud.distributed.devices import check_accelerator, describe_devices
from thinkaloud.errors import UserError
from thinkaloud.model.precision import base_dtype

COPY_BYTES = 1 << 28
WIDTH = 2048
REPEATS = 8


def main() -> None:
    dtype = block.read_job()["dtype"]
    dtype = base_dtype(dtype)
    try:
        check_accelerator()
        problem = None
    except UserError as error:
        problem = str(error)
    block.report_device(device=describe_devices(1, dtype), problem=problem)
    if problem:
        block.report_end()
        return
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
