"""The self-checks after the first step: each fault stops the run with its cause, and a sound step passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.pipeline.self_checks import check_adapter, check_first_step, check_prompts, check_rewards
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.scoring import score_groups
from thinkaloud.rollout import JaxSampler
from thinkaloud.rollout.policy import Policy

TASK = Task(id="t", domain="math", source="s", question="What is 2 + 3?", answer="5")


def group_of(policy: Policy, rewards: Sequence[float] = (1.0, 0.0), finish: Finish = Finish.STOP) -> RolloutGroup:
    return RolloutGroup(
        task=TASK,
        prompt_ids=tuple(policy.contract.encode(TASK.question)),
        completions=tuple(Completion(text="", finish=finish) for _ in rewards),
        scores=tuple(Score(reward=reward, status=Status.WRONG) for reward in rewards),
    )


def moved(policy: Policy) -> Any:
    adapter = init_adapter(policy.model.config, 2, TARGETS, seed=5)
    return jax.tree.map(lambda leaf: leaf + 0.05, adapter)


def test_a_sound_step_passes(policy: Policy) -> None:
    check_first_step(policy, BUILTIN, score_groups, [group_of(policy)], moved(policy), updated=True)


@pytest.mark.parametrize(("mismatch", "fits"), [(None, True), (0.4, True), (0.6, False)])
def test_a_server_of_other_weights_is_named(policy: Policy, mismatch: float | None, fits: bool) -> None:
    served = replace(policy, sampler=JaxSampler(policy.model, policy.scale))
    arguments = (served, BUILTIN, score_groups, [group_of(policy)], moved(policy))
    if fits:
        check_first_step(*arguments, updated=False, mismatch=mismatch)
    else:
        with pytest.raises(UserError, match="other weights"):
            check_first_step(*arguments, updated=False, mismatch=mismatch)


def test_another_prompt_is_named(policy: Policy) -> None:
    group = group_of(policy)
    with pytest.raises(UserError, match=r"prompt of task t .* the contract gives"):
        check_prompts(policy, [replace(group, prompt_ids=(*group.prompt_ids, 1))])


@pytest.mark.parametrize(("finish", "remedy"), [(Finish.LENGTH, "max_new_tokens"), (Finish.STOP, "cold start")])
def test_a_step_without_any_reward_names_its_cause(policy: Policy, finish: Finish, remedy: str) -> None:
    with pytest.raises(UserError, match=remedy):
        check_rewards([group_of(policy, (0.0, 0.0), finish)])


def test_gold_answers_without_full_marks_are_named(policy: Policy) -> None:
    def half(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        return [replace(one, scores=(Score(reward=0.2, status=Status.WRONG, explanation="no"),)) for one in groups]

    with pytest.raises(UserError, match=r"gold answer of math task t .* 0\.20 of 1 .*no"):
        check_first_step(policy, BUILTIN, half, [group_of(policy)], moved(policy), updated=True)


def test_an_adapter_that_did_not_move(policy: Policy) -> None:
    with pytest.raises(UserError, match="B is still zero"):
        check_adapter(policy, init_adapter(policy.model.config, 2, TARGETS, seed=5), group_of(policy))


def test_a_sampler_that_ignores_the_adapter(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Policy.sample
    monkeypatch.setattr(Policy, "sample", lambda self, adapter, *args, **more: real(self, {}, *args, **more))
    with pytest.raises(UserError, match="with and without the adapter"):
        check_adapter(policy, moved(policy), group_of(policy))


def test_a_first_update_below_the_resolution_of_bfloat16(policy: Policy) -> None:
    adapter = init_adapter(policy.model.config, 2, TARGETS, seed=5)
    tiny = {name: {**pair, "b": jnp.full_like(pair["b"], 1e-12)} for name, pair in adapter.items()}
    check_adapter(policy, tiny, group_of(policy))
