"""Gemma 3 out of an Orbax checkpoint: what Kaggle has as Gemma's Flax variations, and what the `gemma` library saves.

Kaggle's tree is flat (`{"transformer/layer_0/attn/q_einsum": {"w": ...}}`), the library's own nested (`{"layer_0":
{"attn": {"q_einsum": {"w": ...}}}}`); both are read. Projections are stored by head, keys and values in one array, and
the MLP's gate and up too. There is no configuration beside them: sizes are those of the arrays, and what arrays do not
say is known of each of Gemma 3's releases.

Arrays are opened one after another: Orbax's own reader opens all at once, and where one is damaged the others print a
traceback each.

Source: gemma 3.3.0's `gm/ckpts/_checkpoint.py` (trees), `gm/nn/_gemma.py` (releases); Tunix 0.1.7's
`models/gemma3/params.py` (shapes).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig, RopeScaling
from thinkaloud.model.layout import Parameter

PATTERN = 6
"""Every sixth layer attends globally."""


@dataclass(frozen=True, slots=True)
class Release:
    """What the arrays of a release do not say."""

    sliding_window: int
    max_position: int
    rope_factor: float = 1.0
    scale_by_width: bool = False


RELEASES = {
    (18, 640): Release(512, 32_768),
    (26, 1152): Release(512, 32_768),
    (34, 2560): Release(1024, 131_072, 8.0),
    (48, 3840): Release(1024, 131_072, 8.0),
    (62, 5376): Release(1024, 131_072, 8.0, scale_by_width=True),
}
"""Gemma 3 270M, 1B, 4B, 12B and 27B, by (layers, hidden size). `scale_by_width`: queries are scaled by the hidden size
over the number of heads, and not by the head size."""


@dataclass(frozen=True, slots=True)
class Stored:
    """How a matrix is stored: the array's name, which of two it is in there, and the axes that make up [out, in]."""

    name: str
    axes: tuple[tuple[int, ...], ...]
    half: int | None = None

    @property
    def rank(self) -> int:
        """Axes of the array."""
        return sum(map(len, self.axes)) + (self.half is not None)


STORED = {
    "embed": Stored("embedder", ((0,), (1,))),
    "q": Stored("attn/q_einsum", ((0, 2), (1,))),  # [heads, in, size]
    "k": Stored("attn/kv_einsum", ((0, 2), (1,)), 0),  # [2, heads, in, size]
    "v": Stored("attn/kv_einsum", ((0, 2), (1,)), 1),
    "o": Stored("attn/attn_vec_einsum", ((2,), (0, 1))),  # [heads, size, out]
    "gate": Stored("mlp/gating_einsum", ((0,), (1,)), 0),  # [2, out, in]
    "up": Stored("mlp/gating_einsum", ((0,), (1,)), 1),
    "down": Stored("mlp/linear", ((1,), (0,))),  # [in, out]
    "q_norm": Stored("attn/_query_norm", ((0,),)),
    "k_norm": Stored("attn/_key_norm", ((0,),)),
    "attn_norm": Stored("pre_attention_norm", ((0,),)),
    "post_attn_norm": Stored("post_attention_norm", ((0,),)),
    "mlp_norm": Stored("pre_ffw_norm", ((0,),)),
    "post_mlp_norm": Stored("post_ffw_norm", ((0,),)),
    "final_norm": Stored("final_norm", ((0,),)),
}


class OrbaxTensors:
    """The arrays of one checkpoint; making it reads their names and shapes, each is read when it is asked for.

    Raises:
        UserError: the folder is not a whole checkpoint.
    """

    def __init__(self, directory: Path) -> None:
        import tensorstore

        self.path = directory
        context = tensorstore.Context()
        self._arrays: dict[str, Any] = {}
        try:
            stored = json.loads((directory / "_METADATA").read_text("utf-8"))
            for leaf in stored["tree_metadata"].values():
                keys = tuple(str(part["key"]) for part in leaf["key_metadata"])
                if (name := _name(keys)) is not None:
                    spec = _spec(directory, keys, zarr3=stored.get("use_zarr3", False))
                    self._arrays[name] = tensorstore.open(spec, context=context, open=True, read=True).result()
        except Exception as error:  # TensorStore raises what it likes for a damaged file
            raise self._damaged(error) from error

    def config(self) -> ModelConfig:
        """The configuration of the release that has these sizes.

        Raises:
            UserError: none has.
        """
        layers = len({name.split("/")[0] for name in self._arrays if name.startswith("layer_")})
        vocab, hidden = self._shape("embedder", 2)
        release = RELEASES.get((layers, hidden))
        if release is None:
            known = ", ".join(f"{depth} of width {width}" for depth, width in RELEASES)
            raise UserError(
                f"{self.path}: expected the layers of a Gemma 3 ({known}), found {layers} of width {hidden}; of other "
                "models give a Hugging Face directory"
            )
        heads, _, head_dim = self._shape("layer_0/attn/q_einsum", 3)
        flags = tuple((index + 1) % PATTERN != 0 for index in range(layers))
        factor = release.rope_factor
        return ModelConfig(
            family="gemma3",
            vocab_size=vocab,
            hidden_size=hidden,
            intermediate_size=self._shape("layer_0/mlp/gating_einsum", 3)[1],
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=self._shape("layer_0/attn/kv_einsum", 4)[1],
            head_dim=head_dim,
            norm_eps=1e-6,
            rope_theta=1e6,
            rope_local_theta=1e4,
            rope_scaling=RopeScaling(kind="linear", factor=factor) if factor != 1.0 else None,
            sliding_window=release.sliding_window,
            sliding_layers=flags,
            query_scale=(hidden // heads if release.scale_by_width else head_dim) ** -0.5,
            tie_embeddings=True,
            embedding_scale=math.sqrt(hidden),
            activation="gelu_tanh",
            norm_plus_one=True,
            sandwich_norms=True,
            qk_norm=True,
            attention_bias=False,
            max_position=release.max_position,
        )

    def names(self) -> set[str]:
        """The names of all arrays of the text model; one that holds two matrices counts as both."""
        halves = {stored.name for stored in STORED.values() if stored.half is not None}
        found = set()
        for name in self._arrays:
            both = name.partition("/")[2] in halves
            found |= {f"{name}[0]", f"{name}[1]"} if both else {name}
        return found

    def name_of(self, leaf: Parameter, layer: int) -> str:
        """What the checkpoint calls a parameter of a layer."""
        stored = STORED[leaf.path[-1]]
        name = f"layer_{layer}/{stored.name}" if leaf.stacked else stored.name
        return name if stored.half is None else f"{name}[{stored.half}]"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape as Hugging Face's files would have it, [out, in]."""
        array = name.partition("[")[0]
        stored = next(own for own in STORED.values() if own.name in (array, array.partition("/")[2]))
        lengths = self._shape(array, stored.rank)[stored.half is not None :]
        return tuple(math.prod(lengths[axis] for axis in group) for group in stored.axes)

    def blocks(self, name: str, leaf: Parameter) -> Iterator[tuple[int, np.ndarray]]:
        """The whole matrix, as (0, array [out, in] in the stored dtype).

        Raises:
            UserError: it cannot be read.
        """
        stored = STORED[leaf.path[-1]]
        array = self._read(name.partition("[")[0])
        if stored.half is not None:
            array = array[stored.half]
        axes = [axis for group in stored.axes for axis in group]
        yield 0, array.transpose(axes).reshape(self.shape(name))

    def _shape(self, name: str, rank: int) -> tuple[int, ...]:
        if name not in self._arrays:
            raise UserError(f"{self.path}: expected a checkpoint of Gemma 3, found one without {name}")
        shape = tuple(self._arrays[name].shape)
        if len(shape) != rank:
            raise UserError(f"{self.path}: {name}: expected an array of {rank} axes, found shape {shape}")
        return shape

    def _read(self, name: str) -> np.ndarray:
        try:
            return np.asarray(self._arrays[name].read().result())
        except Exception as error:  # as above
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> UserError:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        return UserError(f"{self.path} is not a whole Orbax checkpoint: {reason}; fetch it again")


def _spec(directory: Path, keys: tuple[str, ...], *, zarr3: bool) -> dict[str, Any]:
    """Where TensorStore finds an array: in a folder of its own, or in the one database of all; a hole is an error."""
    name, place = ".".join(keys), f"file://{directory.absolute()}/"
    inside = (directory / "manifest.ocdbt").exists()
    kvstore = {"driver": "ocdbt", "base": place, "path": name} if inside else f"{place}{name}"
    return {"driver": "zarr3" if zarr3 else "zarr", "kvstore": kvstore, "fill_missing_data_reads": False}


def _name(keys: tuple[str, ...]) -> str | None:
    """The name without what stands before and after it in one of the trees only; None for the vision tower's arrays."""
    name = "/".join(keys).removeprefix("transformer/")
    if name.startswith(("SigLiPFromPatches_0/", "vision_encoder/", "embedder/mm_")):
        return None
    for last in ("/w", "/scale", "/input_embedding"):
        name = name.removesuffix(last)
    return name
