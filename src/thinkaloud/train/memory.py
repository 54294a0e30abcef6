"""Estimates the peak memory of a run before it starts.

The estimate is a sum of parts, from the recipe and the model's shape: resident arrays (weights, adapters, moments), and
what each phase adds. The formulas of temporaries are fitted to XLA's `memory_analysis` of the compiled programs;
tests/train/test_memory.py checks them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from thinkaloud.config import Recipe
from thinkaloud.distributed.devices import device_limit
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import num_parameters, parameters
from thinkaloud.model.lora import projection_shapes
from thinkaloud.model.packed import Buckets, bucketed, power_of_two, round_up
from thinkaloud.model.precision import activation_dtype, base_dtype
from thinkaloud.model.sharding import row_shards
from thinkaloud.rollout.generate import smallest_batch
from thinkaloud.train.microbatch import (
    Footprint,
    UpdateShape,
    saved_bytes_per_token,
    split_rows,
    temporary_bytes,
    update_budget_bytes,
)

PROCESS_BYTES = 450 * 10**6
"""Python, JAX and the libraries; on a CPU they share memory with the arrays."""

TOKENIZER_BYTES_PER_WORD = 900
"""Tables of a tokenizer, per entry of the vocabulary."""

COMPILED_BYTES_PER_LAYER = 25 * 10**6
"""Compiled programs and the memory that compilation does not return (CPU); decoding is unrolled over layers."""

DECODED_LOGITS = 4
"""Arrays of [rows, vocabulary] in float32 that are live while a token is sampled."""


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
    footprint, shards = footprint_of(recipe, model_config, backend, mesh, teacher), row_shards(mesh)
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
    if grpo.max_steps:
        count, new = -(-rollout.prompts_per_step // shards), rollout.max_new_tokens
        phases["rollout"] = _decoding(footprint, backend, buckets, longest, count, rollout.group_size, new)
        lengths = [(longest[min(i, len(longest) - 1)], [new] * rollout.group_size) for i in range(count)]
        rows = lengths[: -(-count // grpo.minibatches)]
        phases["update"] = _update(footprint, buckets, adapter, rows, new, budget)
    if recipe.cold_start.max_steps:
        probe = -(-min(recipe.cold_start.probe_tasks, max(len(prompt_lengths or ()), 1)) // shards)
        phases["probe"] = _decoding(footprint, backend, buckets, longest, probe, 1, rollout.max_new_tokens)
        # rationales are short: bounded by the length of a completion
        batch = -(-recipe.cold_start.batch_size // shards)
        lengths = [(longest[min(i, len(longest) - 1)], [rollout.max_new_tokens]) for i in range(batch)]
        phases["cold_start"] = _update(footprint, buckets, adapter, lengths, 128, budget)
    config = recipe.evaluate
    limit = config.max_new_tokens or rollout.max_new_tokens
    tasks = -(-min(config.batch_size, sum(map(config.wanted, recipe.data.domains))) // shards)
    phases["evaluate"] = _decoding(footprint, backend, buckets, longest, tasks, 1, limit)
    return MemoryEstimate(resident=resident, phases=phases)


def footprint_of(
    recipe: Recipe, config: ModelConfig, backend: str, mesh: Mesh | None = None, teacher: ModelConfig | None = None
) -> Footprint:
    """The `Footprint` of a recipe on a backend, for one device of the mesh; a teacher's weights are resident too."""
    dtype = base_dtype(recipe.model.dtype, backend)
    itemsize = jnp.dtype(dtype).itemsize
    weight_shards = 1 if mesh is None else mesh.shape["fsdp"] * mesh.shape["tensor"]
    weights = sum(weights_bytes(model, itemsize) for model in (config, teacher) if model)
    stays = weights // weight_shards + 4 * adapter_bytes(recipe, config)
    lora_width = recipe.lora.rank * len(recipe.lora.targets)
    return Footprint(
        config=config,
        itemsize=itemsize,
        activation_itemsize=activation_dtype(dtype, backend).itemsize,
        lora_width=lora_width,
        resident_bytes=stays,
        weight_shards=weight_shards,
        full_rematerialization=recipe.model.rematerialization == "full",
    )


def weights_bytes(config: ModelConfig, itemsize: int) -> int:
    """Bytes of the frozen base."""
    return num_parameters(config) * itemsize


def adapter_bytes(recipe: Recipe, config: ModelConfig) -> int:
    """Bytes of one adapter, of its gradient, or of one of Adam's moments (float32)."""
    shapes = projection_shapes(config)
    return sum(4 * config.num_layers * recipe.lora.rank * sum(shapes[target]) for target in recipe.lora.targets)


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


def _decoding(
    footprint: Footprint, backend: str, buckets: Buckets, longest: Sequence[int], prompts: int, group: int, slots: int
) -> dict[str, int]:
    """Bytes that sampling adds: merged weights, caches and logits, at the peak of prefill, decoding and repacking."""
    config, itemsize = footprint.config, footprint.itemsize
    prompts = power_of_two(prompts)
    length = round_up(longest[0], buckets.prompt)
    merged = itemsize * sum(config.num_layers * math.prod(leaf.shape) for leaf in parameters(config) if leaf.stacked)
    merged //= footprint.weight_shards
    token = 2 * config.num_layers * config.num_kv_heads * config.head_dim * footprint.activation_itemsize
    prompt_cache, own_cache = prompts * length * token, prompts * group * slots * token
    tokens = bucketed(sum(longest[min(i, len(longest) - 1)] for i in range(prompts)), buckets.per_octave)
    prefill = temporary_bytes(config, UpdateShape(prompts, 0, length, 0, tokens), backward=False)
    logits = 4 * DECODED_LOGITS * prompts * group * config.vocab_size
    half = prompts * group // 2  # rows left when the batch is repacked, each with a copy of its prompt
    repacked = half * (length + slots) * token if half >= smallest_batch(backend) else 0
    at_prefill, at_decode = prompt_cache + prefill, own_cache + max(logits, repacked)
    temporary = max(at_prefill, at_decode)
    return {"decoding weights": merged, "prompt cache": prompt_cache, "completion cache and temporaries": temporary}


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
    parts = split_rows(counts, footprint, budget, attended=length + inputs)
    largest = max(parts, key=lambda chosen: sum(counts[i] for i in chosen))
    tokens = bucketed(sum(counts[i] for i in largest), buckets.per_octave)
    shape = UpdateShape(power_of_two(len(largest)), len(rows[0][1]), length, inputs, tokens, targets=tokens)
    return {
        "activations": tokens * saved_bytes_per_token(footprint),
        "temporaries": temporary_bytes(footprint.config, shape, backward=True),
        "gradients": adapter * (1 if len(parts) == 1 else 3),
    }
