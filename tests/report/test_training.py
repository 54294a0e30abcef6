from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from thinkaloud.report.run_data import Run, number
from thinkaloud.report.training import (
    cold_start,
    first_and_last_by_domain,
    first_and_last_steps,
    new_task_accuracy,
    steps,
    windows,
)


def run_of(rows: list[dict[str, Any]], **more: Any) -> Run:
    return Run(
        path=Path("run"), grpo=tuple({"stage": "grpo", "step": k + 1, **row} for k, row in enumerate(rows)), **more
    )


def mean_ends(values: list[float | None]) -> tuple[float, float, int] | None:
    return windows([{"x": value} for value in values], lambda row: number(row, "x"))


def test_windows_by_hand() -> None:
    assert mean_ends([float(k) for k in range(1, 13)]) == (3.0, 10.0, 5)
    assert mean_ends([1.0, 2.0, 3.0]) == (1.0, 3.0, 1), "no step on both sides"
    assert mean_ends([1.0, None, 3.0, float("nan"), 5.0, 7.0]) == (2.0, 6.0, 2)
    assert mean_ends([1.0]) is None
    assert mean_ends([]) is None


def test_training_puts_first_beside_last() -> None:
    table = first_and_last_steps(run_of([{"reward": 0.1 * k, "format_rate": 0.5, "accuracy": None} for k in range(10)]))
    assert table is not None
    assert table.header == ("mean over steps", "first 5", "last 5", "change")
    assert table.rows == (("sampled reward", "0.2", "0.7", "+0.5"), ("format rate", "50 %", "50 %", "+0 points"))
    assert first_and_last_steps(run_of([{"reward": 0.1}])) is None


def test_domains_count_the_steps_that_drew_them() -> None:
    rows: list[dict[str, Any]] = [{"domains": {"math": {"n": 8, "reward": r, "accuracy": r / 2}}} for r in (0.2, 0.6)]
    rows.insert(1, {"domains": {"summarization": {"n": 4, "reward": 0.5, "accuracy": None}}})
    table = first_and_last_by_domain(run_of([*rows, {"domains": None}, {}]))
    assert table is not None
    assert "first 1 and of the last 1 steps" in table.caption
    assert table.rows == (
        ("math", "16", "0.2 to 0.6", "-", "10 % to 30 %"),
        ("summarization", "4", "-", "-", "-"),
    )


def test_accuracy_on_new_tasks_counts_completions_of_all_domains() -> None:
    by_domain: dict[str, Any] = {
        "math": {"first": 24, "first_accuracy": 0.5},
        "logic": {"first": 8, "first_accuracy": 1.0},
        "science": {"first": 0, "first_accuracy": None},
    }
    assert new_task_accuracy({"curriculum": by_domain}) == 20 / 32
    table = first_and_last_steps(
        run_of([{"curriculum": by_domain}, {"curriculum": {"math": {"first": 4, "first_accuracy": 0.75}}}])
    )
    assert table is not None
    assert table.rows == (("accuracy on tasks never sampled before", "62 %", "75 %", "+12 points"),)


@pytest.mark.parametrize(
    "curriculum", [None, [], {}, {"math": {"known": 3}}, {"math": {"first": 0, "first_accuracy": None}}, {"math": "?"}]
)
def test_without_new_tasks_there_is_no_accuracy_on_them(curriculum: Any) -> None:
    assert new_task_accuracy({"curriculum": curriculum}) is None


def test_every_step_is_listed_with_what_it_has() -> None:
    table = steps(run_of([{"reward": 0.25, "seconds": {"total": 12.0}}]))
    assert table is not None
    assert table.rows == (("1", "0.25", *["-"] * 10, "12"),)
    assert steps(run_of([])) is None


def test_the_cold_start_in_words() -> None:
    rows = tuple(
        {"stage": "cold_start", "step": k, "loss": 3.0 - k, "format_rate": 0.71 if k == 2 else None, "entropy": 1.25}
        for k in (1, 2)
    )
    run = run_of([], cold_start=rows, resolved={"cold_start": {"max_steps": 40, "stop_at_format_rate": 0.7}})
    sentences, probes = cold_start(run)
    assert "2 supervised steps" in sentences[0]
    assert "loss 2.000 at the first and 1.000 at the last" in sentences[0]
    assert "allows 40 steps" in sentences[1]
    assert "after step 2" in sentences[2]
    assert "71 %" in sentences[2]
    assert probes is not None
    assert probes.rows == (("2", "71 %", "1.25"),)


@pytest.mark.parametrize("rows", [(), ({"stage": "cold_start", "step": 1},)])
def test_a_cold_start_without_numbers_says_so(rows: tuple[dict[str, Any], ...]) -> None:
    sentences, probes = cold_start(run_of([], cold_start=rows))
    assert probes is None
    assert len(sentences) == 1
