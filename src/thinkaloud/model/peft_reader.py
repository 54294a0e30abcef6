"""Read a LoRA adapter in the format of Hugging Face's `peft`, which Unsloth and TRL write too.

Anything beyond plain LoRA (DoRA, trained embeddings, biases, replicated layers) is an error that names it, so an
adapter computes the same as in `peft`. Rank and alpha may differ between modules.

Source: peft 0.21's `LoraConfig`, `LoraModel` (patterns) and `get_peft_model_state_dict`; rsLoRA is arXiv 2312.03732.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import Parameter, parameters
from thinkaloud.model.merge import Pairs
from thinkaloud.model.safetensors_reader import SafetensorsTensors

_USED = ("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "bias", "init_lora_weights")
_WITHOUT_EFFECT = (
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "lora_dropout", "megatron_core"),
    *("qalora_group_size", "eva_config", "corda_config", "lora_ga_config", "loftq_config", "runtime_config"),
    *("ensure_weight_tying", "unsloth_fixed"),
)
"""Fields about how the adapter was trained, or where; its modules are taken from the tensors."""
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Initialisations that do not change the base; PiSSA, OLoRA, CorDA and LoftQ do."""


def read_peft(weights: Path, config: ModelConfig) -> Pairs:
    """The adapter in the layout of `model/lora.py`, with its scale in B: it adds A B to a matrix.

    Smaller ranks are padded with zeros to the largest.

    Args:
        weights: `adapter_model.safetensors`, with `adapter_config.json` beside it.
        config: Of the base model.

    Raises:
        UserError: A file is damaged, the adapter is not a plain LoRA, or it belongs to another model.
    """
    fields = _read_fields(weights.parent / "adapter_config.json")
    source, where = SafetensorsTensors((weights,)), weights.parent
    left = source.names()
    found: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
    modules = []
    for leaf in parameters(config):
        if not (leaf.stacked and leaf.transposed):
            continue
        for layer in range(config.num_layers):
            module = leaf.hf.format(layer).removesuffix(".weight")
            names = [f"base_model.model.{module}.lora_{half}.weight" for half in "AB"]
            if not left.intersection(names):
                continue
            if missing := [name for name in names if name not in left]:
                raise UserError(f"adapter {where}: expected {missing[0]!r} beside the other half, found none")
            left.difference_update(names)
            modules.append(module)
            a, b = (_tensor(source, name, leaf) for name in names)
            rank = _by_pattern(fields["rank_pattern"], module, fields["r"])
            if a.shape != (rank, leaf.shape[0]) or b.shape != (leaf.shape[1], rank):
                raise UserError(
                    f"adapter {where}: {module}: expected A {(rank, leaf.shape[0])} and B {(leaf.shape[1], rank)}, "
                    f"found {a.shape} and {b.shape}; the adapter or its adapter_config.json belongs to another model"
                )
            alpha = _by_pattern(fields["alpha_pattern"], module, fields["lora_alpha"])
            scale = alpha / (math.sqrt(rank) if fields["use_rslora"] else rank)
            found.setdefault(leaf.path[1], {})[layer] = a.T, np.float32(scale) * b.T
    if left or not found:
        what = f"also {len(left)} tensors, the first {min(left)!r}" if left else "none"
        raise UserError(
            f"adapter {where}: expected pairs lora_A and lora_B of the attention and MLP projections of this model's "
            f"{config.num_layers} layers, found {what}; {_FIX}"
        )
    for key in (*fields["rank_pattern"], *fields["alpha_pattern"]):
        if not any(_matches(key, module) for module in modules):
            raise UserError(f"adapter {where}: a pattern names {key!r}, which matches none of its modules")
    return {target: _stack(own, config.num_layers) for target, own in found.items()}


_FIX = "merge it with peft (merge_and_unload) and use the merged model as model.source"


def _read_fields(path: Path) -> dict[str, Any]:
    """The fields that are used, checked; raises UserError for one that is not supported."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        assert isinstance(stored, dict), "expected a JSON object"
        fields: dict[str, Any] = {
            "r": int(stored["r"]),
            "lora_alpha": float(stored["lora_alpha"]),
            "use_rslora": bool(stored.get("use_rslora")),
            "rank_pattern": {str(k): int(v) for k, v in (stored.get("rank_pattern") or {}).items()},
            "alpha_pattern": {str(k): float(v) for k, v in (stored.get("alpha_pattern") or {}).items()},
        }
        for key in (*fields["rank_pattern"], *fields["alpha_pattern"]):
            re.compile(key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, re.error) as error:
        raise UserError(
            f"{path} is not the configuration of a LoRA adapter: {type(error).__name__}: {error}"
        ) from error
    refused = {key: value for key, value in stored.items() if value and key not in (*_USED, *_WITHOUT_EFFECT)}
    for key, plain in (("peft_type", ("LORA",)), ("bias", (None, "none")), ("init_lora_weights", _PLAIN_STARTS)):
        if stored.get(key) not in plain:
            refused[key] = stored.get(key)
    for key, value in refused.items():
        raise UserError(f"{path}: {key} = {json.dumps(value)[:80]} is not supported: expected a plain LoRA; {_FIX}")
    return fields


def _matches(key: str, module: str) -> bool:
    return re.match(rf"(.*\.)?({key})$", module) is not None


def _by_pattern(patterns: dict[str, Any], module: str, usual: Any) -> Any:
    """The value of the first matching pattern, as `peft.utils.get_pattern_key` finds it."""
    return next((value for key, value in patterns.items() if _matches(key, module)), usual)


def _tensor(source: SafetensorsTensors, name: str, leaf: Parameter) -> np.ndarray:
    """A whole tensor as float32; raises UserError if it is not finite."""
    array = np.concatenate([block for _, block in source.blocks(name, leaf)]).astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"adapter {source.path}: {name} holds values that are not finite")
    return array


def _stack(layers: dict[int, tuple[np.ndarray, np.ndarray]], num_layers: int) -> dict[str, np.ndarray]:
    """Pairs [in, rank] and [rank, out] by layer, stacked; zeros for layers without one."""
    rank = max(a.shape[1] for a, _ in layers.values())
    first_a, first_b = next(iter(layers.values()))
    stacked_a = np.zeros((num_layers, first_a.shape[0], rank), np.float32)
    stacked_b = np.zeros((num_layers, rank, first_b.shape[1]), np.float32)
    for layer, (a, b) in layers.items():
        stacked_a[layer, :, : a.shape[1]] = a
        stacked_b[layer, : b.shape[0]] = b
    return {"a": stacked_a, "b": stacked_b}
