"""Estimates the peak memory of a run before it starts.

The estimate is a sum of parts, from the recipe and the model's shape: resident arrays (weights, adapters, moments), and
what each phase adds. The formulas of temporaries are fitted to XLA's `memory_analysis` of the compiled programs;
tests/train/test_memory.py checks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from thinkaloud.config import Recipe
from thinkaloud.distributed.devices import device_limit
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.footprint import Footprint, num_scores, saved_bytes_per_token, temporary_bytes
from thinkaloud.model.packed import Buckets, bucketed, power_of_two, round_up
from thinkaloud.model.sharding import row_shards
from thinkaloud.rollout.batch_size import decoding_bytes, prompts_at_once
from thinkaloud.session.footprint import adapter_bytes, footprint_of, weights_bytes
from thinkaloud.train.microbatch import split_rows, update_budget_bytes

PROCESS_BYTES = 450 * 10**6
"""Python, JAX and the libraries; on a CPU they share memory with the arrays."""

TOKENIZER_BYTES_PER_WORD = 900
"""Tables of a tokenizer, per entry of the vocabulary."""

COMPILED_BYTES_PER_LAYER = 25 * 10**6
"""Compiled programs and the memory that compilation does not return (CPU); decoding is unrolled over layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes on one device by part: `resident` all the time, and `phases` with what each phase adds."""

    resident: dict[str, int]
    phases: dict[str, dict[str, int]]

    @property
    def peak_phase(self) -> str:
        """The phase that needs the most."""
        return max(self.phases, key=lambda name: sum(self.phases[name].values()))

    @property
    def breakdown(self) -> dict[str, int]:
        """Bytes by part at the peak; they add up to `total`."""
        return {**self.resident, **self.phases[self.peak_phase]}

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return sum(self.breakdown.values())


def estimate_memory(
    recipe: Recipe,
    model_config: ModelConfig,
    *,
    prompt_lengths: Sequence[int] | None = None,
    backend: str | None = None,
    memory_bytes: int | None = None,
    mesh: Mesh | None = None,
    teacher: ModelConfig | None = None,
) -> MemoryEstimate:
    """Estimate the peak memory of `thinkaloud train` on one device.

    Args:
        recipe: The recipe to run.
        model_config: The model's shape (`model.weights.load_config`).
        prompt_lengths: Tokens of the pool's prompts; the recipe's limit if None.
        backend: `cpu`, `gpu` or `tpu`; JAX's default if None.
        memory_bytes: Memory of the device, which limits micro-batches; that of the current device if None.
        mesh: The devices that share weights and rows; one device if None.
        teacher: The teacher's shape, where the recipe has one.

    Returns:
        Bytes by part, for completions that use their whole token limit.
    """
    backend = backend or jax.default_backend()
    footprint = footprint_of(recipe, model_config, backend, mesh, teacher, memory_bytes)
    shards = row_shards(mesh)
    longest = sorted(prompt_lengths or [recipe.rollout.max_prompt_tokens], reverse=True)
    rollout, grpo = recipe.rollout, recipe.grpo
    adapter = adapter_bytes(recipe, model_config)
    resident = {
        "weights": weights_bytes(model_config, footprint.itemsize) // footprint.weight_shards,
        "adapters": adapter * (2 if grpo.max_steps else 1),
        "moments": 2 * adapter,
    }
    if teacher:
        resident["teacher"] = weights_bytes(teacher, footprint.itemsize) // footprint.weight_shards
    if backend == "cpu":
        resident["process"] = (
            PROCESS_BYTES
            + TOKENIZER_BYTES_PER_WORD * model_config.vocab_size
            + COMPILED_BYTES_PER_LAYER * model_config.num_layers
        )
    budget = update_budget_bytes(footprint, backend, memory_bytes)
    buckets = Buckets.of(backend, rollout.max_prompt_tokens)
    phases: dict[str, dict[str, int]] = {}

    def decoding(prompts: int, group: int, slots: int) -> dict[str, int]:
        options: Any = {"group": group, "slots": slots, "backend": backend}
        fitting = prompts_at_once(prompts, footprint, buckets, longest, **options, memory_bytes=memory_bytes)
        return decoding_bytes(footprint, buckets, longest, fitting, **options)

    if grpo.max_steps:
        count, new = -(-rollout.prompts_per_step // shards), rollout.max_new_tokens
        phases["rollout"] = decoding(count, rollout.group_size, new)
        lengths = [(longest[min(i, len(longest) - 1)], [new] * rollout.group_size) for i in range(count)]
        rows = lengths[: -(-count // grpo.minibatches)]
        phases["update"] = _update(footprint, buckets, adapter, rows, new, budget)
    if recipe.cold_start.max_steps:
        probe = -(-min(recipe.cold_start.probe_tasks, max(len(prompt_lengths or ()), 1)) // shards)
        phases["probe"] = decoding(probe, 1, rollout.max_new_tokens)
        # rationales are short: bounded by the length of a completion
        batch = -(-recipe.cold_start.batch_size // shards)
        lengths = [(longest[min(i, len(longest) - 1)], [rollout.max_new_tokens]) for i in range(batch)]
        phases["cold_start"] = _update(footprint, buckets, adapter, lengths, 128, budget)
    config = recipe.evaluate
    limit = config.max_new_tokens or rollout.max_new_tokens
    tasks = -(-min(config.batch_size, sum(map(config.wanted, recipe.data.domains))) // shards)
    phases["evaluate"] = decoding(tasks, 1, limit)
    return MemoryEstimate(resident=resident, phases=phases)


def device_memory() -> int | None:
    """Bytes that arrays can use: the device's limit, or the available memory of the machine or its control group.

    Returns:
        None if neither is known.
    """
    limit = device_limit()
    return available_memory() if limit is None else limit


def available_memory(proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory available to a new process on Linux, in bytes; None on other systems."""
    found: list[int] = []
    try:
        for line in proc.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        limit = (cgroup / "memory.max").read_text().strip()
        if limit != "max":
            found.append(max(0, int(limit) - int((cgroup / "memory.current").read_text())))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def _update(
    footprint: Footprint,
    buckets: Buckets,
    adapter: int,
    rows: list[tuple[int, list[int]]],
    completion_bucket: int,
    budget: int,
) -> dict[str, int]:
    """Bytes that the largest micro-batch adds: saved activations, temporaries, gradients."""
    length = round_up(max(prompt for prompt, _ in rows), buckets.prompt)
    inputs = round_up(max(max(members) for _, members in rows) - 1, completion_bucket)
    counts = [prompt + sum(members) for prompt, members in rows]
    parts = split_rows(counts, footprint, budget, attended=length + inputs, per_octave=buckets.per_octave)
    largest = max(parts, key=lambda chosen: sum(counts[i] for i in chosen))
    tokens = bucketed(sum(counts[i] for i in largest), buckets.per_octave)
    scores = num_scores(power_of_two(len(largest)), length, len(rows[0][1]), inputs)
    return {
        "activations": tokens * saved_bytes_per_token(footprint),
        "temporaries": temporary_bytes(footprint.config, scores, tokens),
        "gradients": adapter * (1 if len(parts) == 1 else 3),
    }
