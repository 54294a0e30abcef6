"""Thousands of programs in a row, one in five hostile: no verdict lost, no descriptor, process or memory leaked."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hostile_programs import ENDLESS, HACKS, IDLE, SANE, TESTS, limits_for

from thinkaloud.sandbox import Job, Limits, Outcome, Sandbox

WARM_UP = 1_000
NUM_PROGRAMS = int(os.environ.get("THINKALOUD_LEAK_PROGRAMS", "2000"))
# left out: what takes long by its nature
SLOW = ENDLESS | IDLE | {"memory_in_steps", "ten_million_items", "fifty_megabytes", "shared_items", "searches_gc"}
SLOW |= {"searches_frames", "searches_modules", "deep"}


def children() -> set[int]:
    """Processes that descend from this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
    found: set[int] = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_kb() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def _batch(first: int, count: int) -> list[Job]:
    quick = [name for name in HACKS if name not in SLOW]
    jobs = []
    for k in range(first, first + count):
        if k % 5 == 4:
            name = quick[(k // 5) % len(quick)]
            jobs.append(Job(code=HACKS[name], tests=TESTS, limits=limits_for(name)))
        else:
            jobs.append(Job(code=f"def f_{k}(n): return n * {k}", tests=(f"assert f_{k}(2) == {2 * k}",)))
    return jobs


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count what is left")
def test_no_leak() -> None:
    """In a process of its own: whatever other tests left running in this one would be counted too."""
    ended = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stdout) == (0, "no leak\n"), ended.stderr


def run_programs() -> None:
    """Run the programs, and count what is left of them."""
    with Sandbox(num_workers=2, limits=Limits(cpu_seconds=20.0, wall_seconds=120.0)) as sandbox:
        before_all = children()
        sandbox.run_batch(_batch(0, WARM_UP))  # the cache of plans fills, workers start
        assert sandbox._containment is not None
        num_workers = 2 * (3 if sandbox._containment.wrap else 1)  # bubblewrap adds two processes of its own to each
        gc.collect()
        open_before, memory_before, threads_before = descriptors(), resident_kb(), threading.active_count()
        for first in range(WARM_UP, WARM_UP + NUM_PROGRAMS, 500):
            verdicts = sandbox.run_batch(_batch(first, 500))
            assert len(verdicts) == 500
            outcomes = [verdict.outcome for verdict in verdicts]
            assert [k for k, outcome in enumerate(outcomes) if k % 5 != 4 and outcome is not Outcome.PASS] == []
            assert {Outcome.PASS, Outcome.INFRA_ERROR}.isdisjoint(outcomes[4::5])
        gc.collect()
        assert descriptors() == open_before
        assert threading.active_count() == threads_before
        deadline = time.monotonic() + 60.0
        while len(children() - before_all) != num_workers:  # the last children are just being reaped
            assert time.monotonic() < deadline, children() - before_all
            time.sleep(0.05)
        assert resident_kb() - memory_before < 20_000
        assert sandbox.run(SANE.code, TESTS).ok
    assert children() <= before_all


if __name__ == "__main__":
    run_programs()
    print("no leak")
