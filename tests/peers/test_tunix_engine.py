"""`--engine tunix`: what is wrong in Tunix as it is is right when mended, and a run is a run. `make test-peers`."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
from thinkaloud.train.grpo import Grpo

from thinkaloud import api
from thinkaloud.config import Recipe, load_recipe, parse_recipe_text
from thinkaloud.errors import UserError
from thinkaloud.model.config import tiny_config
from thinkaloud.pipeline import train as pipeline
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.session import session
from thinkaloud.tracking.display import Display
from thinkaloud.train.engine import check_engine

pytest.importorskip("tunix", reason="google-tunix is not installed; make test-peers has it")

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")  # of what Tunix and Qwix use of Flax and JAX


@pytest.fixture(autouse=True)
def _promotions() -> Iterator[None]:
    """Tunix relies on the promotions that our tests forbid, in threads of its own too."""
    names = ("jax_numpy_rank_promotion", "jax_numpy_dtype_promotion")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_numpy_rank_promotion", "allow")
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def checks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tunix_checks", ROOT / "examples" / "tunix_checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "sampling noise",
        "end of turn",
        "importance ratio",
        "float32 state",
        "KL",
        "rotary base (Llama)",
        "the last save",
    ],
)
def test_what_is_wrong_in_tunix_is_mended(checks: ModuleType, name: str) -> None:
    row = checks.measure(name)
    assert not row.faithful[1], f"Tunix as it is: {row.faithful[0]}"
    assert row.mended[1], f"mended: {row.mended[0]}"


@pytest.mark.slow
def test_gemma_is_right_in_both_modes(checks: ModuleType) -> None:
    row = checks.measure("log-probabilities (Gemma)")
    assert row.faithful[1], row.faithful[0]
    assert row.mended[1], row.mended[0]


@pytest.mark.slow
def test_a_faithful_step_is_recorded_alike(checks: ModuleType) -> None:
    """Tunix's own loss, advantages and sampler; its wrong ratio is what the row tells."""
    stage = checks.open_stage(checks.tiny_config(), faithful=True)
    before = checks.moved(stage)
    result = stage.step(checks.moved(stage), stage.optimizer.init(before), checks.TASKS, 0)
    assert abs(result.metrics["ratio_mean"] - 1) > 1e-3
    assert result.metrics["grad_norm"] > 0
    assert None not in [result.metrics[name] for name in ("loss", "kl", "clip_fraction", "entropy")]
    assert not np.array_equal(before["q"]["b"], result.adapter["q"]["b"])
    stops = stage.policy.contract.stop_ids
    assert not [i for group in result.groups for c in group for i in c.token_ids if i in stops]


@pytest.mark.slow
def test_a_step_is_that_of_our_own_engine(checks: ModuleType) -> None:
    """The same completions and rewards: Tunix's update moves the adapter as ours does."""
    stage = checks.open_stage(checks.tiny_config(), faithful=False)
    begun = jax.tree.map(jax.numpy.copy, checks.moved(stage))
    result = stage.step(begun, stage.optimizer.init(begun), checks.TASKS, 0)
    own = Grpo(stage.policy, stage.reference, stage.recipe, checks.by_place)
    own.horizon = stage.horizon
    begun = checks.moved(stage)
    sampled = own.step(checks.moved(stage), own.optimizer.init(begun), checks.TASKS, 0).metrics
    assert keys(sampled) == keys(result.metrics)
    advantages = stage._grouped(result.scores)
    adapter, state, learned = own.update(
        begun, own.optimizer.init(begun), checks.TASKS, result.groups, result.scores, advantages, 0
    )
    for name in ("loss", "kl", "ratio_mean", "ratio_max", "clip_fraction", "entropy", "grad_norm", "learning_rate"):
        assert result.metrics[name] == pytest.approx(learned[name], rel=2e-3, abs=1e-4), name
    assert result.metrics["ratio_max"] == pytest.approx(1, abs=1e-3)
    before = checks.moved(stage)
    for target in before:
        theirs = np.asarray(result.adapter[target]["b"]) - np.asarray(before[target]["b"])
        ours = np.asarray(adapter[target]["b"]) - np.asarray(before[target]["b"])
        assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.99, target
    assert jax.tree.structure(result.state) == jax.tree.structure(state)
    assert int(result.state[1].count) == int(state[1].count) == 2
    mu, own_mu = (jax.tree.leaves(one[1].mu) for one in (result.state, state))
    assert all(np.allclose(a, b, rtol=0.02, atol=1e-5) for a, b in zip(mu, own_mu, strict=True))


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


@contextmanager
def paid_by_hash(recipe: Recipe, contract: PromptContract) -> Iterator[tuple[session.Scorer, str]]:
    """A random model earns nothing; rewards by a hash of the tokens give its groups a signal."""
    with session.open_scorer(recipe, contract) as (score, level):

        def paid(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
            hashes = [zlib.crc32(repr(completion.token_ids).encode()) / 2**32 for completion in completions]
            return [replace(s, reward=h) for s, h in zip(score(tasks, completions), hashes, strict=True)]

        yield paid, level


def run_tiny(out: Path, *, resume: bool = False) -> list[dict[str, Any]]:
    """GRPO's rows of the run."""
    text = (ROOT / "recipes" / "tiny.toml").read_text(encoding="utf-8")
    with Display() as display:
        run = pipeline.train(parse_recipe_text(text, OVERRIDES), text, out, resume=resume, display=display)
    return [row for row in run.rows() if row["stage"] == "grpo"]


@pytest.mark.slow
def test_a_run_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, reported, gone on with to the same numbers, and read by the commands that read runs."""
    monkeypatch.setattr(pipeline, "open_scorer", paid_by_hash)
    folder = tmp_path / "run"
    rows = run_tiny(folder)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(row["grad_norm"] > 0 and row["skipped_updates"] == 0 for row in rows)
    assert len(list((folder / "rollouts").glob("step-*.parquet"))) == 3
    assert (folder / "report.html").exists()
    shutil.rmtree(folder / "checkpoints" / "grpo-000003")
    again = run_tiny(folder, resume=True)
    timed = {"seconds": None}
    assert [{**row, **timed} for row in again] == [{**row, **timed} for row in rows]
    run = api.load_run(folder)
    assert run.generate("What is 2 + 2?", max_new_tokens=4).num_tokens >= 1
    assert run.export("peft").path.exists()


@pytest.mark.slow
def test_a_bfloat16_base_is_trained_in_float32(checks: ModuleType) -> None:
    """A small learning rate moves every float32 adapter; ratios stay near 1 although base and cache are bfloat16."""
    stage = checks.open_stage(checks.tiny_config(), faithful=False, dtype="bfloat16")
    stage.rate_scale = 3e-3  # of 1e-3
    before = checks.moved(stage)
    result = stage.step(checks.moved(stage), stage.optimizer.init(before), checks.TASKS, 0)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(result.adapter), strict=True):
        assert new.dtype == np.float32
        assert 0 < np.abs(np.asarray(new) - np.asarray(old)).max() < 1e-5
    assert result.metrics["ratio_mean"] == pytest.approx(1, abs=0.02)


def test_masked_completions_and_a_padding_that_prompts_hold(checks: ModuleType) -> None:
    """Masks come from lengths, and completions that could not be scored are not learned from."""

    def some_masked(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        scores = list(checks.by_place(tasks, completions))
        scores[0] = replace(scores[0], status=Status.UNSCORABLE)
        return scores

    stage = checks.open_stage(checks.tiny_config(), faithful=False)
    stage.score = some_masked
    batch = stage.batch(checks.TASKS, 0)
    mask, lengths = np.asarray(batch.completion_mask), [len(c.token_ids) for group in stage._groups for c in group]
    assert mask.sum(axis=1).tolist() == [0, *lengths[1:]]
    assert batch.advantages[0] == 0
    prompts = [len(stage.policy.contract.encode(task.question)) for task in checks.TASKS for _ in range(4)]
    assert np.asarray(batch.prompt_mask).sum(axis=1).tolist() == prompts


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("grpo.minibatches=3", "rollout.prompts_per_step=4"), "no multiple of grpo.minibatches = 3"),
        (("tunix.micro_batch_prompts=3", "rollout.prompts_per_step=4"), "tunix.micro_batch_prompts = 3"),
        (("tunix.options.rollout_vllm_hbm_utilisation=0.3",), "did you mean 'rollout_vllm_hbm_utilization'?"),
        (("tunix.options.temperature=0.3",), "follows from [rollout]"),
    ],
)
def test_what_tunix_cannot_do_is_said(overrides: tuple[str, ...], expected: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / "tiny.toml", ("engine=tunix", *overrides))
    with pytest.raises(UserError, match=re.escape(expected)):
        check_engine(recipe, tiny_config())


def test_a_model_that_tunix_does_not_compute_is_refused(checks: ModuleType) -> None:
    recipe = load_recipe(ROOT / "recipes" / "tiny.toml", ("engine=tunix",))
    for config, expected in (
        (replace(tiny_config(), family="qwen3"), "gemma3"),
        (replace(tiny_config(), norm_eps=1e-5), "a norm epsilon of 1e-05"),
        (replace(checks.llama_config(), attention_bias=True), "biases of attention"),
    ):
        with pytest.raises(UserError, match=expected):
            check_engine(recipe, config)


def test_options_reach_tunix() -> None:
    from thinkaloud.train.tunix.engine import rollout_config

    recipe = load_recipe(
        ROOT / "recipes" / "tiny.toml",
        ("engine=tunix", "tunix.rollout=vllm", "tunix.options.rollout_vllm_hbm_utilization=0.3"),
    )
    config = rollout_config(recipe, (4, 1))
    assert (config.rollout_vllm_hbm_utilization, config.eos_tokens, config.top_k) == (0.3, [4, 1], None)


@pytest.mark.slow
def test_micro_batches_add_up(checks: ModuleType) -> None:
    """An update in parts is the update at once."""
    results = []
    for micro in (0, 2):
        stage = checks.open_stage(checks.tiny_config(), faithful=False, micro_batch_prompts=micro)
        adapter = checks.moved(stage)
        results.append(stage.step(adapter, stage.optimizer.init(adapter), checks.TASKS, 0))
    whole, parts = results
    assert parts.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-3, abs=1e-5)
    assert parts.metrics["kl"] == pytest.approx(whole.metrics["kl"], rel=1e-3)
    for one, other in zip(jax.tree.leaves(parts.state[1].mu), jax.tree.leaves(whole.state[1].mu), strict=True):
        assert np.allclose(one, other, rtol=0.02, atol=1e-5)
