"""One process at a time on a run directory."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thinkaloud.errors import UserError
from thinkaloud.storage.lock import FRESH_SECONDS, HOLDER, acquire, locked

HOLD = """
import pathlib, sys
from thinkaloud.storage.lock import acquire
lock = acquire(pathlib.Path(sys.argv[1]))
print(1, flush=True)
sys.stdin.read()
"""

NO_LOCKS = """
import fcntl
def no_locks(*_):
    raise OSError(37, "No locks available")
fcntl.flock = no_locks
"""


def holder(run: Path, before: str = "") -> subprocess.Popen[str]:
    """A process that holds the lock of a run until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def test_the_second_is_refused_by_name_of_the_first_and_its_end_is_noticed(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(UserError, match=rf"is in use by process {process.pid} on this host \(since 20\d\d-"):
            acquire(tmp_path)
    finally:
        end(process)
    assert json.loads((tmp_path / HOLDER).read_text())["pid"] == process.pid  # killed: it could not clear up
    lock = acquire(tmp_path)
    assert lock.note is not None
    assert f"the lock of process {process.pid}" in lock.note
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_released_it_can_be_had_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path) as lock:
            assert lock.note is None
            with pytest.raises(UserError, match=f"process {os.getpid()}"):
                acquire(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_holder_on_another_host_counts_while_its_lock_is_fresh(tmp_path: Path) -> None:
    record = {"pid": 1, "host": "elsewhere", "since": "2026-11-23 20:00:00"}
    (tmp_path / HOLDER).write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"process 1 on host elsewhere \(since 2026.*; if it has ended, delete "):
        acquire(tmp_path)
    lock = acquire(tmp_path, now=lambda: time.time() + FRESH_SECONDS + 1)
    assert lock.note is not None
    lock.release()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without `flock`: a marker file stands in."""

    def no_locks(*_: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_marker_file_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    process = holder(tmp_path, NO_LOCKS)
    try:
        with pytest.raises(UserError, match=f"is in use by process {process.pid} on this host"):
            acquire(tmp_path)
    finally:
        end(process)
    lock = acquire(tmp_path)
    assert lock.note is not None
    assert f"the lock of process {process.pid}" in lock.note
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["", "{", "[1]", '{"pid": "x"}', "\0" * 9000])
def test_a_lock_file_with_rubbish_in_it_is_no_lock(tmp_path: Path, left: str) -> None:
    text = left if left != '{"pid": "x"}' else json.dumps({"pid": "x", "host": socket.gethostname()})
    (tmp_path / HOLDER).write_text(text)
    acquire(tmp_path).release()
    assert list(tmp_path.iterdir()) == []
