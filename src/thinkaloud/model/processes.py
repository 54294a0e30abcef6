"""Several processes, on one machine or many: who does what, and how they tell each other.

Every process runs the whole program on the same recipe. Rows are shared out: each decodes, scores and differentiates
its own, and what the others need (completions, scores, sums of gradients) is exchanged, so that all hold the same
adapter to the bit. With one process nothing is exchanged.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from thinkaloud.errors import UserError

T = TypeVar("T")

SMALLEST_MESSAGE = 1 << 16
"""Messages are padded to powers of two from this many bytes on: every size is a compilation."""


def join_processes(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Make this process one of several; must come before anything else of JAX.

    Args:
        coordinator: HOST:PORT of process 0, the same for all.
        num_processes: How many there are.
        process_id: Which of them this is, from 0.

    Raises:
        UserError: One is given without the others, or the others do not come.
    """
    if coordinator is None and num_processes is None and process_id is None:
        return
    if coordinator is None or num_processes is None or process_id is None:
        raise UserError("--coordinator, --num-processes and --process-id go together; give all three, or none")
    if not coordinator.rpartition(":")[0] or not coordinator.rpartition(":")[2].isdigit():
        raise UserError(f"--coordinator {coordinator!r}: expected HOST:PORT of process 0, as 10.0.0.1:8476")
    if not 0 <= process_id < num_processes:
        raise UserError(f"--process-id {process_id}: expected 0 to {num_processes - 1} with {num_processes} processes")
    settings: Any = jax.config
    settings.update("jax_cpu_collectives_implementation", "gloo")  # looked at on CPUs alone
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"process {process_id} cannot join the others at {coordinator}: {str(error)[:200]}; start all of them, and "
            "let the port be free on the coordinator"
        ) from error


def is_first() -> bool:
    """Whether this is the process that writes the run directory."""
    return jax.process_index() == 0


def own_rows(count: int) -> range:
    """Which of `count` rows are this process's: an equal block each, the first ones one more where it does not fit."""
    base, extra = divmod(count, jax.process_count())
    index = jax.process_index()
    first = index * base + min(index, extra)
    return range(first, first + base + (index < extra))


def share(count: int, work: Callable[[range], Sequence[T]]) -> list[T]:
    """Do `work` on this process's rows and return everybody's results, in the order of the rows."""
    results = list(work(own_rows(count)))
    return [result for part in gather(results) for result in part]


def gather(value: T) -> list[T]:
    """Every process's value, in the order of processes. Values are pickled; only our own processes ever send any."""
    if jax.process_count() == 1:
        return [value]
    from jax.experimental.multihost_utils import process_allgather

    message = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = np.asarray(process_allgather(np.asarray([message.size], np.int32))).reshape(-1)
    padded = np.zeros(max(SMALLEST_MESSAGE, 1 << (int(sizes.max()) - 1).bit_length()), np.uint8)
    padded[: message.size] = message
    messages = np.asarray(process_allgather(padded)).reshape(len(sizes), -1)
    return [pickle.loads(text[:size].tobytes()) for text, size in zip(messages, sizes, strict=True)]


def sum_trees(tree: Any) -> Any:
    """The sum over processes of a tree of arrays, added in the same order everywhere, placed as it was."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental.multihost_utils import process_allgather

    def add(leaf: Any) -> Any:
        parts = np.asarray(process_allgather(np.asarray(leaf))).reshape(jax.process_count(), *leaf.shape)
        return jax.device_put(np.sum(parts, axis=0, dtype=parts.dtype), leaf.sharding)

    return jax.tree.map(add, tree)
