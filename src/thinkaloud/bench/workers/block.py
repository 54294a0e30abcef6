"""What every worker shares: the job in, one line of JSON for each thing that happened out. Standard library only.

A worker is started as `python -m workers.NAME JOB.json`. It says `ready`, then `step` for every step, then `end`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BEGAN = time.time()
_OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # whatever a library prints is no result


def read_job() -> dict[str, Any]:
    """The job that the command line names; see `thinkaloud.bench.work.Work.job`."""
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def _say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), file=_OUT, flush=True)


def say_ready(*, version: str, dtype: str, **more: Any) -> None:
    """The engine is loaded; the first step begins now."""
    _say("ready", version=version, dtype=dtype, start_seconds=time.time() - _process_start(), **more)


def say_step(*, seconds: float, rollout: float, update: float, lengths: Sequence[int], adapter_change: float) -> None:
    """A step is done.

    Args:
        seconds: Of the whole step.
        rollout: Of sampling, the prompts' own pass included.
        update: Of everything from the rewards on: reference pass, gradients, optimizer.
        lengths: Tokens of each completion.
        adapter_change: Euclidean distance of all adapter weights from where they began.
    """
    _say("step", seconds=seconds, rollout=rollout, update=update, lengths=list(lengths), adapter_change=adapter_change)


def say_machine(*, copy_bytes_per_second: float, matrix_flops_per_second: float, dtype: str) -> None:
    """What the machine can do; a copy counts the bytes that are read and those that are written."""
    _say(
        "machine",
        copy_bytes_per_second=copy_bytes_per_second,
        matrix_flops_per_second=matrix_flops_per_second,
        dtype=dtype,
    )


def say_end(device_peak_bytes: int | None = None) -> None:
    """All steps are done. `device_peak_bytes`: the accelerator's peak, where there is one."""
    _say("end", peak_memory_bytes=device_peak_bytes or _peak_bytes())


def rewards(count: int, group_size: int) -> list[float]:
    """A trivial reward: by the place in the group, so that every group has a signal, the same in every engine."""
    return [(i % group_size) / (group_size - 1) for i in range(count)]


def _peak_bytes() -> int:
    """Peak resident memory of this process. (`ru_maxrss` would count the parent's too, where it is greater.)"""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _process_start() -> float:
    """When this process began (seconds since the epoch), interpreter and imports included where the system tells."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return _BEGAN
