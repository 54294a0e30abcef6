"""`train` in several processes: how they are told of each other, and how they end together."""

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
    """Within it this process is one of several, where the options say so; it must not have used JAX before.

    Whoever is done waits in the end for the others. An error in one process ends all of them, each with a line that
    says what it was.

    Args:
        settings: What has to be the same in all of them, JSON-ready, by name.

    Raises:
        UserError: The options do not go together, or the others do not come, or were started otherwise.
    """
    if coordinator is None and num_processes is None and process_id is None:
        yield
        return
    if (coordinator == "auto") != (num_processes is None and process_id is None) or (
        coordinator != "auto" and None in (coordinator, num_processes, process_id)
    ):
        raise UserError(
            "--coordinator HOST:PORT, --num-processes and --process-id go together; give all three, none, or "
            "--coordinator auto alone"
        )
    # JAX aborts a process whose process 0 is gone; so it does without a stack trace.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "4")
    os.environ.setdefault("JAX_ENABLE_PREEMPTION_SERVICE", "0")  # it listens to SIGTERM, as `stopping` does
    from thinkaloud.distributed import team

    try:
        _join(coordinator, num_processes, process_id, {**settings, **_versions()})
        yield
        team.gather(None)
    except StopRequested:  # of all of them
        team.leave()
        raise
    except (Exception, KeyboardInterrupt) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        team.leave(words if isinstance(error, team.TeamError) else f"process {team.index()} ended: {words[:1000]}")
        mendable = isinstance(error, UserError | OSError) or out_of_memory(error) is not None
        atexit.register(_leave, INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2 if mendable else 1)
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
    met = team.meet(
        coordinator,
        num_processes,
        process_id,
        settings,
        key=os.environ.get(team.KEY_VARIABLE, "").encode(),
        notify=lambda text: print(text, file=sys.stderr),
    )
    team.join(met)
    if team.alone():
        return
    from thinkaloud.distributed.processes import connect_devices

    connect_devices(coordinator, num_processes, process_id, local_devices)


def _versions() -> dict[str, str]:
    return {f"the version of {name}": version(name) for name in ("thinkaloud", "jax", "jaxlib")}


def _leave(code: int) -> None:
    """The end of a process that failed; JAX's own would wait for the others, who are gone."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)
