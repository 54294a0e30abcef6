"""A researcher who compares two settings over seeds: two series, one comparison with its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cli import TINY, Run

SMALL = (
    *("--set", "data.domains=['math']", "--set", "rollout.max_new_tokens=8", "--set", "cold_start.max_steps=0"),
    *("--set", "grpo.max_steps=1", "--set", "evaluate.readings=[]", "--set", "evaluate.stages=['trained']"),
    *("--set", "checkpoint.validate_every=0", "--set", "curriculum.enabled=false", "--set", "grpo.refill_rounds=0"),
)


@pytest.mark.slow
def test_two_settings_over_two_seeds(run: Run) -> None:
    for name, clip in (("ppo", "ppo"), ("cispo", "cispo")):
        series = run("train", TINY, "--seeds", "2", "--out", name, *SMALL, "--set", f"grpo.clip={clip}", "--json")
        assert series.code == 0, series.err
        assert json.loads(series.out)["runs"] == [f"{name}/seed-0", f"{name}/seed-1"]
    compared = run("compare", "ppo", "cispo", "--out", "comparison", "--json")
    assert compared.code == 0, compared.err
    found = json.loads(compared.out)
    assert list(found["groups"]) == ["ppo (2 seeds)", "cispo (2 seeds)"]
    assert {key for key in found["recipe"] if key != "seed"} == {"grpo.clip"}
    (accuracy,) = [entry for entry in found["differences"] if entry["measure"] == "accuracy"]
    assert accuracy["overall"]["tasks"] == 2
    files = {path.name for path in Path("comparison").iterdir()}
    assert {"compare.html", "rates.csv", "rates.tex", "differences.csv", "differences.tex", "curves.svg"} <= files
