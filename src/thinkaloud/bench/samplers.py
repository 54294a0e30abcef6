"""Sampling speed of the JAX sampler and of vLLM on the same prompts, adapter and number of tokens."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.config.load import change_recipe
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.model.precision import weights_dtype
from thinkaloud.pipeline.sampler import check_sampler, open_sampler
from thinkaloud.records import Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.session.device import device_line
from thinkaloud.session.session import open_session

ROWS = (16, 64, 256)
GROUP = 8


def run_sampler_bench(
    recipe: Recipe, *, rows: Sequence[int] = ROWS, repeats: int = 3, note: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measure both samplers; every completion has `rollout.max_new_tokens` tokens, without a stop.

    Args:
        rows: Completions per call, multiples of `GROUP`: groups of that size.
        repeats: Timed calls, after one that compiles.
        note: Receives one line per progress event.

    Returns:
        JSON-ready: work, device, results (one per sampler and number of rows), ratios (vLLM's tokens per second over
        those of JAX, by rows).

    Raises:
        UserError: The recipe or vLLM cannot be used.
    """
    if unfit := [count for count in rows if count < GROUP or count % GROUP]:
        raise UserError(f"expected multiples of {GROUP} rows, found {unfit[0]}; such as --rows 64")
    recipe = change_recipe(recipe, ["rollout.engine=vllm"])
    check_sampler(recipe)
    results = []
    with tempfile.TemporaryDirectory(prefix="thinkaloud-bench-") as name:
        session = open_session(recipe, Path(name) / "pool", note=note)
        policy = replace(session.load_policy(), ignore_stop=True)
        adapter, tasks = session.new_adapter(policy), session.pool.split("train")
        device = device_line(recipe)
        note(f"device: {device}")

        def measure(sampler: str, used: Policy) -> None:
            for count in rows:
                note(f"{sampler}: {count} rows")
                chosen = list(islice(cycle(tasks), count // GROUP))
                found = _timed(used, adapter, chosen, recipe, repeats)
                note(f"{sampler}: {count} rows: {found['tokens_per_second']:.0f} tokens/s")  # kept if a later one fails
                results.append({"sampler": sampler, "rows": count, **found})

        measure("jax", policy)
        with open_sampler(session, policy, Path(name), note) as server:
            measure("vllm", replace(policy, sampler=server))
    speeds = {(row["sampler"], row["rows"]): row["tokens_per_second"] for row in results}
    return {
        "work": {
            "recipe": recipe.name,
            "model": recipe.model.source,
            "dtype": weights_dtype(policy.model.params).name,
            "group_size": GROUP,
            "new_tokens": recipe.rollout.max_new_tokens,
            "temperature": recipe.rollout.temperature,
            "repeats": repeats,
        },
        "device": device,
        "results": results,
        "ratios": {str(count): round(speeds["vllm", count] / speeds["jax", count], 3) for count in rows},
    }


def _timed(policy: Policy, adapter: Adapter, tasks: Sequence[Task], recipe: Recipe, repeats: int) -> dict[str, Any]:
    limit, seconds = recipe.rollout.max_new_tokens, []
    for repeat in range(repeats + 1):
        began = time.perf_counter()
        groups = policy.sample(
            adapter,
            tasks,
            group_size=GROUP,
            max_new_tokens=limit,
            sampling=Sampling.of(recipe.rollout),
            seed=repeat,
        )
        seconds.append(time.perf_counter() - began)
        assert all(len(completion.token_ids) == limit for group in groups for completion in group.completions)
    timed = seconds[1:]
    return {
        "seconds": {"median": statistics.median(timed), "min": min(timed), "max": max(timed)},
        "first_seconds": seconds[0],
        "tokens_per_second": len(tasks) * GROUP * limit / statistics.median(timed),
    }
