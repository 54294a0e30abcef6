"""Every health warning appears once in the log, the display and the report, with its remedy."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from support.healthy import GOOD
from thinkaloud.report.run_data import load_run
from thinkaloud.report.run_details import health as health_table
from thinkaloud.storage.run_directory import create
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.health import Health
from thinkaloud.tracking.recorder import Recorder

BAD: dict[str, dict[str, Any]] = {
    "not_finite": {"skipped_updates": 1, "grad_norm": None},
    "zero_std_fraction": {"zero_std_fraction": 1.0},
    "no_format": {"format_rate": 0.0},
    "truncation": {"truncated_rate": 0.4},
    "kl": {"kl": 2.0},
    "entropy": {"entropy": 0.1},
    "reward_without_accuracy": {"reward": 0.7, "accuracy": 0.3},
    "domain math": {"domains": {"math": {"n": 8, "reward": 0.01}}},
}


@pytest.mark.parametrize("check", BAD)
def test_a_warning_is_in_the_log_the_display_and_the_report(tmp_path: Path, check: str) -> None:
    run, output, health = create(tmp_path / "run", "", {"name": "x"}), io.StringIO(), Health()
    recorder = Recorder(run, Display(output))
    rows = [{**GOOD, "stage": "grpo", "step": step, **(BAD[check] if step > 25 else {})} for step in range(1, 57)]
    for row in rows:
        recorder.step(row)
        for event in health.update(row):
            recorder.event(event, health.raised)
    recorder.close()
    (event,) = [json.loads(line) for line in (run.path / "health.jsonl").read_text().splitlines()]
    assert (event["check"], event["state"]) == (check, "raised")
    assert output.getvalue().count(f"warning: {event['message']}; {event['remedy']}\n") == 1
    table = health_table(load_run(run.path))
    assert table is not None
    assert [row[:2] + row[4:] for row in table.rows] == [("raised", check, event["message"], event["remedy"])]
