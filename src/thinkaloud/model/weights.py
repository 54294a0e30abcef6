"""Weights in and out, as numpy arrays in the layout of `thinkaloud.model.layout`.

Loading fills preallocated stacked arrays a block of rows at a time, so that the peak stays near the final size. Every
tensor is accounted for: missing, unexpected, of another shape, or not finite is one line that names it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import read_gguf_header
from thinkaloud.fetch.models import ModelFiles
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.gguf_config import config_from_gguf
from thinkaloud.model.gguf_reader import GGUFTensors
from thinkaloud.model.layout import Parameter, parameters
from thinkaloud.model.merge import merge_in_place
from thinkaloud.model.orbax_reader import OrbaxTensors
from thinkaloud.model.peft_reader import read_peft
from thinkaloud.model.safetensors_reader import SafetensorsTensors
from thinkaloud.seeding import derive_seed
from thinkaloud.storage.staging import staging

SHARD_BYTES = 4 << 30

Tensors = GGUFTensors | OrbaxTensors | SafetensorsTensors
"""Where weights are read from."""


def load_config(files: ModelFiles) -> ModelConfig:
    """The model's configuration alone, without its weights; raises `UserError` as `load_checkpoint` does."""
    if files.kind == "tiny":
        return tiny_config()
    if files.kind == "gguf":
        return config_from_gguf(read_gguf_header(files.weights[0]))
    assert files.directory is not None
    if files.kind == "orbax":
        return OrbaxTensors(files.directory).config()
    return _read_config(files.directory / "config.json")


def _read_config(path: Path) -> ModelConfig:
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; fetch the model again") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path}: expected a JSON object; fetch the model again")
    return ModelConfig.from_hf(fields)


def load_checkpoint(files: ModelFiles, dtype: Any = np.float32) -> tuple[ModelConfig, dict[str, Any]]:
    """The configuration and the parameters of a model, its adapter merged in where it has one.

    Args:
        files: from `thinkaloud.fetch.models.resolve_model`; for `tiny`, the parameters are random, always the same.
        dtype: of the arrays: `np.float32`, or `ml_dtypes.bfloat16`.

    Returns:
        (configuration, tree of numpy arrays).

    Raises:
        UserError: one line for a truncated or corrupt file, an unsupported model, or a tensor that does not belong.
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
    elif files.kind == "orbax":
        assert files.directory is not None
        source = OrbaxTensors(files.directory)
        config = source.config()
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
    """Every tensor that should be there is, in its shape, and no other; a tied head may be stored, if it is a copy."""
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
                "it to false in config.json if the head is its own"
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


def random_params(config: ModelConfig, seed: int) -> dict[str, Any]:
    """Random float32 parameters: matrices normal with variance 1 / fan-in, norms that multiply by 1, biases 0.

    Embeddings have variance 1 / hidden size, so that after Gemma's scaling, and as logits, they are near unit scale.
    """
    params: dict[str, Any] = {"layers": {}}
    for leaf in parameters(config):
        shape = (config.num_layers, *leaf.shape) if leaf.stacked else leaf.shape
        name = leaf.path[-1]
        if name.endswith("norm"):
            array = np.full(shape, 0.0 if config.norm_plus_one else 1.0, np.float32)
        elif name.endswith("bias"):
            array = np.zeros(shape, np.float32)
        else:
            fan_in = config.hidden_size if name == "embed" else shape[-2]
            generator = np.random.default_rng(derive_seed(seed, "params", name))
            array = generator.standard_normal(shape, np.float32) * np.float32(fan_in**-0.5)
        (params["layers"] if leaf.stacked else params)[name] = array
    return params


def save_hf(
    config: ModelConfig,
    params: dict[str, Any],
    tokenizer_files: Mapping[str, str],
    directory: Path,
    *,
    dtype: Any = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a directory as `fill_hf` does; it appears whole or not at all.

    Args:
        directory: must not exist, or be empty.

    Raises:
        UserError: the directory is in the way, or cannot be written.
    """
    with new_folder(directory) as temporary:
        fill_hf(config, params, tokenizer_files, temporary, dtype=dtype, extra=extra)


def fill_hf(
    config: ModelConfig,
    params: dict[str, Any],
    tokenizer_files: Mapping[str, str],
    folder: Path,
    *,
    dtype: Any = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Fill an empty folder with what transformers (4.50 and newer) loads: safetensors, `config.json`, tokenizer files.

    Args:
        config: the model's shape.
        params: the tree, of numpy or JAX arrays, float32 or bfloat16.
        tokenizer_files: file name to text, as `Tokenizer.files()` gives them; more text files may be added.
        folder: to fill.
        dtype: to store in another dtype than that of the arrays.
        extra: further fields of `config.json`, such as `eos_token_id`.

    Raises:
        OSError: it cannot be written.
    """
    from safetensors.numpy import save_file

    shards = list(_shards(config, params, dtype))
    weight_map: dict[str, str] = {}
    for number, tensors in enumerate(shards, start=1):
        name = "model.safetensors"
        if len(shards) > 1:
            name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        arrays = {key: np.ascontiguousarray(make()) for key, make in tensors.items()}
        weight_map.update(dict.fromkeys(arrays, name))
        stored = next(iter(arrays.values())).dtype.name
        save_file(arrays, folder / name, metadata={"format": "pt"})
    if len(shards) > 1:
        _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    _write_json(folder / "config.json", {**config.to_hf(), "torch_dtype": stored, **(extra or {})})
    for name, text in tokenizer_files.items():
        (folder / name).write_text(text, "utf-8")


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """A temporary folder to fill, renamed to `directory` in the end: it appears whole or not at all.

    Raises:
        UserError: the directory is in the way, or cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"cannot write the model to {directory}: it exists; remove it or choose another place")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with staging(directory) as temporary:
            yield temporary
            os.replace(temporary, directory)
    except OSError as error:
        raise UserError(f"cannot write the model to {directory}: {error.strerror or error}") from error


def _shards(config: ModelConfig, params: dict[str, Any], dtype: Any) -> Iterator[dict[str, Callable[[], np.ndarray]]]:
    """Tensor names to makers of arrays, split so that no file (and no copy in memory) is much above `SHARD_BYTES`."""
    shard: dict[str, Callable[[], np.ndarray]] = {}
    size = 0
    for leaf in parameters(config):
        array = params["layers"][leaf.path[1]] if leaf.stacked else params[leaf.path[0]]
        shape = (config.num_layers, *leaf.shape) if leaf.stacked else leaf.shape
        assert tuple(array.shape) == shape, f"{'/'.join(leaf.path)}: expected {shape}, found {tuple(array.shape)}"
        item = np.dtype(dtype or array.dtype)
        for layer in range(config.num_layers) if leaf.stacked else (None,):
            bytes_here = item.itemsize * int(np.prod(leaf.shape))
            if shard and size + bytes_here > SHARD_BYTES:
                yield shard
                shard, size = {}, 0
            shard[leaf.hf.format(layer)] = partial(_stored, array, layer, leaf.transposed, item)
            size += bytes_here
    yield shard


def _stored(array: Any, layer: int | None, transposed: bool, dtype: Any) -> np.ndarray:
    host = np.asarray(array if layer is None else array[layer])
    return (host.T if transposed else host).astype(dtype, copy=False)


def _cast(tree: dict[str, Any], dtype: Any) -> dict[str, Any]:
    return {
        key: _cast(leaf, dtype) if isinstance(leaf, dict) else leaf.astype(dtype, copy=False)
        for key, leaf in tree.items()
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
