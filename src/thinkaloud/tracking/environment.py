"""The machine, the software and the time of each phase of a run: environment.json."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

import thinkaloud

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
"""The flag of XLA without which sums on a GPU may differ in the last bits from run to run."""


class PhaseTimer:
    """Seconds by phase. Times of a phase that is entered several times are added.

    Args:
        earlier: The seconds of an earlier session, from environment.json; values that are not numbers are ignored.
    """

    def __init__(self, earlier: object = None) -> None:
        known = earlier.items() if isinstance(earlier, dict) else ()
        self.seconds: dict[str, float] = {str(k): float(v) for k, v in known if isinstance(v, int | float)}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def describe_environment(sandbox_level: str, seconds: dict[str, float]) -> dict[str, Any]:
    """Machine, versions, whether operations are deterministic, sandbox level, seconds, peak memory.

    Args:
        sandbox_level: Of the run.
        seconds: By phase. The peak memory of this process is in GB of 10^9 bytes.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "devices": [device.device_kind for device in jax.devices()],
        "deterministic_ops": jax.default_backend() != "gpu" or DETERMINISTIC in os.environ.get("XLA_FLAGS", ""),
        "thinkaloud": thinkaloud.__version__,
        "sandbox_level": sandbox_level,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "peak_memory_gb": round(peak * (1 if platform.system() == "Darwin" else 1024) / 1e9, 2),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (ValueError, OSError):
        return None
