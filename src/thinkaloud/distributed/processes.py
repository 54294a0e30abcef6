"""Connecting the processes of a run by `jax.distributed`, and disconnecting them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np

from thinkaloud.distributed.agreement import Processes, alone, gather, is_first, join, require_same
from thinkaloud.distributed.devices import device_memory_bytes, limit_memory
from thinkaloud.distributed.watch import Watch, forget_abort, handle_abort
from thinkaloud.errors import ProcessLost, UserError, out_of_memory

CONNECT_SECONDS = 300
"""How long the processes of a run wait for each other at the start."""

_watch: Watch | None = None


def connect(
    address: str | None,
    count: int | None,
    index: int | None,
    settings: Mapping[str, Any],
    *,
    heartbeat_seconds: int,
    connect_seconds: int = CONNECT_SECONDS,
    notify: Callable[[str], None] = lambda text: None,
) -> None:
    """Connect this process to the others; JAX must not have been used before.

    Args:
        address: HOST:PORT of process 0, the same for all. None: address, count and index are those of the scheduler
            (SLURM, Open MPI, Kubernetes, TPU pod), as `jax.distributed` detects it.
        count: The number of processes.
        index: The index of this process, from 0.
        settings: Settings that must be the same in all processes, JSON-ready, by name.
        heartbeat_seconds: A process that was not heard for so long is lost.
        connect_seconds: How long to wait for the others.
        notify: Receives at most one line.

    Raises:
        UserError: The address is wrong or its port taken, there is no scheduler, or the settings differ. If others do
            not connect in time, the process ends with exit code 2.
    """
    global _watch
    if address is not None:
        assert count is not None
        assert index is not None
        _check_place(address, count, index)
        if count == 1:
            return
        notify(
            f"process {index} of {count}: connecting to process 0 at {address}; progress is shown there"
            if index
            else f"process 0 of {count}: waiting at {address} for the others, at most {connect_seconds} s"
        )
    settings_of_jax: Any = jax.config
    settings_of_jax.update("jax_cpu_collectives_implementation", "gloo")  # has an effect on CPUs only
    settings_of_jax.update("jax_enable_recoverability", True)  # `watch.py` ends the others of a lost process
    where = address or "the address that the scheduler gives"
    handle_abort(lambda: _not_connected(where, connect_seconds))
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            cluster_detection_method=None if address is None else "deactivate",
            initialization_timeout=connect_seconds,
            heartbeat_timeout_seconds=heartbeat_seconds,
        )
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        forget_abort()
        raise UserError(_why_not(address, str(error))) from error
    from jax._src.distributed import global_state  # there is no public access to the key-value store

    client, index, count = global_state.client, global_state.process_id, global_state.num_processes
    _exchange_at(client, own_address(str(global_state.coordinator_address)))
    _watch = Watch(client, index, count, heartbeat_seconds)
    handle_abort(_watch.lose_primary)
    join(Processes(index, count, client, _watch.check))
    require_same(gather(dict(settings)))
    with _no_stdout():  # gloo prints a line when it is connected
        from jax.experimental.multihost_utils import process_allgather

        process_allgather(np.zeros((1,), np.float32))
    limit_memory(gather(device_memory_bytes()))


def disconnect(code: int = 0) -> None:
    """All processes are done: wait for them, and close the connections.

    Args:
        code: The exit code that this process will have.

    Raises:
        ProcessLost: Another process has ended before.
    """
    global _watch
    if _watch is None:
        return
    gather(None)
    _watch.close(code)
    from jax._src.distributed import global_state

    service: Any = global_state
    service.shutdown()
    forget_abort()
    join(Processes(_watch.index))  # alone now, and the primary process is still the one that reports
    _watch = None


def fail(error: BaseException) -> BaseException:
    """Tell the other processes why this one ends.

    Returns:
        ProcessLost if `error` is only a consequence of another process's end, else `error`.
    """
    if _watch is None:
        return error
    if _is_of_collective(error):
        try:
            _watch.wait()
        except ProcessLost as lost:
            error = lost
    words = " ".join(str(error).split())[:1000] or type(error).__name__
    _watch.fail("" if isinstance(error, ProcessLost) else f"process {_watch.index} ended: {words}")
    return error


def broadcast(tree: Any, like: Any) -> Any:
    """The primary process's arrays, on the host of every process, with every bit.

    Args:
        tree: Of numpy arrays; read in the primary process only.
        like: A tree with the shapes and dtypes of `tree`.
    """
    if alone():
        return tree
    from jax.experimental.multihost_utils import broadcast_one_to_all

    def as_bytes(leaf: Any) -> np.ndarray:
        return np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)

    if not is_first():
        tree = jax.tree.map(lambda leaf: np.zeros(np.shape(leaf), leaf.dtype), like)
    sent = broadcast_one_to_all(jax.tree.map(as_bytes, tree))
    return jax.tree.map(lambda leaf, there: np.asarray(leaf).view(there.dtype).reshape(np.shape(there)), sent, like)


def own_address(coordinator: str) -> str:
    """The IP address of this host on the way to process 0.

    Args:
        coordinator: HOST:PORT of process 0.
    """
    host, _, port = coordinator.rpartition(":")
    family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:  # sends nothing
        probe.connect(address)
        return str(probe.getsockname()[0])


def _exchange_at(client: Any, address: str) -> None:
    """Let CPUs of other hosts reach this one at `address`.

    JAX announces what the host's name resolves to, which is a loopback address on many hosts.
    """
    from jax._src import lib, xla_bridge  # no public access either

    jaxlib: Any = lib
    bridge: Any = xla_bridge
    make = partial(bridge.make_cpu_client, jaxlib._jax.make_gloo_tcp_collectives(client, address))
    bridge.register_backend_factory("cpu", make, priority=0, fail_quietly=False)


def _is_of_collective(error: BaseException) -> bool:
    """Whether an exchange between devices failed, which is how a computation notices a lost process."""
    return (
        isinstance(error, jax.errors.JaxRuntimeError | ValueError)
        and out_of_memory(error) is None
        and any(word in str(error).lower() for word in ("gloo", "nccl", "connection", "unavailable", "collective"))
    )


def _check_place(address: str, count: int, index: int) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise UserError(f"--coordinator {address!r}: expected HOST:PORT of process 0, such as 10.0.0.1:8476")
    if not 0 <= index < count:
        raise UserError(f"--process-id {index}: expected 0 to {count - 1} with {count} processes")


def _why_not(address: str | None, error: str) -> str:
    by_hand = "--coordinator HOST:PORT, --num-processes and --process-id"
    if address is None:
        return (
            "--coordinator auto: expected a step of SLURM or Open MPI, Kubernetes, or a TPU pod, found none "
            f"({error[:100]}); give {by_hand} instead"
        )
    if "RPC server" in error:
        return f"process 0 cannot listen at {address}: the port is taken; give --coordinator a free port of its host"
    return f"the processes cannot connect at {address} ({error[:200]}); give every process its own --process-id"


def _not_connected(where: str, seconds: int) -> None:
    print(
        f"error: not all processes connected at {where} within {seconds} s; start all of them with the same "
        "--coordinator and --num-processes, each with its own --process-id, and open the port",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)


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
