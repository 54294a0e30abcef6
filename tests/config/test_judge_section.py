"""The judge's section: off by default, and no place for a key."""

from __future__ import annotations

import pytest

from thinkaloud.config import parse_recipe_text
from thinkaloud.config.load import change_recipe
from thinkaloud.errors import UserError

BASE = 'name = "r"\nmodel = "tiny"\n'


def test_off_by_default_and_on_with_an_address() -> None:
    assert not parse_recipe_text(BASE).judge.on
    for url in ("http://127.0.0.1:8000/v1", "https://api.example.com/v1/", "http://[::1]:80"):
        assert parse_recipe_text(BASE, [f"judge.base_url={url}", "judge.model=m"]).judge.on


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["judge.base_url=http://host/v1"], "model is empty"),
        (["judge.reward_share=0.5"], "there is no judge"),
        (["judge.base_url=ftp://host"], "expected http:// or https://"),
        (["judge.base_url=http://host:99999/v1", "judge.model=m"], "base_url: expected a URL"),
        (["judge.base_url=http://sk-SECRET" + "@host/v1"], "no user name"),
        (["judge.base_url=http://host/v1?key=sk-SECRET"], "no user name, key or query"),
        (["judge.api_key_env=sk-SECRET"], "never the key itself"),
        (["judge.api_key_env=gsk_SECRETx"], "never the key itself"),
        (["judge.api_key=sk-SECRET"], "did you mean 'api_key_env'"),
    ],
)
def test_mistakes(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_recipe_text(BASE, overrides)
    assert message in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_recipe_changed_in_part() -> None:
    recipe = parse_recipe_text(BASE, ["judge.base_url=http://h/v1", "judge.model=m", "grpo.max_steps=7"])
    changed = change_recipe(recipe, ["judge.model=n"])
    assert (changed.judge.model, changed.grpo.max_steps) == ("n", 7)
    assert change_recipe(recipe, []) == recipe
