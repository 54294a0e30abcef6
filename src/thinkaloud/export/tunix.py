"""For Tunix: merged safetensors, and in `lora/` the adapter alone in Qwix's layout for Tunix's models.

`lora.json` holds the arguments of `qwix.LoraProvider`. The adapter applies to the stock base, never to the merged
weights:

    model = qwix.apply_lora_to_model(base, qwix.LoraProvider(**settings), **base.get_model_input())
    CheckpointManager("lora").maybe_restore(model, restore_only_lora_params=True)

In Gemma 3, keys and values are one einsum with a single A: it holds both A side by side, at twice the rank. The other
modules are padded with zeros to that rank, and alpha grows with the rank, so that the scale stays the same.

Source: qwix 0.1.8, `providers/lora.py`; Tunix 0.1.7, `sft/checkpoint_manager.py`, `models/gemma3` and `models/llama3`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.export.bundle import Bundle
from thinkaloud.export.hf import write_hf
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import Adapter

Module = tuple[tuple[str, ...], np.ndarray, np.ndarray]
"""Path of a module within its layer, ending in its weight; A [..., rank]; B [rank, ...]."""


def write_tunix(bundle: Bundle, dtype: str, folder: Path) -> None:
    """Fill an empty folder as `write_hf` does, and add the adapter where Tunix supports it.

    Raises:
        UserError: The base model's files are damaged, or Orbax, which writes the adapter, is not installed.
        OSError: The folder cannot be written.
    """
    with_adapter = bool(bundle.onto_stock[0]) and has_layout(bundle.config)
    if with_adapter and importlib.util.find_spec("orbax") is None:
        raise UserError("--format tunix needs Orbax to write the adapter: pip install orbax-checkpoint")
    write_hf(bundle, dtype, folder, format="tunix")
    if not with_adapter:
        return
    import orbax.checkpoint as ocp

    state, settings = lora_state(bundle)
    (folder / "lora.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    with ocp.CheckpointManager(
        (folder / "lora").absolute(), item_handlers={"model_params": ocp.PyTreeCheckpointHandler()}
    ) as manager:
        manager.save(1, args=ocp.args.Composite(model_params=ocp.args.PyTreeSave(state)))


def has_layout(config: ModelConfig) -> bool:
    """Whether the module layout of Tunix's model is known."""
    return config.family == "llama" or (config.family == "gemma3" and config.num_heads != config.num_kv_heads)


def lora_state(bundle: Bundle) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tree of LoRA parameters, float32, and the settings of the matching `LoraProvider`."""
    adapter, alpha = bundle.onto_stock
    rank = next(iter(adapter.values()))["a"].shape[-1]
    layers: dict[str, Any] = {}
    names: dict[str, None] = {}
    widest = max(a.shape[-1] for _, a, _ in _modules(bundle.config, adapter, 0))
    for layer in range(bundle.config.num_layers):
        for (*place, weight), a, b in _modules(bundle.config, adapter, layer):
            missing = widest - a.shape[-1]
            below = layers.setdefault(str(layer), {})
            for part in place:
                below = below.setdefault(part, {})
            below[f"{weight}_lora_a"] = {"value": np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, missing)])}
            below[f"{weight}_lora_b"] = {"value": np.pad(b, [(0, missing)] + [(0, 0)] * (b.ndim - 1))}
            names[place[-1]] = None
    module_path = "|".join(f".*{name}" for name in names)
    return {"layers": layers}, {"module_path": module_path, "rank": widest, "alpha": alpha * widest / rank}


def _modules(config: ModelConfig, adapter: Adapter, layer: int) -> Iterator[Module]:
    heads = {"q": config.num_heads, "k": config.num_kv_heads, "v": config.num_kv_heads}
    gemma = config.family == "gemma3"
    pairs = {target: (own["a"][layer], own["b"][layer]) for target, own in adapter.items()}
    for target, (a, b) in pairs.items():
        if target in ("gate", "up", "down"):
            yield ("mlp", f"{target}_proj", "kernel"), a, b
        elif target == "o":
            name = "attn_vec_einsum" if gemma else "o_proj"
            yield ("attn", name, "w"), a.reshape(config.num_heads, config.head_dim, -1), b
        elif target == "q" or not gemma:
            name = "q_einsum" if gemma else f"{target}_proj"
            yield ("attn", name, "w"), a, b.reshape(-1, heads[target], config.head_dim)
    shared = [target for target in ("k", "v") if target in pairs] if gemma else []
    if shared:
        a = np.concatenate([pairs[target][0] for target in shared], axis=1)
        b = np.zeros((a.shape[1], 2, config.num_kv_heads, config.head_dim), np.float32)
        start = 0
        for target in shared:
            own = pairs[target][1]
            b[start : start + len(own), "kv".index(target)] = own.reshape(-1, config.num_kv_heads, config.head_dim)
            start += len(own)
        yield ("attn", "kv_einsum", "w"), a, b
