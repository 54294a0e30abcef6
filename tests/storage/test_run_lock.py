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
from thinkaloud.storage.lock import FRESH_SECONDS, NAME, acquire, locked

HOLD = "import sys, pathlib; from thinkaloud.storage.lock import acquire; l = acquire(pathlib.Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"  # noqa: E501


def holder(run: Path) -> subprocess.Popen[str]:
    """A process that has the lock of a run until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
    assert json.loads((tmp_path / NAME).read_text())["pid"] == process.pid  # killed: it could not clear up
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
    (tmp_path / NAME).write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"process 1 on host elsewhere \(since 2026.*; if it has ended, delete "):
        acquire(tmp_path)
    lock = acquire(tmp_path, now=lambda: time.time() + FRESH_SECONDS + 1)
    assert lock.note is not None
    lock.release()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no locks: the record has to do."""

    def no_locks(*_: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_record_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(UserError, match=f"is in use by process {process.pid} on this host"):
            acquire(tmp_path)
    finally:
        end(process)
    lock = acquire(tmp_path)
    assert lock.note is not None
    assert f"the lock of process {process.pid}" in lock.note
    lock.release()


@pytest.mark.usefixtures("without_locks")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_a_number_that_another_process_was_given_since_is_no_holder(tmp_path: Path) -> None:
    record = {"pid": os.getppid(), "host": socket.gethostname(), "since": "2026-11-23 20:00:00"}
    (tmp_path / NAME).write_text(json.dumps(record))
    with pytest.raises(UserError, match=f"is in use by process {os.getppid()}"):  # written before births were
        acquire(tmp_path)
    (tmp_path / NAME).write_text(json.dumps({**record, "born": "another boot 4711"}))
    acquire(tmp_path).release()


@pytest.mark.parametrize("left", ["", "{", "[1]", '{"pid": "x"}', "\0" * 9000])
def test_a_lock_file_with_rubbish_in_it_is_no_lock(tmp_path: Path, left: str) -> None:
    text = left if left != '{"pid": "x"}' else json.dumps({"pid": "x", "host": socket.gethostname()})
    (tmp_path / NAME).write_text(text)
    acquire(tmp_path).release()
    assert list(tmp_path.iterdir()) == []
