"""Return freed memory to the operating system between the phases of a step.

On a CPU, arrays live on the process's heap. glibc keeps freed blocks below its mmap threshold, up to 32 MB each, for
reuse. Rollout and update need blocks of different sizes, so without trimming each would add to the other's memory.
"""

from __future__ import annotations

import ctypes

import jax

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim_heap() -> None:
    """Return freed memory to the system. Does nothing on accelerators, or without glibc."""
    if _trim is not None and jax.default_backend() == "cpu":
        _trim(0)
