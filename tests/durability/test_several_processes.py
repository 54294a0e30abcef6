"""Several processes train through the command line: one run, with the numbers of a single process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.cli import one_device
from support.same_run import assert_same_run, rows
from support.short_sources import short_sources
from thinkaloud.checkpoint.files import newest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("one_of_several.py")
OVERRIDES = (
    "data.domains=['math', 'science']",
    "data.validation_share=0.25",
    "data.test_share=0.25",
    "cold_start.max_steps=2",
    "cold_start.batch_size=2",
    "cold_start.probe_from=2",
    "cold_start.probe_tasks=2",
    "cold_start.stop_at_format_rate=1.0",
    "rollout.max_new_tokens=64",
    "grpo.max_steps=4",
    "checkpoint.every_steps=2",
    "evaluate.tasks_per_domain=2",
    "evaluate.stages=['base', 'trained']",
    "evaluate.readings=[]",
)
End = tuple[int, str, str]
"""Exit code, stdout and stderr."""


def start(out: Path, deed: str, *arguments: str, scratch: Path) -> subprocess.Popen[str]:
    sources = [f"data.sources.{name}={source}" for name, source in short_sources(out).items()]
    settings = [part for override in (*OVERRIDES, *sources) for part in ("--set", override)]
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), deed, "--out", str(out), *settings, *arguments],
        env=one_device(TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running: Sequence[subprocess.Popen[str]]) -> list[End]:
    try:
        return [(p.returncode, out, err) for p in running for out, err in [p.communicate(timeout=900)]]
    finally:
        for process in running:
            process.kill()


def together(out: Path, *arguments: str, deeds: Sequence[str]) -> list[End]:
    """A life of several processes, which share nothing but the machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    scratch = out.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    place = ("--coordinator", address, "--num-processes", str(len(deeds)), "--heartbeat", "5")
    ends = finish(
        [
            start(out, deed, *place, "--process-id", str(index), *arguments, scratch=scratch)
            for index, deed in enumerate(deeds)
        ]
    )
    for index, (code, printed, err) in enumerate(ends[1:], start=1):
        assert printed == ""
        first, *more = err.splitlines()
        assert first.startswith(f"process {index} of {len(deeds)}: connecting to process 0")
        assert len(more) == (code == 1), err  # one line, and no stack trace, where another process was lost
    return ends


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    ((code, _, err),) = finish([start(out, "none", scratch=out.parent)])
    assert code == 0, err
    assert all(row["grad_norm"] > 0 for row in rows(out))
    return out


def test_stopped_and_killed_and_resumed_they_are_the_same_run(alone: Path, tmp_path: Path) -> None:
    """In two processes and in four: the mesh is that of the devices there are."""
    out = tmp_path / "run"
    first, second = together(out, deeds=("none", "term:1"))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "another process received SIGTERM" in first[2]
    assert "continue with: thinkaloud train" in first[2]
    stopped = newest(out / "checkpoints")
    assert stopped is not None
    assert (stopped.stage, stopped.step) == ("grpo", 1)

    *others, killed = together(out, "--resume", deeds=("none", "none", "none", "kill:2"))
    assert killed[0] == -signal.SIGKILL
    for code, _, err in others:
        assert code == 1, err
        assert err.splitlines()[-1].startswith("error: process 3 is gone")

    killed, other = together(out, "--resume", deeds=("kill:3", "none"))
    assert killed[0] == -signal.SIGKILL
    assert other[0] == 1
    assert other[2].splitlines()[-1].startswith("error: process 0 is gone")

    first, second = together(out, "--resume", "--json", deeds=("none", "none"))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "resumed from" in first[2]
    assert json.loads(first[1])["run"] == str(out)
    assert (out / "report.html").exists()
    assert_same_run(out, alone)
    assert [path.name for path in tmp_path.rglob(".*")] == []
