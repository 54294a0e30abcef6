"""The jail of a worker and its children, layer by layer.

`shut_zygote` runs once in a worker, after its imports; `shut_child` in every child, just before the program. Each layer
is asked for by name, so that the self-test can measure one layer without the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
from collections.abc import Sequence
from functools import lru_cache

from . import landlock
from .seccomp import Filter

NOBODY = 65534
CHANNEL = 3
"""The descriptor on which a child talks to the trainer: its only one beside /dev/null."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_STACK_BYTES = 16 << 20
_MAX_DESCRIPTORS = 8
_MAX_WORKER_DESCRIPTORS = 64


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if not sys.platform.startswith("linux"):
        raise OSError(f"prctl is a Linux facility; this is {sys.platform}")
    rest = (ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if _libc().prctl(ctypes.c_int(option), ctypes.c_ulong(value), *rest) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _drop_uid() -> None:
    if os.getuid() != 0 and os.geteuid() != 0:
        raise OSError("not started by root, so there is no identity to drop")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def virtual_bytes() -> int:
    """The address space of this process in bytes; 0 if unknown."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


class Jail:
    """The layers of one worker. Created in the zygote: `shut_zygote` once, then `shut_child` in every child.

    Args:
        layers: Names from `inside.LAYERS`. A layer that is not available is skipped and recorded in `missing`.

    Attributes:
        missing: The reason why a layer is not available, by layer.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = set(layers)
        self.missing: dict[str, str] = {}
        self._filter: Filter | None = None
        self._base_bytes = 0
        if "seccomp" in self.layers:
            try:
                self._filter = Filter()
            except OSError as error:
                self._give_up("seccomp", error)

    def _give_up(self, layer: str, error: OSError) -> None:
        self.layers.discard(layer)
        self.missing[layer] = str(error)

    def shut_zygote(self) -> None:
        """Apply the restrictions that every child inherits."""
        self._base_bytes = virtual_bytes()
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_WORKER_DESCRIPTORS, _MAX_WORKER_DESCRIPTORS))
        if self.layers & {"seccomp", "landlock", "process"}:
            try:
                _prctl(_PR_SET_NO_NEW_PRIVS, 1)
            except OSError as error:
                for layer in ("seccomp", "landlock", "process"):
                    if layer in self.layers:
                        self._give_up(layer, error)
        for layer, shut in (("uid_drop", _drop_uid), ("landlock", landlock.deny_all)):
            if layer in self.layers:
                try:
                    shut()
                except OSError as error:
                    self._give_up(layer, error)
        if "process" in self.layers:
            _prctl(_PR_SET_DUMPABLE, 0)  # after the change of uid, which resets it

    def shut_child(self, cpu_seconds: float, memory_bytes: int) -> None:
        """Restrict a newly forked child permanently. Its channel must be descriptor `CHANNEL` already.

        Raises:
            OSError: A layer that the worker relies on failed; the child must end.
        """
        os.closerange(CHANNEL + 1, _MAX_WORKER_DESCRIPTORS)
        if "process" in self.layers:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if "rlimits" in self.layers:
            self._set_limits(cpu_seconds, memory_bytes)
        if self._filter is not None and "seccomp" in self.layers:
            self._filter.install()

    def _set_limits(self, cpu_seconds: float, memory_bytes: int) -> None:
        whole = math.ceil(cpu_seconds)
        limits = [
            (resource.RLIMIT_CPU, whole, whole + 1),
            (resource.RLIMIT_FSIZE, 0, 0),
            (resource.RLIMIT_CORE, 0, 0),
            (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS, _MAX_DESCRIPTORS),
            (resource.RLIMIT_NPROC, 0, 0),
        ]
        if self._base_bytes:
            limits.append((resource.RLIMIT_AS, *(2 * (self._base_bytes + memory_bytes,))))
        for limit, soft, hard in limits:
            resource.setrlimit(limit, (soft, hard))
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        with contextlib.suppress(ValueError):  # a lower hard limit is kept
            resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, _STACK_BYTES))
        # RLIMIT_CPU counts whole seconds; this timer is exact; the limit is the fallback if its signal is blocked
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
