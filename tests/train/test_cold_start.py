"""The cold start: imitation including the end of turn, and the stop by a probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.errors import UserError
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.footprint import Footprint
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.packed import Buckets, Packed, forward, pack
from thinkaloud.records import Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.train import cold_start as module
from thinkaloud.train.cold_start import Probe, cold_start, probe_policy

MakeRecipe = Callable[..., Recipe]
COLD = {"max_steps": 6, "batch_size": 3, "learning_rate": 0.01, "probe_from": 2, "probe_every": 2, "probe_tasks": 2}
run = jax.jit(forward, static_argnames=("config", "scale", "collect"))


def fresh(policy: Policy) -> Any:
    return init_adapter(policy.model.config, 2, TARGETS, seed=1)


def pool_of(tasks: list[Task]) -> Pool:
    return Pool.of(tasks, list(dict.fromkeys(task.domain for task in tasks)))


def mean_log_likelihood(policy: Policy, adapter: Any, tasks: list[Task]) -> tuple[float, float]:
    """Mean over all target tokens, and the mean over the end-of-turn tokens, one whole sequence at a time."""
    every: list[float] = []
    ends: list[float] = []
    for task in tasks:
        prompt = policy.contract.encode(task.question)
        target = policy.contract.encode_completion(task.rationale, task.answer)
        assert target[-1] == policy.contract.stop_ids[0]
        packed = pack([[*prompt, *target]], [[]])
        hidden, _ = run(policy.model.params, adapter, packed, policy.model.config, policy.scale)
        logits = hidden[len(prompt) - 1 : len(prompt) + len(target) - 1] @ head_weight(policy.model.params).T
        chosen = np.asarray(jax.nn.log_softmax(logits))[np.arange(len(target)), np.asarray(target)]
        every += chosen.tolist()
        ends.append(float(chosen[-1]))
    return float(np.mean(every)), float(np.mean(ends))


def test_full_rematerialization_gives_the_same_losses(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, original = set(), module.imitation_gradients

    def spy(adapter: Any, params: Any, packed: Packed, *rest: Any, **settings: Any) -> Any:
        kept.add(packed.full_rematerialization)
        return original(adapter, params, packed, *rest, **settings)

    monkeypatch.setattr(module, "imitation_gradients", spy)
    losses = []
    for choice in ("selective", "full"):
        recipe = make_recipe(model={"rematerialization": choice}, cold_start={**COLD, "max_steps": 2})
        steps = cold_start(policy, fresh(policy), recipe, pool_of(tasks))
        losses.append([step.metrics["loss"] for step in steps])
    assert kept == {False, True}
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_the_loss_is_the_mean_negative_log_likelihood_and_falls(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(cold_start=COLD)
    before, ends_before = mean_log_likelihood(policy, {}, tasks)
    steps = list(cold_start(policy, fresh(policy), recipe, pool_of(tasks)))
    assert [step.metrics["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[0].metrics["loss"] == pytest.approx(-before, rel=1e-4)
    after, ends_after = mean_log_likelihood(policy, steps[-1].adapter, tasks)
    assert after > before + 0.2
    assert ends_after > ends_before + 0.2  # invariant 2: the end of turn is trained
    assert steps[-1].metrics["tokens"] == sum(
        len(policy.contract.encode_completion(task.rationale, task.answer)) for task in tasks
    )


def test_rows_split_by_length_give_the_same_update(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short and long rows in two calls, with rows added to fill each, are as good as all in one."""
    longer = replace(tasks[1], rationale="It is seven. " * 20)
    pool, recipe = pool_of([tasks[0], longer, tasks[2]]), make_recipe(cold_start={**COLD, "max_steps": 1})
    sizes: list[int] = []
    layout = module._layout

    def counted(prompts: Any, *rest: Any) -> Any:
        sizes.append(len(prompts))
        return layout(prompts, *rest)

    monkeypatch.setattr(module, "_layout", counted)
    monkeypatch.setattr(module, "ROW_BUCKET", 1)
    monkeypatch.setattr(module, "SHORT", 1024)
    (whole,) = cold_start(policy, fresh(policy), recipe, pool)
    prompts = [len(policy.contract.encode(task.question)) for task in tasks]
    targets = [len(policy.contract.encode_completion(task.rationale, task.answer)) for task in tasks]
    monkeypatch.setattr(module, "SHORT", max(*prompts, *targets))
    (parts,) = cold_start(policy, fresh(policy), recipe, pool)
    assert sizes == [3, 2, 1]
    assert parts.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-5)
    assert parts.metrics["grad_norm"] == pytest.approx(whole.metrics["grad_norm"], rel=1e-4)


def test_rows_are_split_where_no_row_is_padded_for_it() -> None:
    short, long = [0] * 10, [0] * (module.SHORT + 1)
    assert module._by_length(range(8), [short] * 7 + [long], [short] * 8) == [list(range(8))]
    assert module._by_length(range(16), [short] * 8 + [long] * 8, [short] * 16) == [[*range(8)], [*range(8, 16)]]
    assert module._by_length(range(16), [short] * 9 + [long] * 7, [short] * 16) == [list(range(16))]
    assert module._by_length(range(8), [short] * 8, [short] * 8) == [list(range(8))]


def test_batches_with_one_long_row_have_one_shape() -> None:
    """Whatever their lengths, and whatever a few prompts share by chance: each shape is a compilation."""
    prefix = list(range(48))
    buckets = Buckets(prefix=48)

    def shape(*lengths: int) -> Any:
        prompts: list[Any] = [[*prefix, *range(100, 100 + length)] for length in lengths]
        targets: list[Any] = [list(range(1, 1 + length)) for length in lengths]
        packed = module._layout(prompts, targets, 1, buckets)
        assert packed.prompt_lengths.tolist() == [48 + length for length in lengths] + [49] * (8 - len(lengths))
        return jax.tree.structure(packed), [x.shape for x in jax.tree.leaves(packed)]

    assert shape(90) == shape(120) == shape(150) == shape(100, 110)


def test_probes_are_taken_when_due_and_end_the_stage(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = iter([0.2, 0.4, 0.9])
    monkeypatch.setattr(module, "probe_policy", lambda *_: Probe(next(rates), 1.0))
    recipe = make_recipe(cold_start={**COLD, "max_steps": 20, "stop_at_format_rate": 0.4})
    found = [step.metrics["format_rate"] for step in cold_start(policy, fresh(policy), recipe, pool_of(tasks))]
    assert found == [None, 0.2, None, 0.4]


def test_the_last_step_is_probed_whatever_the_interval(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "probe_policy", lambda *_: Probe(0.1, 1.0))
    recipe = make_recipe(cold_start={**COLD, "max_steps": 3, "probe_from": 2, "probe_every": 5})
    found = [step.metrics["format_rate"] for step in cold_start(policy, fresh(policy), recipe, pool_of(tasks))]
    assert found == [None, 0.1, 0.1]


@pytest.mark.parametrize(
    ("schedule", "shares"), [("constant", [0.5, 1.0, 1.0, 1.0, 1.0]), ("cosine", [0.5, 1.0, 1.0, 0.75, 0.25])]
)
def test_the_learning_rate_rises_and_may_fall_to_zero(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, schedule: str, shares: list[float]
) -> None:
    """Two steps of warm-up, then half a cosine over three: (1 + cos(0, pi/3, 2 pi/3)) / 2."""
    settings = {**COLD, "max_steps": 5, "warmup_steps": 2, "schedule": schedule, "probe_from": 5}
    steps = cold_start(policy, fresh(policy), make_recipe(cold_start=settings), pool_of(tasks))
    assert [step.metrics["learning_rate"] for step in steps] == pytest.approx([0.01 * share for share in shares])


def test_without_rationales_there_is_nothing_to_learn_from(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    bare = pool_of([replace(task, rationale="") for task in tasks])
    with pytest.raises(UserError, match=r"cold_start\.max_steps = 0"):
        next(cold_start(policy, fresh(policy), make_recipe(cold_start=COLD), bare))
    with pytest.raises(UserError, match="right answers among the samples"):
        next(cold_start(policy, fresh(policy), make_recipe(cold_start=COLD), bare, None, 0, pool_of([])))


def test_a_random_model_keeps_no_format(policy: Policy, tasks: list[Task], make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(cold_start=COLD)
    assert probe_policy(policy, {}, recipe, {"math": tasks}, 0).format_rate == 0.0


@pytest.mark.parametrize(
    ("limit", "ended"), [(0.0, [1.5, 0.3, 0.1]), (0.3, [1.5, 0.3]), (0.29, [1.5, 0.3, 0.1]), (2.0, [1.5])]
)
def test_a_low_entropy_ends_the_stage(
    policy: Policy,
    tasks: list[Task],
    make_recipe: MakeRecipe,
    monkeypatch: pytest.MonkeyPatch,
    limit: float,
    ended: list[float],
) -> None:
    entropies = iter([1.5, 0.3, 0.1])
    monkeypatch.setattr(module, "probe_policy", lambda *_: Probe(0.1, next(entropies)))
    recipe = make_recipe(
        cold_start={**COLD, "probe_from": 1, "probe_every": 1, "max_steps": 3, "stop_at_entropy": limit}
    )
    steps = list(cold_start(policy, fresh(policy), recipe, pool_of(tasks)))
    assert [step.metrics["entropy"] for step in steps] == ended
    assert [step.finished for step in steps] == [False] * (len(ended) - 1) + [True]


def test_the_entropy_of_a_probe_estimates_the_exact_one(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe
) -> None:
    """Only first tokens are sampled: their exact entropy is that of one distribution per prompt."""
    recipe = make_recipe(
        cold_start={**COLD, "probe_tasks": 400},
        rollout={"max_new_tokens": 1, "temperature": 0.25, "max_prompt_tokens": 256},
    )
    exact, spread = [], []
    for task in tasks:
        prompt = policy.contract.encode(task.question)
        hidden, _ = run(policy.model.params, {}, pack([prompt], [[]]), policy.model.config, policy.scale)
        logprobs = np.asarray(jax.nn.log_softmax(hidden[len(prompt) - 1] @ head_weight(policy.model.params).T / 0.25))
        exact.append(float(-(np.exp(logprobs) * logprobs).sum()))
        spread.append(float((np.exp(logprobs) * logprobs**2).sum()) - exact[-1] ** 2)
    found = probe_policy(policy, {}, recipe, {"math": tasks}, 0).entropy
    error = (np.mean(spread) / 400) ** 0.5
    assert 0.5 < np.mean(exact) < 0.98 * np.log(policy.model.config.vocab_size), "neither certain nor uniform"
    assert abs(found - np.mean(exact)) < 4 * error


def test_other_rows_are_trained_on_with_the_shares_of_the_pool(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three math tasks and one logic task in the pool; the rows are one of each."""
    logic = replace(tasks[0], id="logic", domain="logic")
    rows = [replace(tasks[0], rationale="Mine."), replace(logic, rationale="Mine too.")]
    seen: list[str] = []
    imitate = module._imitate

    def watch(policy: Policy, adapter: Any, state: Any, optimizer: Any, batch: Any, *rest: Any) -> Any:
        seen.extend(f"{task.domain}: {task.rationale}" for task in batch)
        return imitate(policy, adapter, state, optimizer, batch, *rest)

    monkeypatch.setattr(module, "_imitate", watch)
    monkeypatch.setattr(module, "probe_policy", lambda *_: Probe(0.1, 1.0))
    recipe = make_recipe(cold_start={**COLD, "max_steps": 2, "batch_size": 4}, mixture={"exponent": 1.0})
    list(cold_start(policy, fresh(policy), recipe, pool_of([*tasks, logic]), None, 0, pool_of(rows)))
    assert (seen.count("math: Mine."), seen.count("logic: Mine too.")) == (6, 2)


def test_micro_batches_add_up_to_the_whole(
    policy: Policy, tasks: list[Task], make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sequence at a time gives the update that all at once give."""
    optimizer = optax.sgd(1.0)
    footprint = Footprint(config=policy.model.config)

    def one_step() -> Any:
        adapter = jax.tree.map(lambda x: x + 0.01, fresh(policy))
        return module._imitate(policy, adapter, optimizer.init(adapter), optimizer, tasks, 1.0, footprint)

    whole, _, row = one_step()
    monkeypatch.setattr(module, "split_rows", lambda lengths, *rest, **options: [[i] for i in range(len(lengths))])
    parts, _, other = one_step()
    assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)
    for ours, theirs in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert not jnp.allclose(ours, 0.01)
