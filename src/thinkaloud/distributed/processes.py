"""JAX with several processes: detecting a scheduler's settings, connecting devices, summing gradients."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from thinkaloud.distributed.team import TeamError, alone, from_first, gather
from thinkaloud.errors import UserError, out_of_memory

HEARTBEAT_SECONDS = 600
"""JAX aborts a process after so long without a heartbeat of the others. `team.py` notices a lost process earlier; the
limit is high so that a machine that was suspended can continue."""


def find_devices() -> tuple[str, int, int, list[int] | None]:
    """Read the settings of SLURM, Open MPI, Kubernetes or a TPU pod, as `jax.distributed` does.

    Returns:
        HOST:PORT of the primary process, the number of processes, the index of this one, and its local devices (None
        for all).

    Raises:
        UserError: No such scheduler started this process.
    """
    from jax._src.clusters import ClusterEnv  # there is no public function for this

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, 60)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise UserError(f"--coordinator auto: {error!r:.200}; give {_BY_HAND}") from error
    address, count, index, local = found
    if address is None or count is None or index is None:
        raise UserError(
            "--coordinator auto: expected a step of SLURM or Open MPI, or a TPU pod, found none; give " + _BY_HAND
        )
    return str(address), int(count), int(index), None if local is None else list(local)


_BY_HAND = "--coordinator HOST:PORT, --num-processes and --process-id instead"


def connect_devices(address: str, count: int, index: int, local_devices: list[int] | None = None) -> None:
    """Connect the devices of all processes; call it after `team.join` and before any other use of JAX.

    Raises:
        UserError: JAX cannot connect them.
    """
    settings: Any = jax.config
    settings.update("jax_cpu_collectives_implementation", "gloo")  # has an effect on CPUs only
    host = address.rpartition(":")[0]
    port = from_first(_free_port)
    try:
        jax.distributed.initialize(
            f"{host}:{port}",
            count,
            index,
            local_device_ids=local_devices,
            cluster_detection_method="deactivate",
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"JAX cannot connect the processes at {host}:{port} ({str(error)[:200]}); open all ports between the hosts"
        ) from error
    with _no_stdout():  # gloo prints a line when it is connected
        sum_trees({"first": np.zeros((1,), np.float32)})


def sum_trees(tree: Any) -> Any:
    """The sum of a tree of arrays over all processes, in the same order in each, with the sharding of the input.

    Raises:
        TeamError: The connection to a process was lost.
    """
    if alone():
        return tree
    from jax.experimental.multihost_utils import process_allgather

    gather(None)  # detects a lost process here; the collective would wait for it

    def add(leaf: Any) -> Any:
        parts = np.asarray(process_allgather(np.asarray(leaf))).reshape(jax.process_count(), *leaf.shape)
        total = np.sum(parts, axis=0, dtype=parts.dtype)
        return jax.device_put(total, leaf.sharding) if isinstance(leaf, jax.Array) else total

    try:
        return jax.tree.map(add, tree)
    except (RuntimeError, ValueError) as error:
        if out_of_memory(error):
            raise
        raise TeamError(
            f"a collective operation failed ({str(error)[:200]}); continue with --resume in all processes"
        ) from error


def _free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _no_stdout() -> Iterator[None]:
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
