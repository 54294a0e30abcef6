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
def in_team(
    coordinator: str | None, num_processes: int | None, process_id: int | None, settings: Mapping[str, Any]
) -> Iterator[None]:
    """Connect this process to the others of the run, if the options are given. JAX must not have been used before.

    At the end a process waits for the others. An error in one process ends all of them, each with a line that states
    the error.

    Args:
        settings: Settings that must be the same in all processes, JSON-ready, by name.

    Raises:
        UserError: The options are incomplete, the others do not connect, or their settings differ.
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
    # JAX aborts the other processes if process 0 is lost; this hides its stack trace.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "4")
    os.environ.setdefault("JAX_ENABLE_PREEMPTION_SERVICE", "0")  # it would also handle SIGTERM
    from thinkaloud.distributed import team

    try:
        _join(coordinator, num_processes, process_id, {**settings, **_versions()})
        yield
        team.gather(None)
    except StopRequested:  # raised in all processes
        team.leave()
        raise
    except (Exception, KeyboardInterrupt) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        team.leave(message if isinstance(error, team.TeamError) else f"process {team.index()} ended: {message[:1000]}")
        is_user_error = isinstance(error, UserError | OSError) or out_of_memory(error) is not None
        atexit.register(_leave, INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2 if is_user_error else 1)
        raise
    team.leave()


def _join(
    coordinator: str | None, num_processes: int | None, process_id: int | None, settings: Mapping[str, Any]
) -> None:
    from thinkaloud.distributed import team

    local_devices = None
    if coordinator is None or num_processes is None or process_id is None:
        from thinkaloud.distributed.processes import find_devices

        coordinator, num_processes, process_id, local_devices = find_devices()
    connected = team.meet(
        coordinator,
        num_processes,
        process_id,
        settings,
        key=os.environ.get(team.KEY_VARIABLE, "").encode(),
        notify=lambda text: print(text, file=sys.stderr),
    )
    team.join(connected)
    if team.alone():
        return
    from thinkaloud.distributed.processes import connect_devices

    connect_devices(coordinator, num_processes, process_id, local_devices)


def _versions() -> dict[str, str]:
    return {f"the version of {name}": version(name) for name in ("thinkaloud", "jax", "jaxlib")}


def _leave(code: int) -> None:
    """Exit after a failure. JAX's own exit handler would wait for the other processes."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)
