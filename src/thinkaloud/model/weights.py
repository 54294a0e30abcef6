"""Weights of a model, read as numpy arrays in the layout of `thinkaloud.model.layout`.

Loading fills preallocated stacked arrays a block of rows at a time, so peak memory stays near the final size. A tensor
that is missing, unexpected, of another shape or not finite is an error that names it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import read_gguf_header
from thinkaloud.fetch.models import ModelFiles
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.gguf_config import config_from_gguf
from thinkaloud.model.gguf_reader import GGUFTensors
from thinkaloud.model.hf_config import read_hf_config
from thinkaloud.model.layout import Parameter, parameters
from thinkaloud.model.merge import merge_in_place
from thinkaloud.model.peft_reader import read_peft
from thinkaloud.model.random_weights import random_params
from thinkaloud.model.safetensors_reader import SafetensorsTensors

Tensors = GGUFTensors | SafetensorsTensors


def load_config(files: ModelFiles) -> ModelConfig:
    """The configuration of a model, without its weights; raises UserError as `load_checkpoint` does."""
    if files.kind == "tiny":
        return tiny_config()
    if files.kind == "gguf":
        return config_from_gguf(read_gguf_header(files.weights[0]))
    assert files.directory is not None
    path = files.directory / "config.json"
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch the model again") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path}: expected a JSON object; fetch the model again")
    return read_hf_config(fields)


def load_checkpoint(files: ModelFiles, dtype: Any = np.float32) -> tuple[ModelConfig, dict[str, Any]]:
    """The configuration and the parameters of a model, its adapter merged in where it has one.

    Args:
        files: From `thinkaloud.fetch.models.resolve_model`; the parameters of `tiny` are random, always the same.
        dtype: Of the arrays: `np.float32`, `np.float16` or `ml_dtypes.bfloat16`.

    Returns:
        (configuration, tree of numpy arrays).

    Raises:
        UserError: A file is truncated or corrupt, the model is not supported, or a tensor does not belong to it.
    """
    config, params = _load_base(files, dtype)
    if files.adapter is not None:
        merge_in_place(params, read_peft(files.adapter, config), scale=1.0)
    return config, params


def _load_base(files: ModelFiles, dtype: Any) -> tuple[ModelConfig, dict[str, Any]]:
    if files.kind == "tiny":
        config = tiny_config()
        return config, _cast(random_params(config, seed=0), dtype)
    source: Tensors
    if files.kind == "gguf":
        header = read_gguf_header(files.weights[0])
        config = config_from_gguf(header)
        source = GGUFTensors(header, config)
    else:
        config = load_config(files)
        source = SafetensorsTensors(files.weights)
    leaves = parameters(config)
    _account(source, leaves, config)
    params: dict[str, Any] = {"layers": {}}
    for leaf in leaves:
        layers = config.num_layers if leaf.stacked else 1
        array = np.empty((layers, *leaf.shape), dtype)
        for layer in range(layers):
            _fill(array[layer], source, source.name_of(leaf, layer), leaf)
        if leaf.stacked:
            params["layers"][leaf.path[1]] = array
        else:
            params[leaf.path[0]] = array[0]
    return config, params


def _account(source: Tensors, leaves: list[Parameter], config: ModelConfig) -> None:
    """Check the names and shapes of all tensors. A tied head may be stored too, if it equals the embeddings."""
    expected = {
        source.name_of(leaf, layer): leaf
        for leaf in leaves
        for layer in range(config.num_layers if leaf.stacked else 1)
    }
    found = source.names()
    if missing := sorted(set(expected) - found):
        raise UserError(
            f"{source.path}: {len(missing)} of {len(expected)} tensors are missing, the first {missing[0]!r}"
        )
    extra = found - set(expected)
    if config.tie_embeddings and "lm_head.weight" in extra:
        embedding = leaves[0]
        pairs = zip(source.blocks("lm_head.weight", embedding), source.blocks(embedding.hf, embedding), strict=False)
        if source.shape("lm_head.weight") != embedding.shape or any((a != b).any() for (_, a), (_, b) in pairs):
            raise UserError(
                f"{source.path}: lm_head.weight differs from the embeddings, but tie_word_embeddings is true: set "
                "it to false in config.json if the head has its own weights"
            )
        extra.remove("lm_head.weight")
    if extra:
        raise UserError(f"{source.path}: {len(extra)} unexpected tensors, the first {min(extra)!r}")
    for name, leaf in expected.items():
        if (shape := source.shape(name)) != leaf.stored_shape:
            raise UserError(f"{source.path}: tensor {name}: expected shape {leaf.stored_shape}, found {shape}")


def _fill(target: np.ndarray, source: Tensors, name: str, leaf: Parameter) -> None:
    for start, block in source.blocks(name, leaf):
        if not np.isfinite(block).all():
            raise UserError(f"{source.path}: tensor {name} holds values that are not finite; fetch the model again")
        stop = start + block.shape[0]
        if leaf.transposed:
            target[:, start:stop] = block.T
        else:
            target[start:stop] = block


def _cast(tree: dict[str, Any], dtype: Any) -> dict[str, Any]:
    return {
        key: _cast(leaf, dtype) if isinstance(leaf, dict) else leaf.astype(dtype, copy=False)
        for key, leaf in tree.items()
    }
