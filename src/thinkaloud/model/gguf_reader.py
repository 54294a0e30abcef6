"""Read tensors from a GGUF file, dequantised to float32 in blocks of rows, in Hugging Face's conventions.

Two changes of llama.cpp's converter are undone here: it adds 1 to Gemma's norm weights, and it reorders the
rows of Llama's query and key projections, because ggml rotates adjacent pairs where Hugging Face rotates halves.

Source: llama.cpp's `convert_hf_to_gguf.py` (`Gemma3Model.modify_tensors`, `LlamaModel.permute`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import GGUFHeader, TensorInfo
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import Parameter

BLOCK_ELEMENTS = 1 << 22


class GGUFTensors:
    """The tensors of one GGUF file, memory-mapped. The constructor checks that each lies within the file.

    Raises:
        UserError: The file ends before one of its tensors does, or a tensor has an unknown type.
    """

    def __init__(self, header: GGUFHeader, config: ModelConfig) -> None:
        self.path: Path = header.path
        self._config = config
        self._tensors = {name: info for name, info in header.tensors.items() if name != "rope_freqs.weight"}
        self._size = header.file_size
        self._data = np.memmap(header.path, mode="r", dtype=np.uint8)
        for name, info in self._tensors.items():
            self._stored_rows(name, info)

    def names(self) -> set[str]:
        """The names of all tensors that hold parameters."""
        return set(self._tensors)

    def name_of(self, leaf: Parameter, layer: int) -> str:
        """The name of a layer's parameter in this file."""
        return leaf.gguf.format(layer)

    def shape(self, name: str) -> tuple[int, ...]:
        """The stored shape, slowest axis first."""
        return self._tensors[name].shape

    def blocks(self, name: str, leaf: Parameter) -> Iterator[tuple[int, np.ndarray]]:
        """Consecutive rows as (index of the first, float32 array), rows in Hugging Face's order.

        Raises:
            UserError: The `gguf` package cannot dequantise the tensor's type.
        """
        from gguf.quants import dequantize

        info = self._tensors[name]
        kind, stored = self._stored_rows(name, info)
        width = info.shape[-1]
        order = self._row_order(leaf, len(stored))
        rows_per_block = max(1, BLOCK_ELEMENTS // width)
        for start in range(0, len(stored), rows_per_block):
            stop = min(start + rows_per_block, len(stored))
            rows = stored[start:stop] if order is None else stored[order[start:stop]]
            try:
                with np.errstate(all="ignore"):  # values that are not finite are reported by name
                    block = np.asarray(dequantize(rows, kind), dtype=np.float32)
                    if self._config.norm_plus_one and leaf.path[-1].endswith("norm"):
                        block = block - 1.0
            except (NotImplementedError, ValueError) as error:
                raise UserError(
                    f"{self.path}: tensor {name} is stored as {kind.name}, which is not supported"
                ) from error
            yield (start, block) if len(info.shape) == 2 else (0, block.reshape(info.shape))

    def _stored_rows(self, name: str, info: TensorInfo) -> tuple[Any, np.ndarray]:
        """(GGML type, the quantised bytes as a uint8 row per row of the tensor)."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        try:
            kind = GGMLQuantizationType(info.kind)
            per_block, block_bytes = GGML_QUANT_SIZES[kind]
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{self.path}: tensor {name} is of GGML type {info.kind}, which is not supported"
            ) from error
        width, rows = info.shape[-1], math.prod(info.shape[:-1])
        if width % per_block:
            raise UserError(
                f"{self.path}: tensor {name} has rows of {width}, not a multiple of {per_block}; fetch it again"
            )
        row_bytes = width // per_block * block_bytes
        end = info.offset + rows * row_bytes
        if end > self._size:
            raise UserError(
                f"{self.path} is truncated: tensor {name} ends at byte {end:,} of {self._size:,}; fetch it again"
            )
        return kind, self._data[info.offset : end].reshape(rows, row_bytes)

    def _row_order(self, leaf: Parameter, rows: int) -> np.ndarray | None:
        """For Llama's queries and keys: the stored row for each row in Hugging Face's order."""
        if self._config.family != "llama" or leaf.path[-1] not in ("q", "k"):
            return None
        pairs = np.arange(rows).reshape(-1, self._config.head_dim // 2, 2)
        return pairs.swapaxes(1, 2).reshape(-1)
