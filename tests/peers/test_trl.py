"""TRL's GRPOTrainer takes the pool, the prompts and the rewards as they are, and learns from them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from support.tiny_runs import make_base

pytest.importorskip("trl", reason="trl is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[2]


def test_a_few_steps(tmp_path: Path) -> None:
    import torch

    from thinkaloud import api
    from thinkaloud.prompt.from_recipe import open_contract

    spec = importlib.util.spec_from_file_location("trl_grpo", ROOT / "examples" / "trl_grpo.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base = make_base("llama", tmp_path / "base")
    recipe = ROOT / "recipes" / "tiny.toml"
    overrides = (f"model='{base}'", "data.domains=['math']", "rollout.max_new_tokens=8", "grpo.beta=0.0")
    asked: list[Any] = []
    paid: list[list[float]] = []
    real = module.reward_fn

    def watched(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
        asked.extend(prompts)
        rewards = real(prompts, completions, **columns)
        assert rewards == [0.0] * len(completions)  # random weights keep no format
        paid.append([float(len(str(text)) % 7) for text in completions])  # so that there is something to learn
        return paid[-1]

    module.reward_fn = watched
    trainer = module.trainer_of(recipe, str(base), steps=2, out=tmp_path / "out", overrides=overrides)
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    assert len(paid) == 2
    assert any(not torch.equal(before[name], weight) for name, weight in trainer.model.named_parameters())
    _, contract = open_contract(api.load_recipe(recipe, *overrides))
    assert asked
    for messages in asked:
        found = trainer.processing_class.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert found == contract.encode(messages[0]["content"])
