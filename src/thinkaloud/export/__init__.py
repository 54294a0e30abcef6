"""A stage of a run -> what other programs load. Every export is one folder, which appears whole or not at all.

    bundle.py           the stage's weights, adapter and contract; the merge, in float32
    card.py             README.md: how it did, how to use it, whose licences
    hf.py               merged safetensors, for transformers and vLLM
    tunix.py            the same for Tunix, and the adapter as Qwix has it
    peft.py             the adapter alone, for `peft` and vLLM on the stock base
    gguf.py             one file for llama.cpp
    gguf_metadata.py    the model's shape as GGUF has it
    gguf_vocabulary.py  the tokenizer as GGUF has it
    build.py            all of it in one call

To add a format: a function (bundle, dtype, folder) that fills the folder, and its row in `build.FORMATS`.
"""

from thinkaloud.export.build import FORMATS, Exported, export_run

__all__ = ["FORMATS", "Exported", "export_run"]
