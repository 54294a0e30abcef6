"""The section `vllm`, and what goes with `rollout.engine = "vllm"`."""

from __future__ import annotations

import pytest

from thinkaloud.config import parse_recipe_text
from thinkaloud.errors import UserError

TEXT = 'name = "r"\nmodel = "tiny"\n[rollout]\nengine = "vllm"\n'


def test_defaults_start_a_server() -> None:
    recipe = parse_recipe_text(TEXT)
    assert recipe.vllm.urls == ()
    assert recipe.vllm.python.endswith("python")


def test_urls() -> None:
    recipe = parse_recipe_text(TEXT, ["vllm.urls=['http://127.0.0.1:8000', 'https://[::1]:8001/vllm']"])
    assert recipe.vllm.urls == ("http://127.0.0.1:8000", "https://[::1]:8001/vllm")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["vllm.urls=['127.0.0.1:8000']"], ["vllm.urls", "127.0.0.1:8000"]),
        (["vllm.urls=['']"], ["vllm.urls"]),
        (["vllm.urls=['http://a:99999']"], ["expected a URL"]),
        (["vllm.urls=['http://a/v1']"], ["before /v1"]),
        (["vllm.urls=['http://a', 'http://a']"], ["once"]),
        (["vllm.urls=['http://a']", "vllm.args=['--x']"], ["args", "urls"]),
        (["vllm.api_key_env='KEY'"], ["api_key_env", "without urls"]),
        (["vllm.timeout_seconds=0.0"], ["timeout_seconds"]),
        (["rollout.engine='jax'", "vllm.max_retries=1"], ["[vllm]", "jax"]),
        (["engine='tunix'"], ["tunix.rollout"]),
        (["rollout.temperature=0.005"], ["rollout.temperature", "0.01"]),
        (["lora.rank=1024"], ["lora.rank", "512"]),
    ],
)
def test_mistakes_get_one_clear_line(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_recipe_text(TEXT, overrides)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
