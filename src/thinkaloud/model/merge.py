"""Adapters as numpy arrays, in the layout of `model/lora.py`: merged into the weights, or joined into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Pairs = dict[str, dict[str, Any]]
"""{target: {"a": [layers, in, rank], "b": [layers, rank, out]}}, float32."""


def merge_in_place(params: dict[str, Any], adapter: Pairs, scale: float) -> dict[str, Any]:
    """Add scale * A B to every adapted matrix, layer by layer, in float32; the result has the weights' dtype.

    Args:
        params: Numpy arrays as `model/weights.py` loads them; changed in place.
        adapter: May be empty.
        scale: Alpha / rank.
    """
    for target, pair in adapter.items():
        weight = params["layers"][target]
        for layer in range(len(weight)):
            delta = np.float32(scale) * (pair["a"][layer] @ pair["b"][layer])
            weight[layer] = weight[layer].astype(np.float32) + delta
    return params


def join_adapters(adapters: Sequence[tuple[Pairs, float]]) -> Pairs:
    """One adapter equal to the sum of several (adapter, scale); its own scale is 1.

    All targets get the largest rank needed, padded with zeros, so that the adapter has a single rank.
    """
    halves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for target in dict.fromkeys(target for adapter, _ in adapters for target in adapter):
        own = [(adapter[target], np.float32(scale)) for adapter, scale in adapters if target in adapter]
        a = np.concatenate([pair["a"] for pair, _ in own], axis=2)
        halves[target] = a, np.concatenate([scale * pair["b"] for pair, scale in own], axis=1)
    rank = max(a.shape[2] for a, _ in halves.values())
    return {
        target: {
            "a": np.pad(a, ((0, 0), (0, 0), (0, rank - a.shape[2]))),
            "b": np.pad(b, ((0, 0), (0, rank - b.shape[1]), (0, 0))),
        }
        for target, (a, b) in halves.items()
    }
