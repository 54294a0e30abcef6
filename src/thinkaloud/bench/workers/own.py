"""thinkaloud's own step: `train.grpo.Grpo.step`, as `thinkaloud train` runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

import thinkaloud
from thinkaloud.bench.workers import block
from thinkaloud.config.load import parse_recipe
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import init_adapter
from thinkaloud.model.precision import weights_dtype
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.tracking.environment import describe_environment
from thinkaloud.train.grpo import Grpo


def main() -> None:
    job = block.read_job()
    recipe = parse_recipe(job["recipe"])
    files, contract = open_contract(recipe)
    model = load_model(files, recipe.model.dtype)
    policy = Policy(model, contract, recipe.lora.alpha / recipe.lora.rank, ignore_stop=True)
    tasks = [Task(**row) for row in job["tasks"]]
    for task, prompt in zip(tasks, job["prompts"], strict=True):
        assert contract.encode(task.question) == prompt, "the exported tokenizer gives other prompts"
    adapter = init_adapter(model.config, recipe.lora.rank, recipe.lora.targets, recipe.seed)
    first: Any = jax.tree.map(jnp.copy, adapter)

    def score(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        rewards = block.rewards(len(completions), recipe.rollout.group_size)
        return [Score(reward=reward, status=Status.GRADED) for reward in rewards]

    stage = Grpo(policy, first, recipe, score)
    state: Any = stage.optimizer.init(adapter)
    block.say_ready(
        version=thinkaloud.__version__,
        dtype=weights_dtype(model.params).name,
        machine=describe_environment("not needed", {}),
    )
    for step in range(job["steps"]):
        began = time.perf_counter()
        result = stage.step(adapter, state, tasks, step)
        adapter, state = result.adapter, result.state
        for array in jax.tree.leaves((adapter, state)):
            array.block_until_ready()
        seconds = time.perf_counter() - began
        rollout = result.metrics["seconds"]["rollout"]
        block.say_step(
            seconds=seconds,
            rollout=rollout,
            update=seconds - rollout - result.metrics["seconds"]["score"],
            lengths=[len(completion.token_ids) for group in result.groups for completion in group],
            adapter_change=_distance(adapter, first),
        )
    stats = jax.local_devices()[0].memory_stats() or {}
    block.say_end(stats.get("peak_bytes_in_use"))


def _distance(one: Any, other: Any) -> float:
    squares = jax.tree.map(lambda x, y: jnp.sum(jnp.square(x - y)), one, other)
    return float(jnp.sqrt(sum(jax.tree.leaves(squares), jnp.zeros(()))))


if __name__ == "__main__":
    main()
