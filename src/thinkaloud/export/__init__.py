"""Exports: a stage of a run in formats that other programs load. Each export is one folder, written atomically.

    bundle.py           the stage's weights, adapter and contract; the float32 merge
    card.py             README.md: results, usage, licences
    hf.py               merged safetensors, for transformers and vLLM
    tunix.py            the same for Tunix, and the adapter in Qwix's layout
    peft.py             the adapter alone, for `peft` and vLLM on the stock base
    gguf.py             one file for llama.cpp
    gguf_metadata.py    the model's shape as GGUF metadata
    gguf_vocabulary.py  the tokenizer as GGUF metadata
    build.py            exports a stage in one call

To add a format: a function (bundle, dtype, folder) that fills the folder, and its row in `build.FORMATS`.
"""

from thinkaloud.export.build import FORMATS, Exported, export_run

__all__ = ["FORMATS", "Exported", "export_run"]
