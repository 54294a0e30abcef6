from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.load import load_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Task, task_id
from thinkaloud.rollout.policy import Policy

QUESTIONS = ("ab", "a longer question", "c")


@pytest.fixture(scope="session")
def policy() -> Policy:
    """A tiny random Gemma behind the prompt contract of bytes."""
    contract = PromptContract.build(byte_tokenizer(), template="gemma", system="S")
    return Policy(load_model(resolve_model("tiny"), "float32"), contract, 2.0)


@pytest.fixture(scope="session")
def tasks() -> list[Task]:
    return [
        Task(id=task_id("math", q), domain="math", source="test", question=q, answer="7", rationale="It is seven.")
        for q in QUESTIONS
    ]


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., Recipe]:
    """A recipe for the tiny model; sections given as dictionaries replace the defaults field by field."""

    def make(**sections: dict[str, Any]) -> Recipe:
        values: dict[str, Any] = {
            "name": "test",
            "model": {"source": "tiny", "dtype": "float32"},
            "lora": {"rank": 2, "alpha": 4.0},
            "rollout": {
                "prompts_per_step": 3,
                "group_size": 4,
                "max_new_tokens": 8,
                "temperature": 0.8,
                "top_p": 1.0,
                "top_k": 0,
            },
            "grpo": {"inner_iterations": 1, "beta": 0.0, "weight_decay": 0.0, "learning_rate": 0.01},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        return parse_recipe(values)

    return make
