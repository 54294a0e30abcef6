"""The adapter alone, in the layout of Hugging Face's `peft`, which vLLM reads too; it applies to the stock base model.

Source: peft's `LoraConfig` and `save_pretrained`; A is [rank, in] and B is [out, rank], the product scaled by
lora_alpha / r. The export of a run that started from an adapter (`model.adapter`) contains both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.export.bundle import Bundle
from thinkaloud.export.card import model_card, stock_base
from thinkaloud.model.layout import parameters


def write_peft(bundle: Bundle, dtype: str, folder: Path) -> None:
    """Fill an empty folder: `adapter_config.json`, `adapter_model.safetensors`, tokenizer, contract and card.

    Args:
        dtype: `float32`, as adapters are trained.

    Raises:
        UserError: The stage has no adapter.
    """
    from safetensors.numpy import save_file

    assert dtype == "float32", dtype
    if not bundle.onto_stock[0]:
        raise UserError("the base has no adapter to export; choose --stage trained or cold_start, or --format hf")
    save_file(peft_tensors(bundle), folder / "adapter_model.safetensors", metadata={"format": "pt"})
    texts = {
        **bundle.tokenizer_files,
        "adapter_config.json": json.dumps(peft_config(bundle), indent=2) + "\n",
        "contract.json": bundle.contract_text(),
        "README.md": model_card(bundle, "peft", dtype),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def peft_config(bundle: Bundle) -> dict[str, Any]:
    """The fields of `adapter_config.json`."""
    adapter, alpha = bundle.onto_stock
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": stock_base(bundle),
        "r": next(iter(adapter.values()))["a"].shape[-1],
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": 0.0,
        "target_modules": [f"{target}_proj" for target in adapter],
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
    }


def peft_tensors(bundle: Bundle) -> dict[str, np.ndarray]:
    """The adapter under peft's names, float32."""
    adapter, found = bundle.onto_stock[0], {}
    for leaf in parameters(bundle.config):
        pair = adapter.get(leaf.path[-1])
        if pair is None or not leaf.stacked:
            continue
        for layer in range(bundle.config.num_layers):
            name = "base_model.model." + leaf.hf.format(layer).removesuffix(".weight")
            found[f"{name}.lora_A.weight"] = np.ascontiguousarray(pair["a"][layer].T)
            found[f"{name}.lora_B.weight"] = np.ascontiguousarray(pair["b"][layer].T)
    return found
