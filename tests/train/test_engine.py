"""Choosing the engine: what is missing is said in one line, before anything else is done. Tunix itself: tests/peers."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

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
    with pytest.raises(UserError, match=r"needs google-tunix 0\.1\.7, found none; pip install 'thinkaloud\[tunix\]'"):
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
