"""Merged weights in Hugging Face's layout: transformers and vLLM load the folder, and Tunix reads its safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from thinkaloud.export.bundle import Bundle
from thinkaloud.export.card import model_card
from thinkaloud.model.save_hf import fill_hf

DTYPES: dict[str, Any] = {"bfloat16": ml_dtypes.bfloat16, "float32": np.float32}


def write_hf(bundle: Bundle, dtype: str, folder: Path, *, format: str = "hf") -> None:
    """Fill an empty folder: weights, `config.json`, tokenizer, `generation_config.json`, contract and card.

    Args:
        dtype: `bfloat16` or `float32`; the merge is computed in float32 and rounded once.
        format: The format's name on the card.

    Raises:
        UserError: The base model's files are damaged.
        OSError: The folder cannot be written.
    """
    texts = {
        **bundle.tokenizer_files,
        "generation_config.json": json.dumps(generation_config(bundle), indent=2) + "\n",
        "contract.json": bundle.contract_text(),
        "README.md": model_card(bundle, format, dtype),
    }
    token_ids = {f"{role}_token_id": index for role, index in bundle.special_ids.items() if role in ("bos", "pad")}
    extra = {**token_ids, "eos_token_id": list(bundle.contract.stop_ids)}
    fill_hf(bundle.config, bundle.merged(), texts, folder, dtype=DTYPES[dtype], extra=extra)


def generation_config(bundle: Bundle) -> dict[str, Any]:
    """Greedy decoding with the contract's stop tokens and the recipe's limit, as in `thinkaloud eval`."""
    ids = {f"{role}_token_id": index for role, index in bundle.special_ids.items() if role in ("bos", "pad")}
    return {
        **ids,
        "eos_token_id": list(bundle.contract.stop_ids),
        "do_sample": False,
        "max_new_tokens": bundle.recipe.evaluate.max_new_tokens or bundle.recipe.rollout.max_new_tokens,
    }
