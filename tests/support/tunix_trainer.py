"""A `TunixTrainer` on tiny random models, for checks of Tunix's own objects: its batch, its model, its optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tunix.rl import common

from support.scorers import grouped
from thinkaloud.config.load import parse_recipe
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.hf_config import read_hf_config
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.model.random_weights import random_params
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.train.tunix.engine import TunixTrainer

TASKS = tuple(
    Task(id=f"t{i}", domain="math", source="own", question=f"What is {i} + 4?", answer=str(i + 4)) for i in range(4)
)
GROUP_SIZE = 4
TEMPERATURE = 0.7


def llama_config() -> ModelConfig:
    """A Llama as small as the tiny Gemma, with a rotary base that is not Tunix's default of 1,000,000."""
    return read_hf_config(
        {
            "model_type": "llama",
            "vocab_size": tiny_config().vocab_size,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000.0,
            "tie_word_embeddings": True,
            "max_position_embeddings": 4096,
        }
    )


def open_tunix(
    config: ModelConfig | None = None, *, dtype: str = "float32", micro_batch_prompts: int = 0
) -> TunixTrainer:
    """A trainer on random weights (the tiny Gemma by default) with rewards by position."""
    config = config or tiny_config()
    recipe = parse_recipe(
        {
            "name": "checks",
            "model": {"source": "tiny"},
            "engine": "tunix",
            "tunix": {"micro_batch_prompts": micro_batch_prompts},
            "lora": {"rank": 2, "alpha": 4.0},
            "rollout": {
                "prompts_per_step": len(TASKS),
                "group_size": GROUP_SIZE,
                "max_prompt_tokens": 512,
                "max_new_tokens": 32,
                "temperature": TEMPERATURE,
                "top_p": 1.0,
                "top_k": 0,
            },
            "grpo": {"inner_iterations": 2, "learning_rate": 1e-3, "beta": 0.04},
        }
    )
    _, contract = open_contract(recipe)
    params = jax.tree.map(lambda array: jnp.asarray(array, dtype), random_params(config, seed=0))
    policy = Policy(Model(config, params), contract, recipe.lora.alpha / recipe.lora.rank)
    reference = init_adapter(config, recipe.lora.rank, recipe.lora.targets, seed=1)
    return TunixTrainer(policy, reference, recipe, score_by_position)


@grouped
def score_by_position(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    """Rewards by position in the group, so that every group has signal."""
    return [Score(reward=(i % GROUP_SIZE) / (GROUP_SIZE - 1), status=Status.GRADED) for i, _ in enumerate(completions)]


def noisy_adapter(trainer: TunixTrainer, size: float = 0.05) -> Adapter:
    """The reference's adapter with noise on B; the same in every call."""
    rng = np.random.default_rng(2)
    return {
        target: {"a": jnp.copy(pair["a"]), "b": jnp.asarray(rng.normal(0.0, size, pair["b"].shape), jnp.float32)}
        for target, pair in trainer.reference.items()
    }


def tunix_logprobs(trainer: TunixTrainer, batch: Any) -> np.ndarray:
    """Log-probabilities [rows, tokens] of a batch under Tunix's current model, at the sampling temperature."""
    graph, state = nnx.split(trainer.cluster.actor_trainer.model)
    rollout = trainer.cluster.rollout
    found = common.compute_per_token_logps(
        graph,
        state,
        prompt_tokens=batch.prompt_ids,
        completion_tokens=batch.completion_ids,
        pad_id=rollout.pad_id(),
        eos_id=rollout.eos_id(),
        temperature=TEMPERATURE,
    )
    return np.asarray(found)
