"""Connecting processes: one line for what is wrong, and the end of a lost process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from thinkaloud.distributed.processes import connect
from thinkaloud.errors import UserError

PROGRAM = Path(__file__).with_name("together.py")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("host", 2, 0), "expected HOST:PORT"),
        (("host:99999", 2, 0), "expected HOST:PORT"),
        (("host:1", 2, 2), "expected 0 to 1"),
        (("host:1", 2, -1), "expected 0 to 1"),
    ],
)
def test_an_impossible_place_is_one_line(place: tuple[str, int, int], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        connect(*place, {})


@pytest.mark.parametrize(
    ("address", "raised", "expected"),
    [
        (None, ValueError("coordinator_address should be defined."), "--coordinator auto: expected a step of SLURM"),
        ("localhost:1", RuntimeError("UNKNOWN: Failed to start RPC server"), "cannot listen at localhost:1"),
        ("localhost:1", RuntimeError("ABORTED: already connected"), "its own --process-id"),
    ],
)
def test_what_jax_cannot_connect_is_one_line(
    monkeypatch: pytest.MonkeyPatch, address: str | None, raised: Exception, expected: str
) -> None:
    def initialize(*given: Any, **options: Any) -> None:
        assert options["heartbeat_timeout_seconds"] == 7
        raise raised

    monkeypatch.setattr(jax.config, "update", lambda name, value: None)
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    place = (None, None) if address is None else (2, 0)
    with pytest.raises(UserError, match=expected):
        connect(address, *place, {}, heartbeat_seconds=7)


def test_a_single_process_needs_no_connection() -> None:
    connect("localhost:1", 1, 0, {})
    assert jax.process_count() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("raise:0", "error: process 0 ended: a bug"),
        ("raise:1", "error: process 1 ended: a bug"),
        ("hang:0", "error: process 0 is gone"),
        ("hang:1", "error: process 1 is gone"),
    ],
)
def test_the_end_of_one_process_is_one_line_in_the_others(fault: str, expected: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    running = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), address, "3", str(index), fault], stderr=subprocess.PIPE, text=True
        )
        for index in range(3)
    ]
    try:
        ends = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    finally:
        for process in running:
            process.kill()
    name, _, failing = fault.partition(":")
    for index, (err, code) in enumerate(ends):
        if str(index) != failing:
            assert (code, len(err.splitlines())) == (1, 1), err
            assert err.startswith(expected)
        elif name == "raise":
            assert (err, code) == ("error: a bug\n", 1)
        else:
            assert (err, code) == ("", -signal.SIGKILL)
