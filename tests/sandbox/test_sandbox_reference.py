"""Liveness: what is known to be right passes, so that over-blocking shows. The reference programs of MBPP."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from thinkaloud.sandbox import Job, Limits, Sandbox

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mbpp"
COUNTS = {"train": 374, "validation": 90}


def reference_jobs(split: str) -> dict[int, Job]:
    """The reference programs of one split with all their tests, by task id; skips where the data set is absent."""
    path = DATA / f"{split}.jsonl"
    if not path.exists():
        pytest.skip(f"MBPP is not at ../shared/data/mbpp beside the repository (no {path.name})")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        row["task_id"]: Job(
            code=row["code"], tests=row["test_list"] + row["challenge_test_list"], setup=row["test_setup_code"] or ""
        )
        for row in rows
    }


@pytest.mark.parametrize("split", COUNTS)
def test_reference_programs_pass(sandbox: Sandbox, split: str) -> None:
    jobs = reference_jobs(split)
    assert len(jobs) == COUNTS[split]
    verdicts = sandbox.run_batch(list(jobs.values()), Limits(cpu_seconds=5.0, wall_seconds=120.0))
    failed = {task: str(verdict) for task, verdict in zip(jobs, verdicts, strict=True) if not verdict.ok}
    assert failed == {}


def test_reference_programs_of_other_tasks_fail(sandbox: Sandbox) -> None:
    """The tests can fail: each program of the validation split, renamed tests of its neighbour, is not paid."""
    jobs = list(reference_jobs("validation").values())
    crossed = [Job(code=job.code, tests=other.tests, setup=other.setup) for job, other in pairwise(jobs)]
    assert not any(verdict.ok for verdict in sandbox.run_batch(crossed))
