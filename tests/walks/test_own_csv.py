"""A workstation user with a CSV file of their own: init, audit, train, generate, chat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cli import Run
from support.data_files import csv_text, sums

SMALL = (
    *("--set", "rollout.max_new_tokens=64", "--set", "rollout.group_size=2", "--set", "rollout.prompts_per_step=2"),
    *("--set", "cold_start.max_steps=0", "--set", "grpo.max_steps=2"),
    *("--set", "grpo.self_checks=false", "--set", "evaluate.tasks_per_domain=2", "--set", "evaluate.readings=[]"),
    *("--set", "checkpoint.validate_every=0"),
)
"""A random model gives no right answer to begin from, and earns nothing: the first step's checks would stop it."""


@pytest.mark.slow
def test_from_a_file_to_answers(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(csv_text([{"Question": ask, "Total": total} for ask, total in sums()]))
    assert run("init", "shop.csv", "--model", "tiny").code == 0
    audited = run("audit", "shop.toml", "--json", "--no-model")
    assert audited.code == 0
    assert json.loads(audited.out)["level"] in ("ok", "warning")
    trained = run("train", "shop.toml", "--out", "run", *SMALL, "--json")
    assert trained.code == 0, trained.err
    stages = json.loads(trained.out)["stages"]
    assert list(stages["trained"]["domains"]) == ["shop"]
    assert Path("run/report.html").exists()
    (reply,) = run("generate", "run", "How many are 2 and 3?", "--json", "--max-new-tokens", "4").out.splitlines()
    assert json.loads(reply)["num_tokens"] <= 4
    chat = run("chat", "run", "--max-new-tokens", "4", stdin=b"How many are 2 and 3?\n\n")
    assert chat.code == 0
    assert "[format: " in chat.out
