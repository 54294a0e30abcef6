"""Read tensors from safetensors files in blocks of rows, under the names of a text-only model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.model.layout import Parameter

BLOCK_ELEMENTS = 1 << 22

FLOATS = ("F64", "F32", "F16", "BF16")


class SafetensorsTensors:
    """The tensors of a Hugging Face directory, from one file or several shards, memory-mapped."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = files[0].parent
        self._where: dict[str, tuple[Any, str]] = {}
        for file in files:
            try:
                opened: Any = safe_open(file, framework="numpy")
            except (SafetensorError, OSError) as error:
                raise UserError(f"{file} is not a whole safetensors file: {error}; fetch it again") from error
            for stored in opened.keys():  # noqa: SIM118 (not a mapping)
                if (name := _text_name(stored)) is not None:
                    if name in self._where:
                        raise UserError(f"model directory {self.path}: tensor {name} occurs twice; fetch it again")
                    self._where[name] = (opened, stored)

    def names(self) -> set[str]:
        """The names of all tensors that hold parameters of the text model."""
        return set(self._where)

    def name_of(self, leaf: Parameter, layer: int) -> str:
        """The name of a layer's parameter in these files."""
        return leaf.hf.format(layer)

    def shape(self, name: str) -> tuple[int, ...]:
        """The stored shape."""
        opened, stored = self._where[name]
        return tuple(opened.get_slice(stored).get_shape())

    def blocks(self, name: str, leaf: Parameter) -> Iterator[tuple[int, np.ndarray]]:
        """Consecutive rows as (index of the first, array in the stored dtype).

        Raises:
            UserError: The tensor does not have a floating-point type.
        """
        opened, stored = self._where[name]
        view = opened.get_slice(stored)
        if (dtype := view.get_dtype()) not in FLOATS:
            raise UserError(
                f"{self.path}: tensor {name} is {dtype}, which is not supported: expected {', '.join(FLOATS)}"
            )
        shape = view.get_shape()
        if len(shape) != 2:
            yield 0, opened.get_tensor(stored)
            return
        rows_per_block = max(1, BLOCK_ELEMENTS // max(shape[1], 1))
        for start in range(0, shape[0], rows_per_block):
            yield start, view[start : min(start + rows_per_block, shape[0])]


def _text_name(name: str) -> str | None:
    """The name without a multimodal model's prefix; None if it is not a parameter of the text model."""
    if name.endswith("rotary_emb.inv_freq") or "vision_tower." in name or "multi_modal_projector." in name:
        return None
    return name.removeprefix("language_model.").replace("model.language_model.", "model.", 1)
