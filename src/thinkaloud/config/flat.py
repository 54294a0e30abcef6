"""Nested settings by dotted key, to compare two recipes, or a recipe with a pool."""

from __future__ import annotations

from typing import Any


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Every value by its dotted key; lists and empty tables count as values.

    >>> flat({"grpo": {"beta": 0.04, "generated": {}}, "seed": 0})
    {'grpo.beta': 0.04, 'grpo.generated': {}, 'seed': 0}
    """
    if isinstance(value, dict) and (value or not prefix):
        parts = [flat(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items()]
        return {key: item for part in parts for key, item in part.items()}
    return {prefix: value}


def changed_keys(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The keys, in order, in which two flat settings differ."""
    return [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
