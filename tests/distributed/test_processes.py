"""Connecting processes: one line for what is wrong, and the end of a lost process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from support.cli import one_device
from thinkaloud.distributed.processes import connect, own_address
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
        connect(*place, {}, heartbeat_seconds=30)


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
    connect("localhost:1", 1, 0, {}, heartbeat_seconds=30)
    assert jax.process_count() == 1


def test_the_own_address_is_that_on_the_way_to_process_0() -> None:
    assert own_address("localhost:8476") == own_address("127.0.0.1:1") == "127.0.0.1"


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
            [sys.executable, str(PROGRAM), address, "3", str(index), fault],
            env=one_device(),
            stderr=subprocess.PIPE,
            text=True,
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


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces, as two hosts with a cable between them: 10.77.0.1 and 10.77.0.2 at `cable`."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"thinkaloud-{os.getpid()}-{index}" for index in range(2)]
    try:
        for name in names:
            if (added := ip("netns", "add", name)).returncode:
                pytest.skip(f"no network namespaces on this machine: {added.stderr.strip()}")
        cable = ("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        done = [ip(*cable)]
        for index, name in enumerate(names, start=1):
            done.append(ip("-n", name, "addr", "add", f"10.77.0.{index}/24", "dev", "cable"))
            done += [ip("-n", name, "link", "set", device, "up") for device in ("lo", "cable")]
        assert [one.stderr for one in done] == [""] * len(done)
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.mark.slow
def test_two_hosts_exchange_values_and_notice_a_cut_cable(hosts: list[str]) -> None:
    """Each host's own name may be that of a loopback address, which the other cannot reach."""
    running = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, str(PROGRAM), "10.77.0.1:8476", "2", str(index), "none"],
            env=one_device(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, host in enumerate(hosts)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert "connected\n" in process.stdout  # gloo prints lines too
        assert ip("-n", hosts[0], "link", "set", "cable", "down").returncode == 0
        ends = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    finally:
        for process in running:
            process.kill()
    for index, (err, code) in enumerate(ends):
        assert (code, len(err.splitlines())) == (1, 1), err
        assert err.startswith(f"error: process {1 - index} is gone")
