"""A real vLLM server, which `make vllm` installs, against the JAX sampler: SmolLM2-135M in float32.

`VLLM_PYTHON` names the interpreter of another environment than .venv-vllm.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from support.scorers import score_by_hash
from thinkaloud.config import load_recipe
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import forward, pack
from thinkaloud.pipeline.sampler import open_sampler
from thinkaloud.records import RolloutGroup, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY, Sampling
from thinkaloud.rollout.vllm import VllmSampler
from thinkaloud.session.session import open_session
from thinkaloud.train.grpo_step import GrpoTrainer

PYTHON = Path(os.environ.get("VLLM_PYTHON") or ".venv-vllm/bin/python").absolute()
COUNT, LIMIT = 50, 32
NEAR_TIE = 1e-3
"""Two tokens whose log-probabilities are closer than this may change places in another program."""

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.weights,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"no vLLM at {PYTHON}; `make vllm` installs it"),
]


@dataclass
class Opened:
    """A policy of the starter recipe's model with its two samplers, an adapter whose B is not zero, and tasks."""

    policy: Policy
    sampler: VllmSampler
    adapter: Adapter
    tasks: Sequence[Task]
    notes: list[str]

    @property
    def by_vllm(self) -> Policy:
        return replace(self.policy, sampler=self.sampler)

    def logprobs(self, group: RolloutGroup, ids: Sequence[int], temperature: float) -> Any:
        """Log-probabilities [tokens, vocabulary] before each token of a completion, by the trainer's forward pass."""
        packed = pack([[*group.prompt_ids, *ids]], [[]])
        model = self.policy.model
        hidden, _ = jax.jit(forward, static_argnames=("config", "scale", "collect"))(
            model.params, self.adapter, packed, model.config, self.policy.scale
        )
        first = len(group.prompt_ids) - 1
        logits = hidden[first : first + len(ids)] @ head_weight(model.params).T
        return np.asarray(jax.nn.log_softmax(logits / np.float32(temperature), axis=-1))


@pytest.fixture(scope="module")
def opened(smollm2_files: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    folder = tmp_path_factory.mktemp("vllm")
    overrides = [
        "model.dtype=float32",
        "rollout.engine=vllm",
        f"vllm.python={str(PYTHON)!r}",
        "vllm.args=['--enforce-eager']",
    ]
    recipe = load_recipe(Path("starter"), overrides)
    session = open_session(recipe, folder / "pool")
    policy = session.load_policy()
    rng = np.random.default_rng(0)
    adapter = jax.tree.map(
        lambda x: x + jnp.asarray(0.01 * rng.standard_normal(x.shape).astype(np.float32)), session.new_adapter(policy)
    )
    notes: list[str] = []
    with open_sampler(session, policy, folder, notes.append) as sampler:
        assert sampler is not None
        yield Opened(policy, sampler, adapter, session.pool.split("train")[:COUNT], notes)


def greedy(policy: Policy, opened: Opened) -> list[RolloutGroup]:
    return policy.sample(
        opened.adapter, opened.tasks, group_size=1, max_new_tokens=LIMIT, sampling=GREEDY, seed=0, batch_prompts=16
    )


def test_greedy_completions_are_equal_but_for_near_ties(opened: Opened) -> None:
    ours, theirs = greedy(opened.policy, opened), greedy(opened.by_vllm, opened)
    assert len(ours) == COUNT
    different = []
    for one, other in zip(ours, theirs, strict=True):
        (mine,), (its,) = one.completions, other.completions
        if mine.token_ids != its.token_ids:
            at = next(i for i, (a, b) in enumerate(zip(mine.token_ids, its.token_ids, strict=False)) if a != b)
            rows = opened.logprobs(one, mine.token_ids[: at + 1], 1.0)[-1]
            different.append((one.task.id, at, float(rows[mine.token_ids[at]] - rows[its.token_ids[at]])))
    print(f"{COUNT - len(different)} of {COUNT} equal; others: {different}")
    assert len(different) <= COUNT // 10
    assert all(abs(gap) < NEAR_TIE for _, _, gap in different), different


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (20, 0.9)])
def test_log_probabilities_are_those_of_what_was_sampled_from(opened: Opened, top_k: int, top_p: float) -> None:
    sampling = Sampling(temperature=0.9, top_k=top_k, top_p=top_p)
    groups = opened.by_vllm.sample(
        opened.adapter, opened.tasks[:4], group_size=2, max_new_tokens=16, sampling=sampling, seed=3
    )
    assert len({c.token_ids for group in groups for c in group.completions}) > 4
    worst = 0.0
    for group in groups:
        for completion in group.completions:
            rows = opened.logprobs(group, completion.token_ids, 0.9)
            for row, token, found in zip(rows, completion.token_ids, completion.sampled_logprobs, strict=True):
                expected = row[token] - np.log(np.exp(kept(row, top_k, top_p)).sum())
                worst = max(worst, abs(float(expected) - found))
    print(f"largest difference of log-probabilities: {worst:.2e}")
    assert worst < 1e-3


def kept(row: np.ndarray, top_k: int, top_p: float) -> np.ndarray:
    """The log-probabilities that top-k and then top-p leave."""
    ordered = np.sort(row)[::-1][: top_k or None]
    shares = np.exp(ordered) / np.exp(ordered).sum()
    return ordered[np.cumsum(shares) - shares < top_p]


def test_a_server_killed_in_a_step_gives_the_same_completions(opened: Opened) -> None:
    expected = greedy(opened.by_vllm, opened)
    before, killed = opened.sampler.restarts, []

    def kill_once() -> None:
        own = opened.sampler._own
        if own and own.running and not killed and any(client.in_flight > 8 for client in opened.sampler._clients):
            killed.append(own.pid)
            os.kill(own.pid or 0, signal.SIGKILL)

    opened.sampler.poll = kill_once
    try:
        found = greedy(opened.by_vllm, opened)
    finally:
        opened.sampler.poll = lambda: None
    assert killed
    assert opened.sampler.restarts == before + 1
    assert [group.completions[0].token_ids for group in found] == [group.completions[0].token_ids for group in expected]
    assert any("signal 9" in note for note in opened.notes)


def test_training_learns_from_what_vllm_samples(opened: Opened) -> None:
    changes = ["model.dtype=float32", "rollout.engine=vllm", "rollout.max_new_tokens=24", "grpo.max_steps=3"]
    recipe = load_recipe(Path("starter"), changes)
    trainer = GrpoTrainer(opened.by_vllm, {}, recipe, score_by_hash)
    state = trainer.start(jax.tree.map(jnp.copy, opened.adapter))
    names = set()
    for step in range(3):
        result = trainer.step(state, opened.tasks[4 * step : 4 * step + 4])
        state = result.state
        names |= {c.adapter for group in result.groups for c in group.completions}
        print({name: result.metrics[name] for name in ("mismatch_kl", "ratio_max", "grad_norm", "seconds")})
        assert result.metrics["grad_norm"] > 0
        assert result.metrics["mismatch_kl"] < 1e-5
        assert result.metrics["ratio_max"] < 1 + 1e-3
    assert len(names) == 3
