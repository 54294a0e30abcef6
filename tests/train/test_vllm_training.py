"""GRPO on completions of the vLLM sampler (a stand-in server with the same tiny model) against the JAX sampler.

Both get the same seed for every row, so all tokens are the same, and so must be what is learned from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from support.scorers import score_by_hash
from support.vllm_server import by_model, serving
from thinkaloud.config import Recipe
from thinkaloud.config.vllm import VllmConfig
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.records import Task
from thinkaloud.rollout import JaxSampler, Sampled
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.vllm import VllmSampler
from thinkaloud.seeding import derive_seed
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.trainer import StepResult


class ByRow(JaxSampler):
    """The JAX sampler, asked row by row with the seeds that the vLLM sampler sends."""

    def sample(self, prompts: Sequence[Sequence[int]], *, group_size: int, seed: int, **options: Any) -> Any:
        def one(index: int, member: int) -> Sampled:
            own = derive_seed(seed, "row", index, member)
            return JaxSampler.sample(self, [prompts[index]], group_size=1, seed=own, **options)[0][0]

        return [[one(index, member) for member in range(group_size)] for index in range(len(prompts))]


def train(policy: Policy, recipe: Recipe, tasks: list[Task], steps: int = 2) -> list[StepResult]:
    trainer = GrpoTrainer(policy, {}, recipe, score_by_hash)
    state = trainer.start(init_adapter(policy.model.config, 2, TARGETS, seed=5))
    results = []
    for _ in range(steps):
        results.append(trainer.step(state, tasks))
        state = results[-1].state
        results[-1] = replace(results[-1], state=replace(state, adapter=jax.tree.map(np.asarray, state.adapter)))
    return results


@pytest.mark.slow
@pytest.mark.parametrize(("minibatches", "top_k"), [(1, 0), (3, 20)])
def test_two_steps_are_those_of_the_jax_sampler(
    policy: Policy,
    tasks: list[Task],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    minibatches: int,
    top_k: int,
) -> None:
    """With several minibatches the policy moves within a step: the old log-probabilities must be the trainer's own."""
    sections: dict[str, Any] = {"grpo": {"minibatches": minibatches, "warmup_fraction": 0.0}}
    rollout = {"top_k": top_k, "group_size": 2}
    ours = make_recipe(rollout=rollout, **sections)
    theirs = make_recipe(rollout={**rollout, "engine": "vllm"}, **sections)
    expected = train(replace(policy, sampler=ByRow(policy.model, policy.scale)), ours, tasks)
    with serving(by_model(policy.model)) as standin:
        config = VllmConfig(urls=(standin.url,))
        sampler = VllmSampler(config, policy.model.config, alpha=ours.lora.alpha, folder=tmp_path)
        found = train(replace(policy, sampler=sampler), theirs, tasks)
        sampler.close()
    for one, other in zip(found, expected, strict=True):
        rows = [[group.completions for group in result.groups] for result in (one, other)]
        assert [[c.token_ids for c in own] for own in rows[0]] == [[c.token_ids for c in own] for own in rows[1]]
        for name in ("reward", "loss", "entropy", "mismatch_kl", "grad_norm", "clip_fraction", "importance_capped"):
            assert one.metrics[name] == pytest.approx(other.metrics[name], abs=1e-4), name
        for ours_leaf, theirs_leaf in zip(
            jax.tree.leaves(one.state.adapter), jax.tree.leaves(other.state.adapter), strict=True
        ):
            np.testing.assert_allclose(ours_leaf, theirs_leaf, atol=1e-4)
    assert expected[0].metrics["grad_norm"] > 0
    names = [{c.adapter for group in result.groups for c in group.completions} for result in found]
    assert len(names[0]) == len(names[1]) == 1
    assert names[0] != names[1]
