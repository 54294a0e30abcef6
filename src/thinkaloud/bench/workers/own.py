"""The package's own step: `GrpoTrainer.step`, as `thinkaloud train` runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
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
from thinkaloud.records import RolloutGroup, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.tracking.environment import describe_environment
from thinkaloud.train.grpo_step import GrpoTrainer


def main() -> None:
    job = block.read_job()
    recipe = parse_recipe(job["recipe"])
    files, contract = open_contract(recipe)
    model = load_model(files, recipe.model.dtype)  # on one device, like the peers
    policy = Policy(model, contract, recipe.lora.alpha / recipe.lora.rank, ignore_stop=True)
    batches = [[Task(**row) for row in batch["tasks"]] for batch in job["batches"]]
    for tasks, batch in zip(batches, job["batches"], strict=True):
        encoded = [contract.encode(task.question) for task in tasks]
        assert encoded == batch["prompts"], "the exported tokenizer encodes the prompts differently"
    adapter = init_adapter(model.config, recipe.lora.rank, recipe.lora.targets, recipe.seed)
    first: Any = jax.tree.map(jnp.copy, adapter)

    size = recipe.rollout.group_size

    def score(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        scores = [Score(reward=reward, status=Status.GRADED) for reward in block.rewards(len(groups) * size, size)]
        return [replace(group, scores=tuple(scores[i * size : (i + 1) * size])) for i, group in enumerate(groups)]

    trainer = GrpoTrainer(policy, first, recipe, score)
    state = trainer.start(adapter)
    block.report_ready(
        version=thinkaloud.__version__,
        dtype=weights_dtype(model.params).name,
        machine=describe_environment("not needed", {}),
    )
    for tasks in block.of_each_step(job, batches):
        began = time.perf_counter()
        result = trainer.step(state, tasks)
        state = result.state
        jax.tree.map(lambda leaf: leaf.block_until_ready(), (state.adapter, state.optimizer_state))
        seconds = time.perf_counter() - began
        rollout = result.metrics["seconds"]["rollout"]
        block.report_step(
            seconds=seconds,
            rollout=rollout,
            update=seconds - rollout - result.metrics["seconds"]["score"],
            lengths=[len(completion.token_ids) for group in result.groups for completion in group.completions],
            adapter_change=_distance(state.adapter, first),
        )
    stats = jax.local_devices()[0].memory_stats() or {}
    block.report_end(stats.get("peak_bytes_in_use"))


def _distance(one: Any, other: Any) -> float:
    squares = jax.tree.map(lambda x, y: jnp.sum(jnp.square(x - y)), one, other)
    return float(jnp.sqrt(sum(jax.tree.leaves(squares), jnp.zeros(()))))


if __name__ == "__main__":
    main()
