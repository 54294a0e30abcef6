"""Choosing the engine: what is missing is said in one line, before anything else is done. Tunix itself: tests/peers."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

import pytest

from thinkaloud import cli
from thinkaloud.config import load_recipe
from thinkaloud.errors import UserError
from thinkaloud.train import tunix
from thinkaloud.train.engine import check_engine, stage_of
from thinkaloud.train.grpo import Grpo

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"


def test_our_own_is_the_default() -> None:
    recipe = load_recipe(TINY)
    check_engine(recipe)
    assert recipe.engine == "thinkaloud"
    assert stage_of(recipe) is Grpo


def test_tunix_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tunix, "version", none)
    with pytest.raises(
        UserError, match=r"needs google-tunix 0\.1\.7, found none; pip install '\.\[tunix\]' in the clone"
    ):
        check_engine(load_recipe(TINY, ["engine=tunix"]))


def test_another_version_of_tunix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunix, "version", lambda name: "0.2.0")
    with pytest.raises(UserError, match=r"needs google-tunix 0\.1\.7, found 0\.2\.0"):
        check_engine(load_recipe(TINY, ["engine=tunix"]))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["engine=tunnix"], "engine: expected 'thinkaloud' or 'tunix'"),
        (["tunix.faithful=true"], '[tunix] is set, but the engine is this package\'s own; set engine = "tunix"'),
        (["engine=tunix", "tunix.rollout=other"], "tunix.rollout: expected 'vanilla', 'vllm' or 'sglang_jax'"),
    ],
)
def test_a_wrong_setting_is_said(overrides: list[str], expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        load_recipe(TINY, overrides)


def test_the_options_go_into_the_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--engine", "tunix", "--engine-faithful", "--set", "tunix.options.rollout_vllm_hbm_utilization=0.3"]
    monkeypatch.setattr("sys.argv", ["thinkaloud", "train", str(TINY), *arguments, "--dry-run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    resolved = json.loads(capsys.readouterr().out)
    assert resolved["engine"] == "tunix"
    assert resolved["tunix"] == {
        "faithful": True,
        "rollout": "vanilla",
        "options": {"rollout_vllm_hbm_utilization": 0.3},
        "micro_batch_prompts": 0,
    }


def test_a_missing_tunix_stops_a_run_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(tunix, "version", lambda name: "0.1.6")
    monkeypatch.setattr(
        "sys.argv", ["thinkaloud", "train", str(TINY), "--engine", "tunix", "--out", str(tmp_path / "run")]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith("error: the engine tunix needs google-tunix 0.1.7, found")
    )
    assert list(tmp_path.iterdir()) == []
