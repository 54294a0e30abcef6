"""A user who wants Gemma 3 1B overnight, before the night: recipe, plan, pre-flight checks on eight simulated devices.

The rest needs the weights and an accelerator; by hand it is examples/kaggle_gemma3_1b.ipynb.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.cli import Run

AUDIT = ("audit", "night-1b", "--no-model", "--json", "--set", "model.source=tiny")
FEW = (
    *("--set", "data.sources={starter = {}}", "--set", "data.evaluation_sets=[]"),
    *("--set", "data.generated={math = 40, logic = 40}", "--set", "data.generated_held_out={}"),
)


def test_the_recipe_is_found_and_its_plan_is_printed(run: Run) -> None:
    assert "night-1b" in run("recipes").out
    assert "HF_TOKEN" in run("recipes", "night-1b").out
    model = "kaggle:google/gemma-3/transformers/gemma-3-1b-it"
    options = ("--set", f"model.source={model}", "--mesh", "data=8", "--deadline", "8h30m", "--out", "night")
    shown = run("train", "night-1b", *options, "--dry-run")
    assert shown.code == 0
    resolved = json.loads(shown.out)
    assert (resolved["model"]["source"], resolved["mesh"]["data"]) == (model, 8)
    assert not Path("night").exists()


def test_the_pre_flight_checks_of_eight_devices(tmp_path: Path) -> None:
    """With the tiny model in place of Gemma, and without the data sets that are on the hub."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "thinkaloud.cli", *AUDIT, *FEW],
        cwd=tmp_path,
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert "of 8 used" in found["device"]["message"]
    assert found["cold start"]["level"] == "ok"
    assert found["memory"]["figures"]["total_bytes"] > 0
    assert not [finding for finding in found.values() if finding["level"] == "stop"]
