"""Many devices: a mesh with the axes `data`, `fsdp` and `tensor`, and where everything lies on it.

Parameters, adapters, moments and batches carry their shardings; XLA puts the communication in, so that the programs are
those of one device. Rows (prompts with their groups) are spread over `data` and `fsdp` together, weights over `fsdp`
(one axis of each matrix) and `tensor` (heads, the MLP's inner width, the vocabulary).

With several processes `data` is spread over them first: each has a mesh of its own devices, and a copy of the weights
on it (`thinkaloud.distributed.processes` adds their gradients up).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from thinkaloud.config.mesh import AXES
from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig

ROWS = ("data", "fsdp")
"""The axes that rows of a batch are spread over, together."""

WEIGHTS: dict[str, tuple[str | None, ...]] = {
    "embed": ("tensor", "fsdp"),
    "head": ("fsdp", "tensor"),
    "q": (None, "fsdp", "tensor"),
    "k": (None, "fsdp", "tensor"),
    "v": (None, "fsdp", "tensor"),
    "o": (None, "tensor", "fsdp"),
    "gate": (None, "fsdp", "tensor"),
    "up": (None, "fsdp", "tensor"),
    "down": (None, "tensor", "fsdp"),
    "q_bias": (None, "tensor"),
    "k_bias": (None, "tensor"),
    "v_bias": (None, "tensor"),
}
"""Mesh axes of each array's axes, by the last part of its path; what is not named (norms) is on every device.

An adapter's pair follows its matrix: A its input axis, B its output axis."""

KEY_VALUE = ("k", "v", "k_bias", "v_bias")
"""Split over `tensor` only where every part gets whole key-value heads."""


def open_mesh(sizes: Mapping[str, int], config: ModelConfig) -> Mesh | None:
    """The mesh of this process's devices.

    Args:
        sizes: Devices along each axis, of all processes together; an axis that is not named is 1. {} for none.
        config: The model's shape, which `tensor` must divide.

    Returns:
        None for one device: nothing is sharded then.

    Raises:
        UserError: One line, where the sizes do not fit the devices or the model.
    """
    if not sizes:
        return None
    data, fsdp, tensor = (sizes.get(axis, 1) for axis in AXES)
    written = ",".join(f"{axis}={size}" for axis, size in sizes.items())
    found, processes = jax.device_count(), jax.process_count()
    if data * fsdp * tensor != found:
        raise UserError(
            f"mesh {written} needs {data * fsdp * tensor} devices, found {found}: the product of data, fsdp and tensor "
            f"must be their number, as data={found}"
        )
    if data % processes:
        raise UserError(
            f"mesh {written}: data must be a multiple of the {processes} processes, for each has a copy of the weights "
            "of its own; fsdp and tensor stay within one"
        )
    for name, count in (("num_heads", config.num_heads), ("intermediate_size", config.intermediate_size)):
        if count % tensor:
            raise UserError(f"mesh {written}: the model's {name} ({count}) cannot be split over tensor={tensor}")
    if config.hidden_size % fsdp:
        raise UserError(f"mesh {written}: the model's hidden_size ({config.hidden_size}) cannot be split over {fsdp}")
    if found == 1:
        return None
    shape = (data // processes, fsdp, tensor)
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=jax.local_devices())


def mesh_of(params: Any) -> Mesh | None:
    """The mesh that a tree lies on, by its first array; None where it is on one device."""
    sharding = getattr(jax.tree.leaves(params)[0], "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return None
    assert isinstance(sharding.mesh, Mesh)
    return sharding.mesh


def place(tree: Any, mesh: Mesh | None, config: ModelConfig) -> Any:
    """Put parameters, an adapter or its moments where `WEIGHTS` says; host arrays go to the device without a mesh."""
    if mesh is None:
        return jax.tree.map(jax.device_put, tree)

    def put(path: tuple[Any, ...], leaf: Any) -> Any:
        return jax.device_put(leaf, NamedSharding(mesh, weight_spec(path, np.shape(leaf), mesh, config)))

    return jax.tree_util.tree_map_with_path(put, tree)


def weight_spec(path: tuple[Any, ...], shape: tuple[int, ...], mesh: Mesh, config: ModelConfig) -> Spec:
    """How one array is split, by its path; an axis that its mesh axis does not divide stays whole."""
    keys = [str(getattr(key, "key", getattr(key, "name", ""))) for key in path]
    name, part = keys[-1], None
    if len(keys) > 1 and name in ("a", "b") and keys[-2] in WEIGHTS:
        name, part = keys[-2], name
    axes = WEIGHTS.get(name, ())
    if part == "a":
        axes = (axes[0], axes[1], None)
    elif part == "b":
        axes = (axes[0], None, axes[2])
    if name in KEY_VALUE and config.num_kv_heads % mesh.shape["tensor"]:
        axes = tuple(None if axis == "tensor" else axis for axis in axes)
    if len(axes) != len(shape):
        return _spec()
    fits = zip(axes, shape, strict=True)
    return _spec(*(axis if axis is not None and size % mesh.shape[axis] == 0 else None for axis, size in fits))


def place_rows(tree: Any, mesh: Mesh | None) -> Any:
    """Spread the leading axis of every array over `data` and `fsdp`, where they divide it; as it is without a mesh."""
    if mesh is None:
        return tree
    parts = mesh.shape["data"] * mesh.shape["fsdp"]

    def put(leaf: Any) -> Any:
        shape = np.shape(leaf)
        spread = bool(shape) and shape[0] > 0 and shape[0] % parts == 0
        return jax.device_put(leaf, NamedSharding(mesh, _spec(ROWS) if spread else _spec()))

    return jax.tree.map(put, tree)


def _spec(*axes: Any) -> Spec:
    make: Any = Spec
    return make(*axes)
