"""Freed memory, handed back to the system between the phases of a step.

On a CPU arrays live on the process's heap. glibc keeps what is freed below its mmap threshold, up to 32 MB an array,
for later; but rollout and update want other sizes, so that each would sit beside what the other has left.
"""

from __future__ import annotations

import ctypes

import jax

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim_heap() -> None:
    """Let the system have what freed arrays have left. Does nothing with an accelerator, or without glibc."""
    if _trim is not None and jax.default_backend() == "cpu":
        _trim(0)
