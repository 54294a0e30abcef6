"""One process at a time in a run directory.

The lock is a `filelock.FileLock` on `.lock`: the operating system holds it and releases it when the process ends. The
holder writes its process id, host and start time to `.lock.json`, for the error message of a second process.

Network file systems: some grant one lock on two hosts, so a holder on another host counts as alive while its record is
fresh (see `FRESH_SECONDS`). Without `flock`, `filelock.SoftFileLock` takes over: a marker file, which the next
process on the same host removes when its owner is dead. A marker that another host left behind has to be deleted by
hand, however old it is.
"""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkaloud.errors import UserError
from thinkaloud.storage.atomic import write_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK, SOFT_LOCK, HOLDER = ".lock", ".lock.soft", ".lock.json"
FRESH_SECONDS = 900.0
"""A holder on another host whose record is older than this counts as dead; `touch` is called at every step."""


class RunLock:
    """A lock that this process holds.

    Attributes:
        note: A message about the dead process that held the lock before, or None.
    """

    def __init__(self, lock: BaseFileLock, holder: Path, note: str | None) -> None:
        self._lock, self._holder = lock, holder
        self.note = note

    def touch(self) -> None:
        """Keep the record fresh; errors are ignored."""
        with suppress(OSError):
            os.utime(self._holder)

    def release(self) -> None:
        """Release the lock. May be called twice."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            _release(self._lock)


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
        UserError: Another process holds it; the message names its id, its host and its start time.
    """
    path = run / HOLDER
    lock = _file_lock(run)
    if lock is None:
        raise UserError(_refusal(run, _read(path)))
    try:
        before = _read(path)
        elsewhere = before and before.get("host") != platform.node()
        if elsewhere and now() - path.stat().st_mtime < FRESH_SECONDS:
            raise UserError(f"{_refusal(run, before)}; if it has ended, delete {path}")
        write_json(path, {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")})
    except BaseException:
        _release(lock)
        raise
    note = f"the lock of {_describe(before)} was left behind; that process has ended" if before else None
    return RunLock(lock, path, note)


def _file_lock(run: Path) -> BaseFileLock | None:
    """The lock, held; None where another process holds it."""
    from filelock import FileLock, SoftFileLock, Timeout

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # filelock warns when it falls back to a marker file by itself
        for kind, name in ((FileLock, LOCK), (SoftFileLock, SOFT_LOCK)):
            lock = kind(run / name)
            try:
                lock.acquire(timeout=0)
                return lock
            except Timeout:
                return None
            except PermissionError:
                raise
            except OSError:
                if kind is SoftFileLock:
                    raise
                with suppress(OSError):
                    (run / name).unlink(missing_ok=True)
    return None


def _release(lock: BaseFileLock) -> None:
    from filelock import SoftFileLock

    if not isinstance(lock, SoftFileLock):  # it removes its own file
        with suppress(OSError):  # while it is held: a process that waits for it then makes a new file
            Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes()[:4096])
    except (ValueError, OSError):
        return {}
    return value if isinstance(value, dict) else {}


def _refusal(run: Path, holder: dict[str, Any]) -> str:
    return f"{run} is in use by {_describe(holder)}; wait for it, stop it, or choose another run directory with --out"


def _describe(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    host = "this host" if holder.get("host") == platform.node() else f"host {holder.get('host')}"
    return f"process {holder.get('pid')} on {host} (since {holder.get('since')})"
