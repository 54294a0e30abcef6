"""Write a LoRA adapter in the format of Hugging Face's `peft`, which vLLM reads too.

Source: peft's `LoraConfig` and `save_pretrained`; A is [rank, in] and B is [out, rank], the product scaled by
lora_alpha / r.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import parameters
from thinkaloud.model.lora import Adapter


def write_adapter(folder: Path, adapter: Adapter, config: ModelConfig, *, alpha: float, base: str) -> None:
    """Add `adapter_config.json` and `adapter_model.safetensors` to a folder.

    Args:
        adapter: Arrays on the host, float32; not empty.
        config: Of the base model.
        alpha: LoRA's alpha.
        base: The base's name for other programs.
    """
    from safetensors.numpy import save_file

    save_file(peft_tensors(adapter, config), folder / "adapter_model.safetensors", metadata={"format": "pt"})
    text = json.dumps(peft_config(adapter, alpha=alpha, base=base), indent=2) + "\n"
    (folder / "adapter_config.json").write_text(text, "utf-8")


def peft_config(adapter: Adapter, *, alpha: float, base: str) -> dict[str, Any]:
    """The fields of `adapter_config.json`."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": next(iter(adapter.values()))["a"].shape[-1],
        "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
        "lora_dropout": 0.0,
        "target_modules": [f"{target}_proj" for target in adapter],
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
    }


def peft_tensors(adapter: Adapter, config: ModelConfig) -> dict[str, np.ndarray]:
    """The adapter under peft's names, float32."""
    found = {}
    for leaf in parameters(config):
        pair = adapter.get(leaf.path[-1])
        if pair is None or not leaf.stacked:
            continue
        for layer in range(config.num_layers):
            name = "base_model.model." + leaf.hf.format(layer).removesuffix(".weight")
            found[f"{name}.lora_A.weight"] = np.ascontiguousarray(pair["a"][layer].T)
            found[f"{name}.lora_B.weight"] = np.ascontiguousarray(pair["b"][layer].T)
    return found
