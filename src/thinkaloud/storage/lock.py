"""One process at a time on a run directory.

The lock is held by the operating system (`flock`) on a file that says who holds it; it goes with its process, however
that ends, so a lock that is left behind is known by nobody holding it. File systems that lend the same lock to another
machine are met by the record: a holder on another host counts as alive while the file's time stays fresh.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError

NAME = ".lock"
FRESH_SECONDS = 900.0
"""A holder on another host that has not touched its lock for so long is gone; `touch` is called at every step."""


class RunLock:
    """A lock that is held."""

    def __init__(self, path: Path, descriptor: int, note: str | None) -> None:
        self._path, self._descriptor = path, descriptor
        self.note = note
        """What became of a lock that was found left behind, if one was."""

    def touch(self) -> None:
        """Say that the holder is alive; an unwilling disk is no matter."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def release(self) -> None:
        """Give the run directory back. May be called twice."""
        if self._descriptor >= 0:
            with suppress(OSError):  # while it is held: who waits for it finds another file there
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def locked(run: Path) -> Iterator[RunLock]:
    """Hold the lock of a run directory; raises UserError as `acquire` does."""
    lock = acquire(run)
    try:
        yield lock
    finally:
        lock.release()


def acquire(run: Path, *, now: Callable[[], float] = time.time) -> RunLock:
    """Take the lock of a run directory.

    Raises:
        UserError: Another process has it: its process id, its host, and since when.
    """
    path = run / NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            holder = _read(descriptor)
            if not _flock(descriptor):
                raise UserError(_refusal(run, holder))
            try:
                same = os.fstat(descriptor).st_ino == path.stat().st_ino
            except FileNotFoundError:
                same = False
            if not same:  # its holder removed it in between
                os.close(descriptor)
                continue
            holder = _read(descriptor)
            elsewhere = holder and holder.get("host") != socket.gethostname()
            if elsewhere and now() - os.fstat(descriptor).st_mtime < FRESH_SECONDS:
                raise UserError(f"{_refusal(run, holder)}; if it has ended, delete {path}")
            me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            me["born"] = _born(os.getpid())
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(me).encode(), 0)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        note = f"the lock of {_who(holder)} was left behind; that process is gone" if holder else None
        return RunLock(path, descriptor, note)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return _alive_here(_read(descriptor)) is False  # no locks on this file system: the record has to do
    return True


def _alive_here(holder: dict[str, Any]) -> bool:
    """Whether the recorded process runs on this host, and is no other that was given its number since."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid() or holder.get("host") != socket.gethostname():
        return False
    return is_alive(pid) and _born(pid) == holder.get("born", _born(pid))


def _born(pid: int) -> str | None:
    """What tells a process from another of the same number: boot and clock tick of its start; None where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return None


def is_alive(pid: int) -> bool:
    """Whether a process of this host is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _read(descriptor: int) -> dict[str, Any]:
    try:
        value = json.loads(os.pread(descriptor, 4096, 0))
    except (ValueError, OSError):
        return {}
    return value if isinstance(value, dict) else {}


def _refusal(run: Path, holder: dict[str, Any]) -> str:
    return f"{run} is in use by {_who(holder)}; wait for it, stop it, or choose another run directory with --out"


def _who(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    host = "this host" if holder.get("host") == socket.gethostname() else f"host {holder.get('host')}"
    return f"process {holder.get('pid')} on {host} (since {holder.get('since')})"
