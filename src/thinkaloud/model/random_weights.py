"""Random weights, for the tiny model and for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import parameters
from thinkaloud.seeding import derive_seed


def random_params(config: ModelConfig, seed: int) -> dict[str, Any]:
    """Random float32 parameters: matrices normal with variance 1 / fan-in, norms that multiply by 1, biases 0.

    Embeddings have variance 1 / hidden size, so that after Gemma's scaling, and as logits, they are near unit scale.
    """
    params: dict[str, Any] = {"layers": {}}
    for leaf in parameters(config):
        shape = (config.num_layers, *leaf.shape) if leaf.stacked else leaf.shape
        name = leaf.path[-1]
        if name.endswith("norm"):
            array = np.full(shape, 0.0 if config.norm_plus_one else 1.0, np.float32)
        elif name.endswith("bias"):
            array = np.zeros(shape, np.float32)
        else:
            fan_in = config.hidden_size if name == "embed" else shape[-2]
            generator = np.random.default_rng(derive_seed(seed, "params", name))
            array = generator.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)
        (params["layers"] if leaf.stacked else params)[name] = array
    return params
