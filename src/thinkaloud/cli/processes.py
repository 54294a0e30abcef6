"""`train` in several processes: connecting them, and ending all of them after an error."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any

from thinkaloud.cli.exits import INTERRUPTED
from thinkaloud.errors import UserError, out_of_memory
from thinkaloud.pipeline.stopping import StopRequested


@contextmanager
def in_processes(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    settings: Mapping[str, Any],
    heartbeat_seconds: int,
) -> Iterator[None]:
    """Connect this process to the others of the run, if the options are given. JAX must not have been used before.

    At the end a process waits for the others. An error in one process ends all of them, each with a line that states
    the error.

    Args:
        settings: Settings that must be the same in all processes, JSON-ready, by name.
        heartbeat_seconds: A process that was not heard for so long is lost.

    Raises:
        UserError: The options are incomplete, the others do not connect, or their settings differ.
        ProcessLost: Another process has ended.
    """
    if coordinator is None and num_processes is None and process_id is None:
        yield
        return
    if (coordinator == "auto") != (num_processes is None and process_id is None) or (
        coordinator != "auto" and None in (coordinator, num_processes, process_id)
    ):
        raise UserError(
            "expected --coordinator HOST:PORT, --num-processes and --process-id together, or --coordinator auto alone; "
            "give all three, none, or auto"
        )
    # To be set before JAX is imported. JAX aborts a process that cannot connect, or whose process 0 is lost, with a C++
    # stack trace; `distributed/watch.py` has one line instead.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # what JAX sets itself, also for the programs it starts
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "4"
    os.environ.setdefault("JAX_ENABLE_PREEMPTION_SERVICE", "0")  # it would also handle SIGTERM
    from thinkaloud.distributed.processes import connect, disconnect, fail

    try:
        connect(
            None if coordinator == "auto" else coordinator,
            num_processes,
            process_id,
            {**settings, **_versions()},
            heartbeat_seconds=heartbeat_seconds,
            notify=lambda text: print(text, file=sys.stderr),
        )
        stopped: StopRequested | None = None
        try:
            yield
        except StopRequested as error:  # raised in all processes
            stopped = error
        disconnect(stopped.code if stopped else 0)
    except (Exception, KeyboardInterrupt) as error:
        cause = fail(error)
        is_user_error = isinstance(cause, UserError | OSError) or out_of_memory(cause) is not None
        atexit.register(_leave, INTERRUPTED if isinstance(cause, KeyboardInterrupt) else 2 if is_user_error else 1)
        if cause is error:
            raise
        raise cause from error
    if stopped:
        raise stopped


def _versions() -> dict[str, str]:
    return {f"the version of {name}": version(name) for name in ("thinkaloud", "jax", "jaxlib")}


def _leave(code: int) -> None:
    """Exit after a failure. JAX's own exit handler would wait for the other processes."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)
