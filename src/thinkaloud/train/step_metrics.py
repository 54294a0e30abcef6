"""The metrics of a GRPO step: of the completions, and of the updates."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from thinkaloud.config.recipe import GrpoConfig
from thinkaloud.domains import Registry
from thinkaloud.records import RolloutGroup, Score, Status
from thinkaloud.train.loss import Sums


class Stopwatch:
    """Seconds spent in each phase of a step. It starts when it is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._phases = {"rollout": 0.0, "score": 0.0, "update": 0.0}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of a block to a phase."""
        began = time.perf_counter()
        yield
        self._phases[name] += time.perf_counter() - began

    def seconds(self) -> dict[str, float]:
        """Seconds by phase and in total, and the share of time in which the device was idle (a lower bound)."""
        total = time.perf_counter() - self._began
        # The device is idle during scoring, and at times within rollout and update.
        return {**self._phases, "total": total, "idle_share": self._phases["score"] / max(total, 1e-9)}


def signal_metrics(sampled: Sequence[RolloutGroup], trained: Sequence[RolloutGroup]) -> dict[str, Any]:
    """How many groups were sampled and trained on, and the share of the trained ones with signal."""
    return {
        "groups": {"sampled": len(sampled), "trained": len(trained)},
        "signal_share": 1 - _without_signal(trained),
    }


def outcome_metrics(groups: Sequence[RolloutGroup], registry: Registry) -> dict[str, Any]:
    """Reward, format rate and accuracy, overall and by domain, and token counts. Masked completions are left out."""
    counted = [(group.task.domain, score) for group in groups for score in group.scores if not score.status.masked]
    rewards = [score.reward for _, score in counted]
    domains: dict[str, Any] = {}
    for name in dict.fromkeys(group.task.domain for group in groups):
        own = [group for group in groups if group.task.domain == name]
        rates = _rates([(domain_name, score) for domain_name, score in counted if domain_name == name], registry)
        domains[name] = rates | {"zero_std_fraction": _without_signal(own)}
    overall = _rates(counted, registry)
    overall["truncated_rate"] = overall.pop("truncated")
    return {
        **overall,
        "reward_std": float(np.std(rewards)) if rewards else None,
        "zero_std_fraction": _without_signal(groups),
        "masked": sum(len(group.completions) for group in groups) - len(counted),
        "domains": domains,
        "tokens": {
            "prompt": sum(len(group.prompt_ids) for group in groups),
            "completion": sum(len(c.token_ids) for group in groups for c in group.completions),
        },
    }


def update_metrics(
    sums: list[Sums], norms: list[Any], learning_rate: float, config: GrpoConfig, *, has_teacher: bool = False
) -> dict[str, Any]:
    """Loss, KL, ratio, clip fraction, entropy and gradient norm of the updates of one step.

    Args:
        sums: Of every micro-batch, those of the first inner iteration first.
        norms: The gradient norm of every update, before clipping.
        learning_rate: Of the first update.

    Returns:
        Values by name; None where a value is not finite or not computed.
    """
    first = sums[: max(1, len(sums) // max(1, config.inner_iterations))]
    tokens, first_tokens = (sum((float(part.tokens) for part in some), 0.0) for some in (sums, first))

    def mean(name: str, over: list[Sums], count: float) -> float | None:
        return sum(float(getattr(part, name)) for part in over) / count if count else None

    finite = [float(norm) for norm in norms if np.isfinite(norm)]
    found = {
        "loss": sum((float(part.loss) for part in sums), 0.0) / config.inner_iterations,
        "kl": mean("kl", sums, tokens) if config.beta > 0 else None,  # unknown without a reference pass
        "ratio_mean": mean("ratio", first, first_tokens),
        "ratio_max": max((1 + float(part.ratio_off) for part in first), default=None),
        "clip_fraction": mean("clipped", sums, tokens),
        "entropy": mean("entropy", first, first_tokens),
        "mismatch_kl": mean("mismatch", first, first_tokens),
        **({"teacher_kl": mean("teacher_kl", first, first_tokens)} if has_teacher else {}),
        "importance_capped": mean("capped", first, first_tokens),
        "grad_norm": float(np.mean(finite or [0.0])) if finite or not norms else None,
        "learning_rate": learning_rate,
        "skipped_updates": len(norms) - len(finite),
    }
    return {name: value if value is None or np.isfinite(value) else None for name, value in found.items()}


def _without_signal(groups: Sequence[RolloutGroup]) -> float:
    """The share of groups without signal: all rewards equal."""
    return sum(not group.has_signal for group in groups) / len(groups)


def _rates(counted: list[tuple[str, Score]], registry: Registry) -> dict[str, Any]:
    if not counted:
        return {"n": 0, "reward": None, "format_rate": None, "accuracy": None, "truncated": None}
    scores = [score for _, score in counted]
    broken = sum(score.status.breaks_format for score in scores)
    checked = [score for name, score in counted if registry.is_verifiable(name)]
    correct = sum(score.status is Status.CORRECT for score in checked)
    return {
        "n": len(scores),
        "reward": sum(score.reward for score in scores) / len(scores),
        "format_rate": 1 - broken / len(scores),
        "accuracy": correct / len(checked) if checked else None,
        "truncated": sum(score.status is Status.TRUNCATED for score in scores) / len(scores),
    }
