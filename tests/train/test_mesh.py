"""The same numbers on one device, on eight, and in two and four processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.xla import xla_flags

PROGRAM = Path(__file__).parent / "mesh_run.py"
PROMPTS = "4"
TORN = "Error reading persistent compilation cache entry"  # another process is just writing it: compiled here too


def start(out: Path, mesh: str, devices: int, *processes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-W", f"ignore:{TORN}", str(PROGRAM), str(out), mesh, PROMPTS, *processes],
        env={**os.environ, "XLA_FLAGS": xla_flags(devices)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> None:
    try:
        said, _ = running.communicate(timeout=900)
    finally:
        running.kill()
    assert running.returncode == 0, said


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("mesh") / "one.json"
    finish(start(out, "auto", 1))
    found: dict[str, Any] = json.loads(out.read_text())
    assert found["devices"] == 1
    assert len({tuple(tokens) for tokens in found["tokens"]}) > 8  # samples differ, so that equality says something
    assert all(abs(loss) > 1e-7 for loss in found["losses"])
    return found


def assert_same(found: dict[str, Any], one: dict[str, Any]) -> None:
    assert found["tokens"] == one["tokens"]
    assert found["greedy"] == one["greedy"]
    np.testing.assert_allclose(found["losses"], one["losses"], atol=1e-4)
    np.testing.assert_allclose(found["adapter"], one["adapter"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("mesh", "devices"), [("auto", 8), ("data=2,fsdp=2,tensor=2", 8)])
def test_several_devices_give_the_numbers_of_one(
    one_device: dict[str, Any], tmp_path: Path, mesh: str, devices: int
) -> None:
    """Also with fewer prompts than devices, four and two in a minibatch: padding has no weight."""
    out = tmp_path / "several.json"
    finish(start(out, mesh, devices))
    found = json.loads(out.read_text())
    assert found["devices"] == devices
    assert_same(found, one_device)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(one_device: dict[str, Any], tmp_path: Path) -> None:
    """With one device each, so that weights are divided between processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    outs = [tmp_path / "0.json", tmp_path / "1.json"]
    running = [start(out, "fsdp=2", 1, address, "2", str(index)) for index, out in enumerate(outs)]
    for process in running:
        finish(process)
    assert [out for out in outs if out.exists()] == outs[:1]
    assert_same(json.loads(outs[0].read_text()), one_device)
