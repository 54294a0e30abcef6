"""Selection of the engine, with its checks before a run. Tests of Tunix itself are in tests/peers."""

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
from thinkaloud.train.engine import check_engine

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"


def test_our_own_is_the_default() -> None:
    recipe = load_recipe(TINY)
    check_engine(recipe)
    assert recipe.engine == "thinkaloud"


def test_tunix_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tunix, "version", none)
    with pytest.raises(UserError, match=r"google-tunix 0\.1\.7.*not installed.*pip install '\.\[tunix\]'"):
        check_engine(load_recipe(TINY, ["engine=tunix"]))


def test_an_untested_version_of_tunix_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    for version in ("0.1.7", "0.2.0"):
        monkeypatch.setattr(tunix, "version", lambda name, version=version: version)
        check_engine(load_recipe(TINY, ["engine=tunix"]), warn=warnings.append)
    assert len(warnings) == 1
    assert "0.1.7" in warnings[0]
    assert "0.2.0" in warnings[0]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["engine=tunnix"], "engine: expected 'thinkaloud' or 'tunix'"),
        (["tunix.micro_batch_prompts=2"], 'set engine = "tunix"'),
        (["engine=tunix", "tunix.rollout=other"], "tunix.rollout: expected 'vanilla', 'vllm' or 'sglang_jax'"),
    ],
)
def test_a_wrong_setting_is_said(overrides: list[str], expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        load_recipe(TINY, overrides)


def test_the_options_go_into_the_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--engine", "tunix", "--set", "tunix.options.rollout_vllm_hbm_utilization=0.3"]
    monkeypatch.setattr("sys.argv", ["thinkaloud", "train", str(TINY), *arguments, "--dry-run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    resolved = json.loads(capsys.readouterr().out)
    assert resolved["engine"] == "tunix"
    assert resolved["tunix"] == {
        "rollout": "vanilla",
        "options": {"rollout_vllm_hbm_utilization": 0.3},
        "micro_batch_prompts": 0,
    }


def test_a_missing_tunix_stops_a_run_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tunix, "version", absent)
    monkeypatch.setattr(
        "sys.argv", ["thinkaloud", "train", str(TINY), "--engine", "tunix", "--out", str(tmp_path / "run")]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith("error: ")
    assert "google-tunix 0.1.7" in last_line
    assert list(tmp_path.iterdir()) == []
