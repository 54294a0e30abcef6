"""On-policy distillation: the term by hand, and a student that approaches its teacher without any reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from support.reference import plain_logprobs
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.load import Model
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.merge import merge_in_place
from thinkaloud.prompt.tokenizer import Tokenizer, load_tokenizer
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.session import teacher as session_teacher
from thinkaloud.session.teacher import teacher_files
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.loss import Objective, grpo_loss

PLAIN = Objective(beta=0.0, epsilon=0.2, epsilon_high=0.2, ratio="token", teacher_weight=0.5)


def no_reward(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
    nothing = Score(reward=0.0, status=Status.WRONG)
    return [replace(group, scores=(nothing,) * len(group.completions)) for group in groups]


@pytest.mark.parametrize(("use_reward", "expected"), [(True, [-1.0, 2.0]), (False, [0.0, 0.0])])
def test_the_teachers_term_is_part_of_the_advantage(use_reward: bool, expected: list[float]) -> None:
    """log q - log p = log 2 and -log 4, half of it added to the advantages 1 and -2."""
    own, teacher = (jnp.log(jnp.asarray(p, jnp.float32)) for p in ((0.25, 0.8), (0.5, 0.2)))
    rest = (own, jnp.zeros(2), jnp.asarray([1.0, -2.0]), jnp.ones(2), jnp.ones(2, bool), jnp.zeros(2, jnp.int32), 1)
    objective = PLAIN._replace(use_reward=use_reward)

    def loss(x: Any) -> Any:
        return grpo_loss(x, own, *rest, objective, teacher=teacher)

    gradient = jax.grad(lambda x: loss(x)[0])(own)
    np.testing.assert_allclose(gradient, np.asarray(expected) - 0.5 * np.log([2.0, 0.25]), rtol=1e-5)
    assert float(loss(own)[1].teacher_kl) == pytest.approx(np.log(0.5) + np.log(4.0), rel=1e-5)


def test_gradient_descent_ends_at_the_teachers_distribution() -> None:
    """Five tokens, each weighted by its probability: the expected gradient, whose optimum is p = q."""
    q = jnp.asarray([0.5, 0.2, 0.15, 0.1, 0.05])
    objective = PLAIN._replace(use_reward=False, teacher_weight=1.0)
    zeros, valid, rows = jnp.zeros(5), jnp.ones(5, bool), jnp.zeros(5, jnp.int32)

    @jax.jit
    def descend(logits: Any) -> Any:
        old = jax.nn.log_softmax(logits)

        def loss(logits: Any) -> Any:
            now = jax.nn.log_softmax(logits)
            return grpo_loss(
                now, old, zeros, zeros, zeros, jnp.exp(old), valid, rows, 1, objective, teacher=jnp.log(q)
            )[0]

        return logits - jax.grad(loss)(logits)

    logits = jnp.asarray([0.0, 1.0, -1.0, 2.0, 0.5])
    for _ in range(300):
        logits = descend(logits)
    np.testing.assert_allclose(jax.nn.softmax(logits), q, atol=1e-3)


def test_a_step_without_any_reward_is_the_gradient_of_the_formula(
    policy: Policy, tasks: list[Task], make_recipe: Callable[..., Recipe]
) -> None:
    """The teacher is the base with an adapter merged in; the student starts from the base."""
    adapter = init_adapter(policy.model.config, 2, TARGETS, seed=5)
    rng = np.random.default_rng(6)
    moved = jax.tree.map(lambda x: np.asarray(x + 0.05 * rng.standard_normal(x.shape), np.float32), adapter)
    params = merge_in_place(jax.tree.map(np.array, policy.model.params), moved, policy.scale)
    teacher = Model(policy.model.config, jax.tree.map(jnp.asarray, params))
    recipe = make_recipe(
        teacher={"source": "tiny", "weight": 0.5, "reward": False}, rollout={"group_size": 2, "max_new_tokens": 4}
    )
    tasks = tasks[:1]
    trainer = GrpoTrainer(policy, {}, recipe, no_reward, teacher=teacher)
    trainer.optimizer = optax.sgd(1.0)
    trainer.learning_rate = lambda state, update: 1.0  # type: ignore[method-assign]
    before = jax.tree.map(np.asarray, adapter)
    result = trainer.step(trainer.start(adapter), tasks)
    gradient = jax.tree.map(lambda old, new: old - np.asarray(new), before, result.state.adapter)
    sampled = [(task, c) for task, group in zip(tasks, result.groups, strict=True) for c in group.completions]

    def logprobs_of(adapter: Any, task: Task, completion: Completion) -> Any:
        prompt, config = policy.contract.encode(task.question), policy.model.config
        return plain_logprobs(
            policy.model.params, adapter, prompt, completion.token_ids, config, policy.scale, recipe.rollout.temperature
        )

    gaps = [np.asarray(logprobs_of(before, *one) - logprobs_of(moved, *one)) for one in sampled]

    def formula(adapter: Any) -> Any:
        total = jnp.zeros(())
        for one, gap in zip(sampled, gaps, strict=True):
            weighted = jnp.sum(np.float32(0.5) * gap * logprobs_of(adapter, *one))
            total = total + weighted / np.float32(len(gap) * len(sampled))
        return total

    expected = jax.grad(formula)(jax.tree.map(jnp.asarray, before))
    for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) > 1e-4
    assert result.metrics["zero_std_fraction"] == 1.0
    assert result.metrics["groups"]["sampled"] == len(tasks)  # no refill: there is no reward to wait for
    assert result.metrics["teacher_kl"] == pytest.approx(np.concatenate(gaps).mean(), abs=1e-3)


def test_a_teacher_with_another_tokenizer_is_refused(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = parse_recipe({"name": "t", "model": "tiny", "teacher": {"source": "tiny", "weight": 1.0}})
    contract = policy.contract
    assert teacher_files(recipe, contract) is not None

    class Shifted(Tokenizer):
        def encode_plain(self, text: str) -> list[int]:
            return [1, *super().encode_plain(text)]

    shifted = copy(load_tokenizer(resolve_model("tiny")))
    shifted.__class__ = Shifted
    monkeypatch.setattr(session_teacher, "load_tokenizer", lambda files: shifted)
    with pytest.raises(UserError, match="tokenizer"):
        teacher_files(recipe, contract)


def test_a_teacher_needs_a_weight() -> None:
    with pytest.raises(UserError, match="weight"):
        parse_recipe({"name": "t", "model": "tiny", "teacher": {"source": "tiny"}})
    with pytest.raises(UserError, match="tunix"):
        parse_recipe({"name": "t", "model": "tiny", "engine": "tunix", "teacher": {"source": "tiny", "weight": 1}})
