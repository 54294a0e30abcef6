"""One GRPO step against a simple implementation, and its invariants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from support.scorers import grouped
from thinkaloud.config import Recipe
from thinkaloud.domains import BUILTIN
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.packed import forward, pack
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY
from thinkaloud.train.advantage import group_advantages, with_advantages
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.step_metrics import outcome_metrics
from thinkaloud.train.trainer import StepResult

MakeRecipe = Callable[..., Recipe]
run = jax.jit(forward, static_argnames=("config", "scale", "collect"))


@grouped
def by_token_sum(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    """A reward that differs within a group, whatever was sampled."""
    return [
        Score(reward=(sum(c.token_ids) % 97) / 97, status=Status.WRONG) for _, c in zip(tasks, completions, strict=True)
    ]


def moved_adapter(policy: Policy) -> Any:
    adapter = init_adapter(policy.model.config, 2, TARGETS, seed=5)
    rng = np.random.default_rng(6)
    return jax.tree.map(lambda x: x + jnp.asarray(0.05 * rng.standard_normal(x.shape).astype(np.float32)), adapter)


def plain_logprobs(policy: Policy, adapter: Any, task: Task, completion: Completion, temperature: float) -> Any:
    prompt = policy.contract.encode(task.question)
    ids = list(completion.token_ids)
    hidden, _ = run(policy.model.params, adapter, pack([[*prompt, *ids]], [[]]), policy.model.config, policy.scale)
    logits = hidden[len(prompt) - 1 : len(prompt) + len(ids) - 1] @ head_weight(policy.model.params).T
    return jax.nn.log_softmax(logits / np.float32(temperature))[np.arange(len(ids)), np.asarray(ids)]


def use_sgd(trainer: GrpoTrainer) -> None:
    """Plain gradient descent at rate one: what is subtracted is the gradient."""
    trainer.optimizer = optax.sgd(1.0)
    trainer.learning_rate = lambda state, update: 1.0  # type: ignore[method-assign]


def sgd_step(trainer: GrpoTrainer, adapter: Any, tasks: list[Task]) -> tuple[StepResult, Any]:
    """One step of plain gradient descent, and its gradient."""
    use_sgd(trainer)
    before = jax.tree.map(np.asarray, adapter)
    result = trainer.step(trainer.start(adapter), tasks)
    gradient = jax.tree.map(lambda old, new: old - np.asarray(new), before, result.state.adapter)
    return result, gradient


@pytest.mark.parametrize(
    ("loss", "beta", "rematerialization"),
    [
        ("sequence_mean", 0.0, "selective"),
        ("sequence_mean", 0.3, "selective"),
        ("token_mean", 0.0, "selective"),
        ("token_mean", 0.3, "selective"),
        ("token_mean", 0.3, "full"),
    ],
)
def test_the_update_is_the_gradient_of_the_formula(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, loss: str, beta: float, rematerialization: str
) -> None:
    recipe = make_recipe(model={"rematerialization": rematerialization}, grpo={"beta": beta, "loss": loss})
    reference = jax.tree.map(lambda x: x * 0.5, moved_adapter(policy))
    result, gradient = sgd_step(GrpoTrainer(policy, reference, recipe, by_token_sum), moved_adapter(policy), tasks)
    rewards = np.asarray([[score.reward for score in group.scores] for group in result.groups])
    advantages = group_advantages(rewards, np.zeros(rewards.shape, bool), scale_by_std=True).values
    completions = [(i, m, c) for i, group in enumerate(result.groups) for m, c in enumerate(group.completions)]
    all_tokens = sum(len(c.token_ids) for _, _, c in completions)

    def formula(adapter: Any) -> Any:
        total = jnp.zeros(())
        for i, m, completion in completions:
            logprobs = plain_logprobs(policy, adapter, tasks[i], completion, 0.8)
            ratio = jnp.exp(logprobs - jax.lax.stop_gradient(logprobs))
            value = -ratio * np.float32(advantages[i, m])
            if beta:
                d = plain_logprobs(policy, reference, tasks[i], completion, 0.8) - logprobs
                value = value + np.float32(beta) * (jnp.exp(d) - d - 1)
            weight = 1 / all_tokens if loss == "token_mean" else 1 / (len(logprobs) * len(completions))
            total = total + np.float32(weight) * value.sum()
        return total

    expected = jax.grad(formula)(moved_adapter(policy))
    for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        assert np.abs(np.asarray(theirs)).max() > 1e-5
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.4])
def test_the_ratio_is_one_at_the_first_update(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, temperature: float
) -> None:
    """Invariant 3: the trainer's log-probabilities are the sampler's, at any temperature, with top-p in force."""
    recipe = make_recipe(rollout={"temperature": temperature, "top_p": 0.9})
    result, _ = sgd_step(GrpoTrainer(policy, {}, recipe, by_token_sum), moved_adapter(policy), tasks)
    assert abs(result.metrics["ratio_mean"] - 1) < 1e-3
    assert abs(result.metrics["ratio_max"] - 1) < 1e-3
    assert result.metrics["clip_fraction"] == 0


def test_later_iterations_move_away_from_the_first(policy: Policy, tasks: list[Task], make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(grpo={"inner_iterations": 3, "learning_rate": 0.05, "warmup_fraction": 0.0})
    trainer = GrpoTrainer(policy, {}, recipe, by_token_sum)
    adapter = moved_adapter(policy)
    result = trainer.step(trainer.start(adapter), tasks)
    assert abs(result.metrics["ratio_max"] - 1) < 1e-3  # measured in the first iteration
    assert result.metrics["clip_fraction"] > 0


def test_minibatches_update_once_each_and_all_prompts_are_used(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    trainer = GrpoTrainer(policy, {}, make_recipe(grpo={"minibatches": 3, "inner_iterations": 2}), by_token_sum)
    adapter = moved_adapter(policy)
    result = trainer.step(trainer.start(adapter), tasks)
    assert (
        int(optax.tree.get(result.state.optimizer_state, "count", filtering=lambda path, _: "Adam" in str(path[-1])))
        == 6
    )
    assert abs(result.metrics["ratio_mean"] - 1) < 0.2


def test_the_entropy_bonus_grows_below_its_floor_and_raises_entropy(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    """A floor above any entropy: the weight grows by a fixed step, and the entropy with it."""
    settings = {"entropy_floor": 50.0, "entropy_step": 5.0, "learning_rate": 0.01, "warmup_fraction": 0.0}
    trainer = GrpoTrainer(policy, {}, make_recipe(grpo=settings), by_token_sum)
    state, rows = trainer.start(moved_adapter(policy)), []
    for _ in range(6):
        result = trainer.step(state, tasks)
        state = result.state
        rows.append(result.metrics)
    assert [row["entropy_weight"] for row in rows] == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    assert state.entropy_weight == 30.0
    assert rows[-1]["entropy"] > rows[1]["entropy"] + 0.05


def test_equal_rewards_leave_the_adapter_as_it_is(policy: Policy, tasks: list[Task], make_recipe: MakeRecipe) -> None:
    """Invariant 10."""

    @grouped
    def same(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        return [Score(reward=0.2, status=Status.WRONG) for _ in completions]

    trainer = GrpoTrainer(policy, {}, make_recipe(grpo={"learning_rate": 0.1}), same)
    before = jax.tree.map(np.asarray, moved_adapter(policy))
    adapter = moved_adapter(policy)
    result = trainer.step(trainer.start(adapter), tasks)
    assert result.metrics["zero_std_fraction"] == 1.0
    assert result.metrics["grad_norm"] == 0.0
    for new, old in zip(jax.tree.leaves(result.state.adapter), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_group_without_signal_gives_no_gradient_but_counts_in_the_mean(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    def first_group_equal(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        equal = tuple(Score(reward=0.0, status=Status.WRONG) for _ in range(4))
        scored = by_token_sum(groups)
        return [replace(group, scores=equal) if group.task.id == tasks[0].id else group for group in scored]

    trainer = GrpoTrainer(policy, {}, make_recipe(), first_group_equal)
    result, gradient = sgd_step(trainer, moved_adapter(policy), tasks)
    assert result.metrics["zero_std_fraction"] == pytest.approx(1 / 3)
    lonely = GrpoTrainer(policy, {}, make_recipe(), first_group_equal)
    use_sgd(lonely)
    adapter = moved_adapter(policy)
    before = jax.tree.map(np.asarray, adapter)
    after, _ = lonely.update(lonely.start(adapter), result.groups[1:])
    new = after.adapter
    for ours, old, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(before), jax.tree.leaves(new), strict=True):
        np.testing.assert_allclose(ours, (old - np.asarray(other)) * 2 / 3, atol=1e-5)


@grouped
def first_ones_cut(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    """The first completion of every group of four is cut off."""
    return [
        Score(reward=0.0, status=Status.TRUNCATED, reason="truncated")
        if index % 4 == 0
        else Score(reward=(index % 4) / 4, status=Status.WRONG)
        for index, _ in enumerate(completions)
    ]


def test_truncated_completions_are_penalised_or_masked(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    """Invariant 9: counted apart; by default they earn 0 and push the others up, masked they take no part."""
    penalised = GrpoTrainer(policy, {}, make_recipe(), first_ones_cut)
    result, gradient = sgd_step(penalised, moved_adapter(policy), tasks)
    assert result.metrics["truncated_rate"] == 0.25
    masked = GrpoTrainer(policy, {}, make_recipe(rewards={"truncated": "mask"}), first_ones_cut)
    other, masked_gradient = sgd_step(masked, moved_adapter(policy), tasks)
    assert other.metrics["truncated_rate"] == 0.25
    assert not np.allclose(gradient["q"]["b"], masked_gradient["q"]["b"], atol=1e-6)


def test_masked_completions_do_not_touch_the_gradient(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    """Whatever reward a masked completion carries, the update is the same."""

    def scorer(reward: float) -> GroupScorer:
        @grouped
        def score(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
            return [
                Score(reward=reward, status=Status.SANDBOX_ERROR)
                if index % 4 == 1
                else Score(reward=(index % 4) / 4, status=Status.WRONG)
                for index, _ in enumerate(completions)
            ]

        return score

    (low, first), (high, second) = (
        sgd_step(GrpoTrainer(policy, {}, make_recipe(grpo={"beta": 0.1}), scorer(value)), moved_adapter(policy), tasks)
        for value in (0.0, 1.0)
    )
    assert low.metrics["masked"] == high.metrics["masked"] == 3
    for ours, theirs in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_end_of_turn_token_is_trained(policy: Policy, tasks: list[Task], make_recipe: MakeRecipe) -> None:
    """Invariant 2: where the completions that end are the rewarded ones, the end becomes likelier."""
    stop = policy.contract.stop_ids[0]
    bodies = [(40, 41, stop), (42, 43, 44), (45, 46, stop), (47, 48, 49)]
    completions = tuple(
        Completion(
            text="",
            token_ids=ids,
            logprobs=(0.0,) * len(ids),
            finish=Finish.STOP if stop in ids else Finish.LENGTH,
        )
        for ids in bodies
    )
    scores = tuple(Score(reward=float(c.finish is Finish.STOP), status=Status.WRONG) for c in completions)
    groups = [
        RolloutGroup(
            task=task, prompt_ids=tuple(policy.contract.encode(task.question)), completions=completions, scores=scores
        )
        for task in tasks
    ]
    groups = with_advantages(groups, mask_truncated=False, scale_by_std=True)
    trainer = GrpoTrainer(
        policy, {}, make_recipe(grpo={"learning_rate": 0.02, "importance_cap": 0}), by_token_sum
    )  # these completions were not sampled
    state = trainer.start(moved_adapter(policy))
    before = [float(plain_logprobs(policy, state.adapter, tasks[0], c, 1.0)[-1]) for c in completions]
    for _ in range(3):
        state, _ = trainer.update(state, groups)
    after = [float(plain_logprobs(policy, state.adapter, tasks[0], c, 1.0)[-1]) for c in completions]
    assert after[0] > before[0] + 0.05
    assert after[2] > before[2] + 0.05
    assert after[1] < before[1]


def test_adapters_and_moments_stay_float32_on_a_bfloat16_base(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    """Invariant 4."""
    half = replace(policy.model, params=jax.tree.map(lambda x: x.astype(jnp.bfloat16), policy.model.params))
    trainer = GrpoTrainer(replace(policy, model=half), {}, make_recipe(grpo={"learning_rate": 3e-6}), by_token_sum)
    adapter = moved_adapter(policy)
    before = np.asarray(adapter["q"]["b"])
    result = trainer.step(trainer.start(adapter), tasks)
    leaves = [*jax.tree.leaves(result.state.adapter), *jax.tree.leaves(result.state.optimizer_state)]
    assert {str(leaf.dtype) for leaf in leaves} == {"float32", "int32"}
    moved = np.abs(np.asarray(result.state.adapter["q"]["b"]) - before)
    assert 1e-7 < moved.max() < 4e-6
    assert abs(result.metrics["ratio_mean"] - 1) < 0.02


def test_a_control_changes_what_is_learned_from_and_no_score(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    plain, control, again = (
        GrpoTrainer(policy, {}, make_recipe(rewards={"control": name}), by_token_sum)
        for name in ("none", "random", "random")
    )
    results = [trainer.step(trainer.start(moved_adapter(policy)), tasks) for trainer in (plain, control, again)]
    scores = [[group.scores for group in result.groups] for result in results]
    advantages = [[group.advantages for group in result.groups] for result in results]
    assert scores[0] == scores[1]
    assert results[0].metrics["reward"] == results[1].metrics["reward"]
    assert advantages[0] != advantages[1]
    assert advantages[1] == advantages[2], "the shuffle depends on seed and step alone"
    same = jax.tree.map(np.array_equal, results[1].state.adapter, results[2].state.adapter)
    assert all(jax.tree.leaves(same))


def test_metrics_tell_the_states_apart(tasks: list[Task]) -> None:
    states = [Status.CORRECT, Status.WRONG, Status.BAD_FORMAT, Status.TRUNCATED, Status.UNSCORABLE]
    rewards = [1.0, 0.2, 0.0, 0.0, 0.0]
    group = RolloutGroup(
        task=tasks[0],
        prompt_ids=(1, 2, 3),
        completions=(Completion(text="", token_ids=(4, 5)),) * 5,
        scores=tuple(Score(reward=r, status=s) for r, s in zip(rewards, states, strict=True)),
    )
    found = outcome_metrics(with_advantages([group], mask_truncated=False, scale_by_std=True), BUILTIN)
    assert found["zero_std_fraction"] == 0
    assert found["tokens"] == {"prompt": 3, "completion": 10}
    assert (found["n"], found["masked"]) == (4, 1)
    assert found["reward"] == pytest.approx(0.3)
    assert (found["format_rate"], found["accuracy"], found["truncated_rate"]) == (0.5, 0.25, 0.25)
    assert found["domains"]["math"]["n"] == 4


def test_a_tiny_model_learns_a_task_with_a_known_optimum(policy: Policy, make_recipe: MakeRecipe) -> None:
    """Invariant 11: the reward is the share of tokens that are `A`; its optimum is reached.

    The head is frozen, final states have norm 8 and embeddings norm 1: at temperature 1 no adapter can raise p(A) above
    about e^8 / (e^8 + 260) = 0.92, and greedy decoding then earns 1.
    """
    wanted = policy.contract.tokenizer.encode_plain("A")[0]

    @grouped
    def score(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        return [
            Score(reward=sum(t == wanted for t in c.token_ids) / len(c.token_ids), status=Status.WRONG)
            for c in completions
        ]

    recipe = make_recipe(
        rollout={"prompts_per_step": 2, "group_size": 64, "max_new_tokens": 4, "temperature": 1.0},
        grpo={"learning_rate": 0.01, "max_steps": 30, "schedule": "constant", "max_grad_norm": 1.0},
        lora={"rank": 4, "alpha": 8.0},
    )
    trainer = GrpoTrainer(policy, {}, recipe, score)
    state = trainer.start(init_adapter(policy.model.config, 4, TARGETS, seed=0))
    tasks = [Task(id=q, domain="math", source="test", question=q, answer="") for q in ("x", "y")]
    rewards = []
    for _ in range(30):
        result = trainer.step(state, tasks)
        state = result.state
        rewards.append(result.metrics["reward"])
    assert rewards[0] < 0.1
    assert np.mean(rewards[-5:]) == pytest.approx(0.92, abs=0.03)
    groups = policy.sample(state.adapter, tasks, group_size=1, max_new_tokens=4, sampling=GREEDY, seed=0)
    assert [group.completions[0].token_ids for group in groups] == [(wanted,) * 4] * 2
