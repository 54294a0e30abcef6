"""The bench measures correct programs, and reports what the command prints."""

from __future__ import annotations

import json

import pytest

from thinkaloud.sandbox import Sandbox, bench


def test_the_programs_are_correct_and_distinct(sandbox: Sandbox) -> None:
    jobs = bench.small_programs(40)
    assert len({job.code for job in jobs}) == 40
    assert all(verdict.ok for verdict in sandbox.run_batch(jobs))


@pytest.mark.usefixtures("sandbox")
def test_bench_reports_both_sides() -> None:
    result = bench.run_bench(24, num_plain=4, num_workers=2)
    assert set(result) == {"level", "workers", "sandbox", "subprocess", "speedup"}
    for side, count in (("sandbox", 24), ("subprocess", 4)):
        figures = result[side]
        assert figures["programs"] == count
        assert figures["programs_per_second"] > 0
        assert 0 < figures["median_latency_ms"] <= figures["p95_latency_ms"]
    assert result["workers"] == 2
    assert json.loads(json.dumps(result)) == result


@pytest.mark.usefixtures("sandbox")
def test_bench_does_not_report_failing_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = bench.Job(code="def f(): return 1", tests=["assert f() == 2"])
    monkeypatch.setattr(bench, "small_programs", lambda count: [wrong] * count)
    with pytest.raises(RuntimeError, match="failed in the bench"):
        bench.run_bench(2, num_plain=1, num_workers=1)
