"""What JAX does for several processes: it finds them where a scheduler started them, and carries their gradients."""

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
"""After which JAX aborts a process whose team is silent: the last net, for exchanges between accelerators. Whatever
else is noticed sooner by `team.py`; and a machine that sleeps for a while costs no run."""


def find_devices() -> tuple[str, int, int, list[int] | None]:
    """What SLURM, Open MPI, Kubernetes or a TPU pod tells a process that it started, as JAX understands it.

    Returns:
        HOST:PORT of process 0, the number of processes, which one this is, and which of the host's devices are its own
        (None for all).

    Raises:
        UserError: None of them does.
    """
    from jax._src.clusters import ClusterEnv  # what `jax.distributed.initialize` asks; it has no public door

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, 60)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise UserError(f"--coordinator auto: {error!r:.200}; give {_BY_HAND}") from error
    address, count, index, local = found
    if address is None or count is None or index is None:
        raise UserError(
            "--coordinator auto: expected a step of SLURM or Open MPI, or a TPU pod, found none of them; give "
            + _BY_HAND
        )
    return str(address), int(count), int(index), None if local is None else list(local)


_BY_HAND = "--coordinator HOST:PORT, --num-processes and --process-id instead"


def connect_devices(address: str, count: int, index: int, local_devices: list[int] | None = None) -> None:
    """Make the devices of all processes known to each other; after `team.join`, before anything else of JAX.

    Raises:
        UserError: It cannot be done.
    """
    settings: Any = jax.config
    settings.update("jax_cpu_collectives_implementation", "gloo")  # looked at on CPUs alone
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
            f"JAX cannot join the processes at {host}:{port} ({str(error)[:200]}); let the hosts reach each other on "
            "all ports"
        ) from error
    with _no_stdout():  # gloo says there that it is connected
        sum_trees({"first": np.zeros((1,), np.float32)})


def sum_trees(tree: Any) -> Any:
    """The sum over processes of a tree of arrays, added in the same order everywhere, placed as it was.

    Raises:
        TeamError: A process is gone.
    """
    if alone():
        return tree
    from jax.experimental.multihost_utils import process_allgather

    gather(None)  # whoever is gone is noticed here, rather than waited for where nothing reaches

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
            f"an exchange between the processes failed ({str(error)[:200]}); go on with --resume"
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
