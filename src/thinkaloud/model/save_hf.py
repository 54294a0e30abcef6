"""Model weights out: a directory that transformers loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.model.config import ModelConfig
from thinkaloud.model.hf_config import write_hf_config
from thinkaloud.model.layout import parameters
from thinkaloud.storage.atomic import write_json
from thinkaloud.storage.staging import new_folder

SHARD_BYTES = 4 << 30


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
        directory: Must not exist, or be empty.

    Raises:
        UserError: The directory is not empty, or cannot be written.
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
        config: The configuration to write.
        params: The tree, of numpy or JAX arrays, float32 or bfloat16.
        tokenizer_files: Text by file name, as `Tokenizer.files()` returns it; other text files may be added.
        folder: The folder to fill.
        dtype: To store, if not that of the arrays.
        extra: Further fields of `config.json`, such as `eos_token_id`.

    Raises:
        OSError: It cannot be written.
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
        write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map}, indent=2)
    fields = {**write_hf_config(config), "torch_dtype": stored, **(extra or {})}
    write_json(folder / "config.json", fields, indent=2)
    for name, text in tokenizer_files.items():
        (folder / name).write_text(text, "utf-8")


def _shards(config: ModelConfig, params: dict[str, Any], dtype: Any) -> Iterator[dict[str, Callable[[], np.ndarray]]]:
    """Functions that make the arrays, by tensor name, in shards of about `SHARD_BYTES`: no larger copy is in memory."""
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
