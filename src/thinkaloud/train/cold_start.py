"""The cold start: a short supervised stage on rationales in the contract's format.

A model that never writes the format earns only rewards of 0, and GRPO has no signal (DeepSeek-R1, arXiv 2501.12948,
section 2.3.1, has such a stage too). Too many steps also remove the signal: if all completions of a group earn the
same, its advantages are zero. So the policy is sampled every few steps (a probe), and the stage ends when the sampled
format rate reaches the recipe's value, or its entropy falls to the recipe's limit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import optax

from thinkaloud.config import ColdStartConfig, Recipe
from thinkaloud.data import Mixture, Pool
from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.footprint import Footprint
from thinkaloud.model.heap import trim_heap
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Buckets, Packed, pack, round_up
from thinkaloud.model.sharding import mesh_of, place_rows, row_shards
from thinkaloud.records import Finish, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed
from thinkaloud.session.footprint import footprint_of
from thinkaloud.train.learner import add_trees, apply_gradients, imitation_gradients, rows_to_targets
from thinkaloud.train.learning_rate import cold_start_learning_rate
from thinkaloud.train.microbatch import split_rows, update_budget_bytes
from thinkaloud.train.schedule import Horizon, learning_rate, make_optimizer

WEIGHT_DECAY = 0.0
MAX_GRAD_NORM = 1.0
TOKEN_BUCKET, ROW_BUCKET = 512, 8
"""Tokens, targets and rows are padded to multiples of these: every size costs a compilation, as long as a step."""
SHORT = 128
"""Prompts and targets of at most so many tokens are short; longer ones are padded to a multiple of twice this."""


@dataclass(frozen=True, slots=True)
class ColdStep:
    """The state after a step, and its row of metrics.jsonl."""

    adapter: Adapter
    state: Any
    metrics: dict[str, Any]
    finished: bool
    """Whether it was the last step."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What completions sampled from the policy show.

    `entropy` is in nats per token: the mean of -log p over the sampled tokens, at the rollout's temperature. It is
    unbiased where the rollout samples from the whole distribution (`top_k = 0`, `top_p = 1`), else too low.
    """

    format_rate: float
    entropy: float


def cold_start_optimizer() -> optax.GradientTransformation:
    """The optimizer of the cold start; a checkpoint holds its state and the adapter."""
    return make_optimizer(b1=0.9, b2=0.99, weight_decay=WEIGHT_DECAY, max_grad_norm=MAX_GRAD_NORM)


def cold_start(
    policy: Policy,
    adapter: Adapter,
    recipe: Recipe,
    pool: Pool,
    state: Any = None,
    done: int = 0,
    rows: Pool | None = None,
    teacher: ModelConfig | None = None,
) -> Iterator[ColdStep]:
    """Train on rationales, step by step, until a probe ends the stage or `max_steps` are done.

    Args:
        pool: Probes are taken on its training tasks.
        state: The optimizer state of a stage that continues after `done` steps; None at the start.
        rows: The stage trains on the training tasks of this pool that have a rationale; `pool` when absent. Domains
            keep the shares that they have in `pool`.
        teacher: The shape of a model whose weights are in memory beside the policy's.

    Yields:
        The state after each step; GRPO starts from the last adapter. The next step consumes the buffers of the state.

    Raises:
        UserError: No training task has a rationale.
    """
    config = recipe.cold_start
    optimizer = cold_start_optimizer()
    if state is None:
        state = optimizer.init(adapter)
    seed = derive_seed(recipe.seed, "cold_start")
    probed = pool.by_domain("train")
    usable = (rows or pool).by_domain("train", with_rationale=True)
    if not usable:
        raise UserError(
            'expected training tasks with a rationale, found none; set cold_start.source = "self" or '
            "cold_start.max_steps = 0"
            if rows is None
            else "expected right answers among the samples for the cold start, found none, and the data has no "
            "rationales; raise cold_start.self_tasks, name a teacher, give some rows a rationale, or set "
            "cold_start.max_steps = 0"
        )
    counts = {name: len(tasks) for name, tasks in probed.items()} if rows else None
    mixture = Mixture(usable, exponent=recipe.mixture.exponent, seed=seed, counts=counts)
    mesh = mesh_of(policy.model.params)
    footprint = footprint_of(recipe, policy.model.config, jax.default_backend(), mesh, teacher)
    peak = cold_start_learning_rate(recipe, policy.model.config)
    for step in range(done, config.max_steps):
        began = time.perf_counter()
        batch = mixture.tasks(step, config.batch_size)
        rate = learning_rate(
            peak,
            Horizon(config.max_steps),
            step,
            warmup_fraction=config.warmup_steps / config.max_steps,
            kind=config.schedule,
        )
        adapter, state, row = _imitate(policy, adapter, state, optimizer, batch, rate, footprint)
        trim_heap()
        row |= {
            "stage": "cold_start",
            "step": step + 1,
            "learning_rate": rate,
            "format_rate": None,
            "entropy": None,
            "seconds": {"update": time.perf_counter() - began},
        }
        due = step + 1 >= config.probe_from and (step + 1 - config.probe_from) % config.probe_every == 0
        satisfied = False
        if due or step + 1 == config.max_steps:
            probe = probe_policy(policy, adapter, recipe, probed, step)
            row |= {"format_rate": probe.format_rate, "entropy": probe.entropy}
            satisfied = ends_stage(probe, config)
        row["seconds"]["total"] = time.perf_counter() - began
        yield ColdStep(adapter, state, row, satisfied or step + 1 == config.max_steps)
        if satisfied:
            return


def ends_stage(probe: Probe, config: ColdStartConfig) -> bool:
    """Whether a probe ends the stage: the format rate is reached, or the entropy is at or below its limit."""
    low = config.stop_at_entropy > 0 and probe.entropy <= config.stop_at_entropy
    return low or probe.format_rate >= config.stop_at_format_rate


def probe_policy(
    policy: Policy, adapter: Adapter, recipe: Recipe, tasks: Mapping[str, Sequence[Task]], step: int
) -> Probe:
    """Sample one completion for each of `probe_tasks` training tasks, equally many per domain."""
    config: ColdStartConfig = recipe.cold_start
    seed = derive_seed(recipe.seed, "probe", step)
    chosen = Mixture(tasks, exponent=0.0, seed=seed).tasks(0, config.probe_tasks)
    groups = policy.sample(
        adapter,
        chosen,
        group_size=1,
        max_new_tokens=recipe.rollout.max_new_tokens,
        sampling=Sampling.of(recipe.rollout),
        seed=seed,
    )
    completions = [completion for group in groups for completion in group.completions]
    valid = [policy.contract.parse(c.text, truncated=c.finish is Finish.LENGTH).valid for c in completions]
    logprobs = [value for completion in completions for value in completion.logprobs]
    return Probe(sum(valid) / len(valid), -sum(logprobs) / len(logprobs))


def _by_length(
    rows: Sequence[int], prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Rows whose prompt and target are short, and the others, where both parts fill the rows that they are padded to.

    Attention pads all rows of a call to the longest. But a part with few rows has padding of its own, of rows and of
    tokens, which costs more.
    """
    short = [i for i in rows if _is_short(prompts[i], targets[i])]
    long = [i for i in rows if not _is_short(prompts[i], targets[i])]
    if sum(round_up(len(part), ROW_BUCKET) for part in (short, long)) > round_up(len(rows), ROW_BUCKET):
        return [list(rows)]
    return [short, long]


def _is_short(prompt: Sequence[int], target: Sequence[int]) -> bool:
    return max(len(prompt), len(target) - 1) <= SHORT


def _layout(prompts: list[Sequence[int]], targets: list[Sequence[int]], shards: int, buckets: Buckets) -> Packed:
    """Rows in one of few shapes; rows without a target make their number a multiple of ROW_BUCKET and of `shards`.

    The common prefix is the run's: what a few rows share beyond it would be a shape of its own in every step.
    """
    added = round_up(len(prompts), math.lcm(ROW_BUCKET, shards)) - len(prompts)
    prefix = buckets.prefix_of([*prompts, prompts[0]])  # of a single prompt, too
    length = SHORT if all(map(_is_short, prompts, targets)) else 2 * SHORT
    return pack(
        prompts + [prompts[0][: prefix + 1]] * added,
        [[target] for target in targets] + [[()]] * added,
        token_bucket=TOKEN_BUCKET,
        target_bucket=TOKEN_BUCKET,
        prompt_bucket=length,
        completion_bucket=length,
        prefix_length=prefix,
    )


def _imitate(
    policy: Policy,
    adapter: Adapter,
    state: Any,
    optimizer: optax.GradientTransformation,
    batch: Sequence[Task],
    learning_rate: float,
    footprint: Footprint,
) -> tuple[Adapter, Any, dict[str, Any]]:
    contract, config = policy.contract, policy.model.config
    prompts = [contract.encode(task.question) for task in batch]
    targets = [contract.encode_completion(task.rationale, task.answer) for task in batch]
    weight = 1.0 / sum(map(len, targets))
    gradients, losses, mesh = None, [], mesh_of(policy.model.params)
    shards = row_shards(mesh)
    budget = update_budget_bytes(footprint, shards=shards)
    lengths = [len(prompt) + len(target) for prompt, target in zip(prompts, targets, strict=True)]
    chunks = split_rows(lengths, footprint, budget, per_octave=policy.buckets.per_octave, shards=shards)
    for rows in (part for chunk in chunks for part in _by_length(chunk, prompts, targets)):
        packed = _layout([prompts[i] for i in rows], [targets[i] for i in rows], shards, policy.buckets)
        packed = replace(packed, mesh=mesh, full_rematerialization=footprint.full_rematerialization)
        part, loss = imitation_gradients(
            adapter,
            policy.model.params,
            place_rows(packed, mesh),
            place_rows(rows_to_targets(np.full(packed.num_completions, weight), packed), mesh),
            config=config,
            scale=policy.scale,
        )
        gradients = part if gradients is None else add_trees(gradients, part)
        losses.append(loss)
    assert gradients is not None
    rate = np.float32(learning_rate)
    adapter, state, norm = apply_gradients(adapter, state, gradients, rate, optimizer=optimizer)
    found = {"loss": float(sum(jax.device_get(losses))), "grad_norm": float(norm)}
    row = {name: value if np.isfinite(value) else None for name, value in found.items()}
    return adapter, state, {**row, "skipped_updates": int(row["grad_norm"] is None), "tokens": sum(map(len, targets))}
