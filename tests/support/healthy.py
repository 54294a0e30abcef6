"""A row of metrics without health warnings."""

from __future__ import annotations

from typing import Any

GOOD: dict[str, Any] = {
    "reward": 0.5,
    "accuracy": 0.5,
    "format_rate": 0.9,
    "truncated_rate": 0.05,
    "zero_std_fraction": 0.2,
    "kl": 0.01,
    "entropy": 1.0,
    "skipped_updates": 0,
    "domains": {"math": {"n": 8, "reward": 0.5}, "logic": {"n": 8, "reward": 0.6}},
}
