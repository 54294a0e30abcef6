"""A trainer that is killed at 12 random moments and resumed gives the same run as an uninterrupted one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.cli import one_device
from thinkaloud.checkpoint.files import damage, list_saved
from thinkaloud.storage.run_directory import RunDir

pytestmark = pytest.mark.slow

KILLS = 12
SEED = 20261123


class Trainers:
    """Talks to `killable.py`."""

    def __init__(self, log: Path) -> None:
        cache = os.environ.get("JAX_COMPILATION_CACHE_DIR") or tempfile.mkdtemp()
        self.log = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("killable.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=one_device(
                JAX_COMPILATION_CACHE_DIR=cache,
                JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
                JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
            ),
        )
        assert self._line() == "ready"

    def live(self, out: Path, *, kill_after: float | None = None) -> int:
        """One life, killed after so many seconds if it lasts; returns how it ended."""
        assert self.process.stdin is not None
        resume = (out / "resolved.json").exists()
        if not resume:
            subprocess.run(["rm", "-rf", str(out)], check=True)  # killed before there was anything to go on with
        print(json.dumps({"out": str(out), "resume": resume}), file=self.process.stdin, flush=True)
        pid = int(self._line())
        timer = threading.Timer(kill_after if kill_after is not None else 600, self._kill, [pid])
        timer.start()
        try:
            return int(self._line())
        finally:
            timer.cancel()
            timer.join()

    @staticmethod
    def _kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server of trainers has ended"
        return line.strip()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainers]:
    log = tmp_path_factory.mktemp("log") / "stderr"
    found = Trainers(log)
    yield found
    found.close()


def rows(out: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in RunDir(out).rows()]


def records(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {str(path.relative_to(out)): pq.read_table(path).to_pylist() for path in sorted(out.rglob("*.parquet"))}


def check_nothing_is_half_written(out: Path) -> None:
    assert [path.name for path in out.rglob("*") if path.name.startswith(".")] == []
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(f".{out.name}.")] == []
    assert [path.name for path in out.rglob("*tmp*")] == []
    saved = list_saved(out / "checkpoints")
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == sorted(s.path.name for s in saved)
    assert [damage(one) for one in saved] == [None] * len(saved)


def test_killed_anywhere_and_resumed_it_is_the_same_run(trainers: Trainers, tmp_path: Path) -> None:
    unbroken = tmp_path / "unbroken"
    assert trainers.live(unbroken) == 0, Path(trainers.log.name).read_text()
    expected = rows(unbroken)
    assert [(row["stage"], row["step"]) for row in expected] == [
        *(("cold_start", step) for step in (1, 2, 3)),
        *(("grpo", step) for step in (1, 2, 3, 4, 5, 6)),
    ]
    assert expected[-1]["grad_norm"] > 0
    began = time.monotonic()
    assert trainers.live(tmp_path / "again") == 0  # nothing compiles any more: how long a life lasts
    lasts = time.monotonic() - began

    rng, killed, identical, runs = random.Random(SEED), 0, 0, 0
    while killed < KILLS:
        runs += 1
        out, deaths = tmp_path / f"run-{runs}", 0
        while True:
            more = killed + deaths < KILLS
            code = trainers.live(out, kill_after=rng.uniform(0.02, 0.6) * lasts if more else None)
            if code == 0:
                break
            assert code == -signal.SIGKILL, Path(trainers.log.name).read_text()
            deaths += 1
        killed += deaths
        if rows(out) == expected and records(out) == records(unbroken):
            identical += deaths
        check_nothing_is_half_written(out)
        assert runs < 10 * KILLS
    assert (identical, killed) == (KILLS, KILLS)
