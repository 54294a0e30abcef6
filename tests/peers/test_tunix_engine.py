"""`--engine tunix`: the corrections of Tunix's faults, and a whole run. `make test-peers` runs these tests."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("tunix", reason="google-tunix is not installed; make test-peers has it")

from flax import nnx
from tunix.rl import function_registry

from support.scorers import open_rewards_by_hash
from support.tunix_trainer import (
    GROUP_SIZE,
    TASKS,
    TEMPERATURE,
    llama_config,
    noisy_adapter,
    open_tunix,
    score_by_position,
    tunix_logprobs,
)
from thinkaloud import api
from thinkaloud.config import load_recipe, parse_recipe_text
from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.packed import pack
from thinkaloud.pipeline import opening
from thinkaloud.pipeline.train import train
from thinkaloud.records import Finish, RolloutGroup, Status
from thinkaloud.tracking.display import Display
from thinkaloud.train.engine import check_engine
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.learner import reference_logprobs

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")  # of Flax and JAX, caused by Tunix and Qwix


@pytest.fixture(autouse=True)
def _promotions() -> Iterator[None]:
    """Allow the implicit promotions that Tunix relies on, also in its threads."""
    names = ("jax_numpy_rank_promotion", "jax_numpy_dtype_promotion")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_numpy_rank_promotion", "allow")
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.slow
def test_every_rollout_has_new_noise() -> None:
    trainer = open_tunix()
    state = trainer.start(trainer.reference)
    first, second = (np.asarray(trainer.batch(replace(state, step=n), TASKS).completion_ids) for n in (0, 1))
    assert not (first == second).all(axis=1).any()


@pytest.mark.slow
def test_end_of_turn_tokens_are_in_the_loss() -> None:
    trainer = open_tunix()
    state, stops, ended, trained = trainer.start(trainer.reference), trainer.policy.contract.stop_ids, 0, 0
    for step in range(4):
        batch = trainer.batch(replace(state, step=step), TASKS)
        mask = np.asarray(batch.completion_mask).astype(bool)
        trained += int((np.isin(np.asarray(batch.completion_ids), stops) & mask).sum())
        ended += sum(c.finish is Finish.STOP for group in trainer._groups for c in group.completions)
    assert trained == ended > 0


@pytest.mark.slow
def test_the_importance_ratio_is_1_at_the_first_update() -> None:
    trainer = open_tunix()
    batch = trainer.batch(trainer.start(trainer.reference), TASKS)
    mask = np.asarray(batch.completion_mask).astype(bool)
    ratios = np.exp(tunix_logprobs(trainer, batch) - np.asarray(batch.old_per_token_logps))[mask]
    assert np.abs(ratios - 1).max() < 1e-3


@pytest.mark.slow
def test_adapter_and_moments_are_float32_on_a_bfloat16_base() -> None:
    actor = open_tunix(dtype="bfloat16").cluster.actor_trainer
    moments = next(part for part in actor.optimizer.opt_state.inner if hasattr(part, "mu")).mu
    for tree in (nnx.state(actor.model, nnx.LoRAParam), moments):
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(tree)} == {"float32"}


@pytest.mark.slow
def test_the_kl_penalty_is_positive_away_from_the_reference() -> None:
    trainer = open_tunix()
    batch = trainer.batch(trainer.start(trainer.reference), TASKS)
    trainer.put(noisy_adapter(trainer), trainer.optimizer.init(trainer.reference))
    batch = replace(batch, advantages=jnp.zeros_like(batch.advantages))  # only the KL penalty remains
    config, rollout = trainer.learner.algo_config, trainer.cluster.rollout
    loss = function_registry.get_policy_loss_fn(config.policy_loss_fn)
    value, _ = loss(
        trainer.cluster.actor_trainer.model,
        batch,
        algo_config=config,
        pad_id=rollout.pad_id(),
        eos_id=rollout.eos_id(),
    )
    assert float(value) > 0


@pytest.mark.slow
@pytest.mark.parametrize("config", [llama_config(), tiny_config()], ids=lambda config: str(config.family))
def test_log_probabilities_are_those_of_our_forward_pass(config: ModelConfig) -> None:
    """Llama with its own rotary base; Gemma 3 beyond its sliding window."""
    trainer = open_tunix(config)
    adapter = noisy_adapter(trainer)
    state = trainer.start(adapter)
    trainer.put(adapter, state.optimizer_state)
    batch = trainer.batch(state, TASKS)
    mask = np.asarray(batch.completion_mask).astype(bool)
    rows = [[int(i) for i in batch.completion_ids[row][mask[row]]] for row in range(len(mask))]
    members = [rows[first : first + GROUP_SIZE] for first in range(0, len(rows), GROUP_SIZE)]
    prompts = [trainer.policy.contract.encode(task.question) for task in TASKS]
    packed = pack(prompts, members, completion_bucket=32)
    ours = reference_logprobs(
        trainer.policy.model.params,
        adapter,
        packed,
        config=config,
        scale=trainer.policy.scale,
        temperature=TEMPERATURE,
    )
    theirs = tunix_logprobs(trainer, batch)[mask]
    assert np.abs(np.asarray(ours)[packed.target_valid] - theirs).max() < 1e-3


@pytest.mark.slow
def test_a_step_is_that_of_our_own_trainer() -> None:
    """On the same completions and rewards, both trainers make the same update."""
    trainer = open_tunix()
    before = noisy_adapter(trainer)
    result = trainer.step(trainer.start(noisy_adapter(trainer)), TASKS)
    own = GrpoTrainer(trainer.policy, trainer.reference, trainer.recipe, score_by_position)
    sampled = own.step(own.start(noisy_adapter(trainer)), TASKS).metrics
    assert keys(sampled) == keys(result.metrics)
    state, learned = own.update(own.start(noisy_adapter(trainer)), result.groups)
    for name in ("loss", "kl", "ratio_mean", "ratio_max", "clip_fraction", "entropy", "grad_norm", "learning_rate"):
        assert result.metrics[name] == pytest.approx(learned[name], rel=2e-3, abs=1e-4), name
    assert result.metrics["ratio_max"] == pytest.approx(1, abs=1e-3)
    assert result.state.step == state.step == 1
    for target, pair in before.items():
        theirs = np.asarray(result.state.adapter[target]["b"]) - np.asarray(pair["b"])
        ours = np.asarray(state.adapter[target]["b"]) - np.asarray(pair["b"])
        assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.99, target
    moments, own_moments = result.state.optimizer_state, state.optimizer_state
    assert jax.tree.structure(moments) == jax.tree.structure(own_moments)
    assert int(moments[1].count) == int(own_moments[1].count) == 2
    pairs = zip(jax.tree.leaves(moments[1].mu), jax.tree.leaves(own_moments[1].mu), strict=True)
    assert all(np.allclose(a, b, rtol=0.02, atol=1e-5) for a, b in pairs)


def keys(row: dict[str, Any]) -> set[str]:
    return {f"{key}.{inner}" for key, value in row.items() for inner in (value if isinstance(value, dict) else [""])}


OVERRIDES = (
    "engine=tunix",
    "cold_start.max_steps=2",
    "cold_start.probe_tasks=2",
    "rollout.max_new_tokens=8",
    "grpo.max_steps=3",
    "grpo.inner_iterations=2",
    "grpo.minibatches=2",
    "checkpoint.every_steps=1",
    "evaluate.tasks_per_domain=1",
    "data.domains=['math']",
)


def run_tiny(out: Path, *, resume: bool = False) -> list[dict[str, Any]]:
    """GRPO's rows of the run."""
    text = (ROOT / "recipes" / "tiny.toml").read_text(encoding="utf-8")
    recipe = parse_recipe_text(text, OVERRIDES)
    with Display() as display:
        run = train(opening.TrainOptions(recipe=recipe, recipe_text=text, out=out, resume=resume), display)
    return [row for row in run.rows() if row["stage"] == "grpo"]


@pytest.mark.slow
def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is recorded and reported; a resume repeats the same numbers; the other commands read it."""
    monkeypatch.setattr(opening, "open_scorer", open_rewards_by_hash)
    folder = tmp_path / "run"
    rows = run_tiny(folder)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(row["grad_norm"] > 0 and row["skipped_updates"] == 0 for row in rows)
    assert len(list((folder / "rollouts").glob("step-*.parquet"))) == 3
    assert (folder / "report.html").exists()
    for path in (folder / "checkpoints").glob("grpo-000003*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = run_tiny(folder, resume=True)
    timed = {"seconds": None}
    assert [{**row, **timed} for row in again] == [{**row, **timed} for row in rows]
    run = api.load_run(folder)
    assert run.generate("What is 2 + 2?", max_new_tokens=4).num_tokens >= 1
    assert run.export("peft").path.exists()


@pytest.mark.slow
def test_a_small_learning_rate_changes_the_adapter_on_a_bfloat16_base() -> None:
    """Adapters are float32; ratios stay near 1 although base and cache are bfloat16."""
    trainer = open_tunix(dtype="bfloat16")
    before = noisy_adapter(trainer)
    state = replace(trainer.start(noisy_adapter(trainer)), rate_scale=3e-3)  # of 1e-3
    result = trainer.step(state, TASKS)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(result.state.adapter), strict=True):
        assert new.dtype == np.float32
        assert 0 < np.abs(np.asarray(new) - np.asarray(old)).max() < 1e-5
    assert result.metrics["ratio_mean"] == pytest.approx(1, abs=0.02)


def test_masked_completions_are_not_in_the_loss() -> None:
    """Masks follow the lengths, also if a prompt contains the token that a tokenizer pads with."""

    def mask_first(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        first, *others = score_by_position(groups)
        scores = (replace(first.scores[0], status=Status.UNSCORABLE), *first.scores[1:])
        return [replace(first, scores=scores), *others]

    trainer = open_tunix()
    trainer.score = mask_first
    batch = trainer.batch(trainer.start(trainer.reference), TASKS)
    lengths = [len(c.token_ids) for group in trainer._groups for c in group.completions]
    assert np.asarray(batch.completion_mask).sum(axis=1).tolist() == [0, *lengths[1:]]
    assert batch.advantages[0] == 0
    prompts = [len(trainer.policy.contract.encode(task.question)) for task in TASKS for _ in range(GROUP_SIZE)]
    assert np.asarray(batch.prompt_mask).sum(axis=1).tolist() == prompts


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("grpo.minibatches=3", "rollout.prompts_per_step=4"), "grpo.minibatches = 3"),
        (("tunix.micro_batch_prompts=3", "rollout.prompts_per_step=4"), "tunix.micro_batch_prompts"),
        (("tunix.options.rollout_vllm_hbm_utilisation=0.3",), "did you mean 'rollout_vllm_hbm_utilization'?"),
        (("tunix.options.temperature=0.3",), "[rollout]"),
    ],
)
def test_unsupported_settings_are_rejected(overrides: tuple[str, ...], expected: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / "tiny.toml", ("engine=tunix", *overrides))
    with pytest.raises(UserError, match=re.escape(expected)):
        check_engine(recipe, tiny_config())


def test_unsupported_models_are_rejected() -> None:
    recipe = load_recipe(ROOT / "recipes" / "tiny.toml", ("engine=tunix",))
    for config, expected in (
        (replace(tiny_config(), family="qwen3"), "qwen3"),
        (replace(tiny_config(), norm_eps=1e-5), "a norm epsilon of 1e-05"),
        (replace(llama_config(), attention_bias=True), "biases of attention"),
    ):
        with pytest.raises(UserError, match=expected):
            check_engine(recipe, config)


def test_options_are_passed_to_tunix() -> None:
    from thinkaloud.train.tunix.engine import rollout_config

    recipe = load_recipe(
        ROOT / "recipes" / "tiny.toml",
        ("engine=tunix", "tunix.rollout=vllm", "tunix.options.rollout_vllm_hbm_utilization=0.3"),
    )
    config = rollout_config(recipe, (4, 1))
    assert (config.rollout_vllm_hbm_utilization, config.eos_tokens, config.top_k) == (0.3, [4, 1], None)


@pytest.mark.slow
def test_micro_batches_add_up_to_the_whole_update() -> None:
    results = []
    for micro in (0, 2):
        trainer = open_tunix(micro_batch_prompts=micro)
        results.append(trainer.step(trainer.start(noisy_adapter(trainer)), TASKS))
    whole, parts = results
    assert parts.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-3, abs=1e-5)
    assert parts.metrics["kl"] == pytest.approx(whole.metrics["kl"], rel=1e-3)
    moments = [result.state.optimizer_state[1].mu for result in (parts, whole)]
    for one, other in zip(*map(jax.tree.leaves, moments), strict=True):
        assert np.allclose(one, other, rtol=0.02, atol=1e-5)
