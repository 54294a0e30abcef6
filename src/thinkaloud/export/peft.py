"""The adapter alone, in the layout of Hugging Face's `peft`, which vLLM reads too; it applies to the stock base model.

The export of a run that started from an adapter (`model.adapter`) contains both.
"""

from __future__ import annotations

from pathlib import Path

from thinkaloud.errors import UserError
from thinkaloud.export.bundle import Bundle
from thinkaloud.export.card import model_card, stock_base
from thinkaloud.model.peft_writer import write_adapter


def write_peft(bundle: Bundle, dtype: str, folder: Path) -> None:
    """Fill an empty folder: `adapter_config.json`, `adapter_model.safetensors`, tokenizer, contract and card.

    Args:
        dtype: `float32`, as adapters are trained.

    Raises:
        UserError: The stage has no adapter.
    """
    assert dtype == "float32", dtype
    adapter, alpha = bundle.onto_stock
    if not adapter:
        raise UserError("the base has no adapter to export; choose --stage trained or cold_start, or --format hf")
    write_adapter(folder, adapter, bundle.config, alpha=alpha, base=stock_base(bundle))
    texts = {
        **bundle.tokenizer_files,
        "contract.json": bundle.contract_text(),
        "README.md": model_card(bundle, "peft", dtype),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
