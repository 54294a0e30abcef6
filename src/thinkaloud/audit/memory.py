"""Whether a run fits into the memory of its device."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.precision import base_dtype
from thinkaloud.model.sharding import open_mesh
from thinkaloud.train.memory import device_memory, estimate_memory

CLOSE = 0.9
"""Share of the device's memory above which an estimate leaves no room for its error."""


def check_memory(recipe: Recipe, pool: Pool, model: ModelConfig, teacher: ModelConfig | None = None) -> Finding:
    """The estimated peak memory of a run against that of the device.

    Args:
        model: Its shape; `teacher`, that of the recipe's teacher.
    """
    mesh = None  # on a CPU all devices share the memory of the machine
    if jax.default_backend() != "cpu":
        mesh = open_mesh(recipe.mesh_sizes, model, jnp.dtype(base_dtype(recipe.model.dtype)).itemsize)
    lengths = _prompt_lengths(pool.record.get("lines", []))
    estimate = estimate_memory(recipe, model, prompt_lengths=lengths, mesh=mesh, teacher=teacher)
    available = device_memory()
    message = f"about {estimate.total / 1e9:.1f} GB at the peak ({estimate.peak_phase})"
    figures: dict[str, Any] = {
        "total_bytes": estimate.total,
        "breakdown": estimate.breakdown,
        "device_bytes": available,
    }
    if available is None:
        return Finding(name="memory", level=Level.OK, message=message + "; the device's memory is unknown")
    short, close = estimate.total > available, estimate.total > CLOSE * available
    return Finding(
        name="memory",
        level=Level.STOP if short else Level.WARNING if close else Level.OK,
        message=f"{message}, the device has {available / 1e9:.1f} GB",
        remedy=_remedy(recipe, estimate.peak_phase) if close else "",
        figures=figures,
    )


def _remedy(recipe: Recipe, peak: str) -> str:
    """Batches suit the device's whole memory; smaller ones help where, on a CPU, other programs hold some of it."""
    wider = peak in ("update", "cold_start") and recipe.model.rematerialization == "selective"
    return "lower rollout.prompts_per_step, rollout.group_size, rollout.max_new_tokens or evaluate.batch_size" + (
        ', or set model.rematerialization = "auto"' if wider else ""
    )


def _prompt_lengths(lines: list[dict[str, Any]]) -> list[int]:
    """Upper bounds of the pool's prompt lengths, from the recorded percentiles."""
    found: list[int] = []
    for line in lines:
        tokens, count = line["prompt_tokens"], sum(line["kept"].values())
        if tokens:
            found += [tokens["max"]] * -(-count // 20) + [tokens["p95"]] * (count // 2) + [tokens["p50"]] * (count // 2)
    return found
