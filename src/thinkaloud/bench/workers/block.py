"""The protocol of a worker: it reads a job and writes one line of JSON per event. Standard library only.

A worker is started as `python -m workers.NAME JOB.json`. Its events are `ready`, one `step` per step, and `end`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_BEGAN = time.time()
_OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # stdout is for events; what libraries print goes to stderr


def read_job() -> dict[str, Any]:
    """The job that the command line names; see `thinkaloud.bench.work.Work.job`."""
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def _write_event(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), file=_OUT, flush=True)


def of_each_step(job: dict[str, Any], batches: Sequence[T]) -> list[T]:
    """What each step of a job works on: the batches in turn."""
    return [batches[step % len(batches)] for step in range(job["steps"])]


def prompt_ids(job: dict[str, Any]) -> dict[str, list[int]]:
    """The token ids of every prompt of a job, by its text."""
    return {text: ids for batch in job["batches"] for text, ids in zip(batch["texts"], batch["prompts"], strict=True)}


def report_ready(*, version: str, dtype: str, **more: Any) -> None:
    """The engine is loaded; the first step starts now."""
    _write_event("ready", version=version, dtype=dtype, start_seconds=time.time() - _process_start(), **more)


def report_step(
    *, seconds: float, rollout: float, update: float, lengths: Sequence[int], adapter_change: float
) -> None:
    """A step is done.

    Args:
        seconds: Time of the whole step.
        rollout: Time of sampling, including the prefill.
        update: Time of everything after the rewards: reference pass, gradients, optimizer.
        lengths: Tokens of each completion.
        adapter_change: Euclidean distance of all adapter weights from their initial values.
    """
    _write_event(
        "step", seconds=seconds, rollout=rollout, update=update, lengths=list(lengths), adapter_change=adapter_change
    )


def report_device(*, device: str, problem: str | None) -> None:
    """The device in words, and why it is the wrong one, if it is."""
    _write_event("device", device=device, problem=problem)


def report_machine(*, copy_bytes_per_second: float, matrix_flops_per_second: float, dtype: str) -> None:
    """Measured rates of the machine. A copy counts the bytes read and the bytes written."""
    _write_event(
        "machine",
        copy_bytes_per_second=copy_bytes_per_second,
        matrix_flops_per_second=matrix_flops_per_second,
        dtype=dtype,
    )


def report_end(device_peak_bytes: int | None = None) -> None:
    """All steps are done. `device_peak_bytes`: peak memory of the accelerator, if there is one."""
    _write_event("end", peak_memory_bytes=device_peak_bytes or _peak_bytes())


def rewards(count: int, group_size: int) -> list[float]:
    """Rewards by position in the group: the same for every engine, and every group has signal."""
    return [(i % group_size) / (group_size - 1) for i in range(count)]


def _peak_bytes() -> int:
    """Peak resident memory of this process. (`ru_maxrss` also counts the parent's before exec.)"""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _process_start() -> float:
    """When this process started (seconds since the epoch); without /proc, when this module was imported."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return _BEGAN
