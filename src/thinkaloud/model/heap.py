"""Give resources back to the operating system between the phases of a step.

On a CPU, arrays live on the process's heap. glibc keeps freed blocks below its mmap threshold, up to 32 MB each, for
reuse. Rollout and update need blocks of different sizes, so without trimming each would add to the other's memory.

A compiled program occupies hundreds of memory mappings, and Linux allows a process about 65,000: beyond that, compiling
ends the process ("LLVM ERROR: Unable to allocate section memory"). So compiled programs are dropped before; they are
read from the persistent cache when they are needed again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import jax

MOST_MAPPINGS = 0.6
"""Share of the allowed mappings at which compiled programs are dropped."""

clear_caches: Callable[[], None] = jax.clear_caches
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim_heap() -> None:
    """Return freed memory to the system. Does nothing on accelerators, or without glibc."""
    if jax.default_backend() != "cpu":
        return
    if _trim is not None:
        _trim(0)
    free_mappings()


def free_mappings() -> None:
    """Drop compiled programs if this process has used most of its memory mappings."""
    if too_many_mappings():
        clear_caches()


def too_many_mappings(proc: Path = Path("/proc")) -> bool:
    """Whether this process has used most of its memory mappings; False where the system does not say."""
    try:
        allowed = int((proc / "sys/vm/max_map_count").read_text())
        with (proc / "self/maps").open("rb") as file:
            return sum(1 for _ in file) > MOST_MAPPINGS * allowed
    except (OSError, ValueError):
        return False
