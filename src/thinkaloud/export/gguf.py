"""One GGUF file for llama.cpp: merged weights, tokenizer, chat template, stop tokens.

llama.cpp's conventions differ from Hugging Face's in two places, see `model/gguf_reader.py`: Gemma's norm weights have
1 added, and the rows of Llama's query and key projections are interleaved.

Source: the GGUF specification, version 3 (ggml, docs/gguf.md); llama.cpp's `convert_hf_to_gguf.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.export.bundle import Bundle
from thinkaloud.export.card import model_card, stock_base
from thinkaloud.export.gguf_metadata import shape_metadata
from thinkaloud.export.gguf_vocabulary import vocabulary_metadata
from thinkaloud.fetch.gguf_header import GGUFHeader, TensorInfo
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.gguf_config import config_from_gguf, llama3_divisors
from thinkaloud.model.layout import Parameter, parameters

KINDS = {"float16": "F16", "q8_0": "Q8_0", "bfloat16": "BF16", "float32": "F32"}
"""Our dtypes to GGML's types. Vectors are always F32, as in llama.cpp's own files."""

FILE_TYPES = {"float32": 0, "float16": 1, "q8_0": 7, "bfloat16": 32}
"""`general.file_type` (llama.cpp's `llama_ftype`)."""

ROPE = Parameter(("rope",), (0,), "", "rope_freqs.weight", False)


def write_gguf(bundle: Bundle, dtype: str, folder: Path) -> None:
    """Fill an empty folder: NAME-DTYPE.gguf, contract and card.

    Args:
        dtype: Of the matrices, a key of `KINDS`; rows whose length is not a multiple of 32 are F16 instead of Q8_0.

    Raises:
        UserError: GGUF cannot represent this model or its tokenizer, a weight is too large for the dtype, or the base
            model's files are damaged.
    """
    from gguf import GGUFWriter

    config = bundle.config
    metadata = {**shape_metadata(config), **vocabulary_metadata(bundle)}
    table = [(leaf.gguf.format(layer or 0), leaf, layer, _kind(leaf, dtype)) for leaf, layer in _places(config)]
    _require_same(config, metadata, table)
    params = bundle.merged()
    writer = GGUFWriter(folder / f"{bundle.recipe.name}-{dtype}.gguf", config.family)
    writer.add_type("model")
    writer.add_name(f"{bundle.recipe.name} ({bundle.stage})")
    writer.add_license(bundle.files.license)
    writer.add_description(f"{stock_base(bundle)} after thinkaloud; send the bare question as the user message")
    writer.add_file_type(FILE_TYPES[dtype])
    writer.add_quantization_version(2)
    for key, value in metadata.items():
        _add(writer, key, value)
    for name, leaf, _, kind in table:
        shape = _stored_shape(leaf, config)
        writer.add_tensor_info(name, shape, np.dtype(np.float32), _bytes(shape, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, leaf, layer, kind in table:
        writer.write_tensor_data(_encoded(name, _stored(config, params, leaf, layer), kind))
    writer.close()
    (folder / "contract.json").write_text(bundle.contract_text(), "utf-8")
    (folder / "README.md").write_text(model_card(bundle, "gguf", dtype), "utf-8")


def _places(config: ModelConfig) -> Iterator[tuple[Parameter, int | None]]:
    """Every tensor of the file: a parameter and its layer, None outside the layers."""
    if config.rope_scaling is not None and config.rope_scaling.kind == "llama3":
        yield ROPE, None
    for leaf in parameters(config):
        for layer in range(config.num_layers) if leaf.stacked else (None,):
            yield leaf, layer


def _stored_shape(leaf: Parameter, config: ModelConfig) -> tuple[int, ...]:
    return (config.head_dim // 2,) if leaf is ROPE else leaf.stored_shape


def _kind(leaf: Parameter, dtype: str) -> Any:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    if len(leaf.shape) == 1:
        return GGMLQuantizationType.F32
    kind = GGMLQuantizationType[KINDS[dtype]]
    return kind if leaf.stored_shape[-1] % GGML_QUANT_SIZES[kind][0] == 0 else GGMLQuantizationType.F16


def _bytes(shape: tuple[int, ...], kind: Any) -> int:
    from gguf.constants import GGML_QUANT_SIZES

    per_block, block_bytes = GGML_QUANT_SIZES[kind]
    return math.prod(shape) // per_block * block_bytes


def _stored(config: ModelConfig, params: dict[str, Any], leaf: Parameter, layer: int | None) -> np.ndarray:
    """One tensor as float32 in llama.cpp's conventions, [out, in] where it is a matrix."""
    if leaf is ROPE:
        assert config.rope_scaling is not None
        return llama3_divisors(config.rope_scaling, config.rope_theta, config.head_dim).astype(np.float32)
    array = params["layers"][leaf.path[1]][layer] if leaf.stacked else params[leaf.path[0]]
    array = array.T if leaf.transposed else array
    if config.norm_plus_one and leaf.path[-1].endswith("norm"):
        return array + np.float32(1.0)
    if config.family == "llama" and leaf.path[-1] in ("q", "k"):
        heads, width = len(array) // config.head_dim, array.shape[1]
        return array.reshape(heads, 2, config.head_dim // 2, width).swapaxes(1, 2).reshape(array.shape)
    return array


def _encoded(name: str, array: np.ndarray, kind: Any) -> np.ndarray:
    from gguf.quants import dequantize, quantize

    with np.errstate(all="ignore"):  # values that are not finite are rejected below
        stored = quantize(np.ascontiguousarray(array), kind)
        if not np.isfinite(dequantize(stored, kind)).all():
            raise UserError(f"tensor {name} holds values too large for {kind.name}; choose --dtype bfloat16")
    return np.asarray(stored)


def _require_same(config: ModelConfig, metadata: dict[str, Any], table: list[Any]) -> None:
    """Raise UserError unless reading the metadata back gives the same model."""
    names = {name: TensorInfo(_stored_shape(leaf, config), 0, 0) for name, leaf, _, _ in table if leaf is not ROPE}
    plain = {key: value for key, value in metadata.items() if not key.startswith("tokenizer.")}
    header = GGUFHeader(
        path=Path("the export"),
        metadata={"general.architecture": config.family, **plain},
        tensors=names,
        file_size=0,
    )
    wanted = dataclasses.asdict(config)
    if config.rope_scaling is not None and config.rope_scaling.kind == "llama3":
        wanted["rope_scaling"] = None  # stored as a tensor
    found = dataclasses.asdict(config_from_gguf(header))
    if differ := [key for key in wanted if wanted[key] != found[key]]:
        key = differ[0]
        raise UserError(
            f"GGUF cannot represent this model's {key} = {wanted[key]} (it would be read as {found[key]}); export hf"
        )


def _add(writer: Any, key: str, value: Any) -> None:
    from gguf.constants import GGUFValueType

    if isinstance(value, list):
        writer.add_array(key, value)
        return
    kinds = {bool: GGUFValueType.BOOL, int: GGUFValueType.UINT32, float: GGUFValueType.FLOAT32}
    writer.add_key_value(key, value, kinds.get(type(value), GGUFValueType.STRING))
