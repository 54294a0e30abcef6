"""A lower bound of a step's time: its matrix products and the bytes it must read, at the measured rates.

The count covers the projections, attention and the output head, each token once (a prompt once per group): decoding
token by token, the reference pass if beta is not 0, forward passes, and backward passes to the activations (the base is
frozen). Adapters, norms and softmax are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from thinkaloud.bench.work import Work
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import projection_shapes


def layer_products(config: ModelConfig) -> int:
    """Floating-point operations of one token in the projections of all layers."""
    return 2 * config.num_layers * sum(width * height for width, height in projection_shapes(config).values())


def head_products(config: ModelConfig) -> int:
    """Floating-point operations of one token in the output head."""
    return 2 * config.vocab_size * config.hidden_size


def attention_products(config: ModelConfig, pairs: float) -> float:
    """Floating-point operations of attention for `pairs` pairs of query and key; sliding windows are ignored."""
    return 4 * config.num_layers * config.num_heads * config.head_dim * pairs


def rollout_work(
    work: Work, prompts: Sequence[Sequence[int]], bytes_per_number: int
) -> tuple[float, list[tuple[float, float]]]:
    """Operations of the prefill; and for each decoding step its operations and the bytes it reads (weights, cache)."""
    config, group = work.model, work.recipe.rollout.group_size
    lengths = [len(prompt) for prompt in prompts]
    prefill = sum(n * layer_products(config) + attention_products(config, n * n / 2) for n in lengths)
    prefill += len(lengths) * head_products(config)
    rows = len(lengths) * group
    dense = layer_products(config) + head_products(config)
    cache = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    steps = []
    for own in range(1, work.recipe.rollout.max_new_tokens):
        pairs = float(group * sum(n + own for n in lengths))
        numbers = dense / 2 + cache * (sum(lengths) + rows * own)
        steps.append((rows * dense + attention_products(config, pairs), bytes_per_number * numbers))
    return prefill, steps


def update_work(work: Work, prompts: Sequence[Sequence[int]]) -> float:
    """Operations of all inner iterations, including the reference pass."""
    config, group, new = work.model, work.recipe.rollout.group_size, work.recipe.rollout.max_new_tokens
    lengths = [len(prompt) for prompt in prompts]
    tokens = sum(n + group * (new - 1) for n in lengths)
    pairs = sum(n * n / 2 + group * ((new - 1) * n + (new - 1) ** 2 / 2) for n in lengths)
    layers = tokens * layer_products(config) + attention_products(config, pairs)
    backward = tokens * layer_products(config) + 2 * attention_products(config, pairs)
    head = work.completion_tokens * head_products(config)
    iterations = work.recipe.grpo.inner_iterations
    reference = layers + head if work.recipe.grpo.beta > 0 else 0.0
    return reference + iterations * (layers + backward + 2 * head)


def shares(work: Work, own: dict[str, Any], measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rates of the machine, and the share of them that our rollout and our update reach: means over the batches.

    Args:
        own: The row of the package's own engine.
        measured: The reports of the worker `machine`, one per round; the best counts.
    """
    bandwidth = max(row["copy_bytes_per_second"] for row in measured)
    rate = max(row["matrix_flops_per_second"] for row in measured)
    size = 2 if own["dtype"] == "bfloat16" else 4
    rollouts = [rollout_work(work, batch.prompts, size) for batch in work.batches]
    steps = [step for _, own_steps in rollouts for step in own_steps]
    decode = sum(max(products / rate, moved / bandwidth) for products, moved in steps)
    rollout_seconds = (sum(prefill for prefill, _ in rollouts) / rate + decode) / len(rollouts)
    update_seconds = fmean(update_work(work, batch.prompts) for batch in work.batches) / rate
    return {
        "copy_bytes_per_second": bandwidth,
        "matrix_flops_per_second": rate,
        "dtype": measured[0]["dtype"],
        "rollout_seconds": rollout_seconds,
        "update_seconds": update_seconds,
        "share": {
            "rollout": rollout_seconds / own["rollout_seconds"],
            "update": update_seconds / own["update_seconds"],
        },
        "bound": "bandwidth"
        if sum(moved for _, moved in steps) / bandwidth > sum(products for products, _ in steps) / rate
        else "products",
    }
