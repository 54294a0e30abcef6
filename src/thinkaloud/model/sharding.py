"""Sharding: a mesh with the axes `data`, `fsdp` and `tensor`, and the placement of arrays on it.

Parameters, adapters, optimizer moments and batches carry their shardings. XLA inserts the communication, so programs
are written for one device. Rows (prompts with their groups) are sharded over `data` and `fsdp` together, weights over
`fsdp` (one axis of each matrix) and `tensor` (heads, the MLP's inner width, the vocabulary).

With several processes the mesh covers the devices of all of them, and all run the same programs on the same rows: each
puts its part of an array on its own devices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, Sharding
from jax.sharding import PartitionSpec as Spec

from thinkaloud.config.mesh import AXES
from thinkaloud.distributed.devices import device_memory_bytes
from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.layout import num_parameters
from thinkaloud.model.packed import power_of_two

ROWS = ("data", "fsdp")
"""The axes over which the rows of a batch are sharded."""

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
"""Mesh axes for the axes of each array, by the last part of its path; other arrays (norms) are replicated.

An adapter follows its matrix: A is sharded like the input axis, B like the output axis."""

KEY_VALUE = ("k", "v", "k_bias", "v_bias")
"""Sharded over `tensor` only if every shard gets whole key-value heads."""


WEIGHTS_SHARE = 0.5
"""The share of a device's memory that weights may take; the rest is for activations and caches."""

COPIES = 2
"""Of the weights: the sampler has its own."""


def open_mesh(sizes: Mapping[str, int], config: ModelConfig, itemsize: int = 4) -> Mesh | None:
    """The mesh of the devices of all processes.

    Args:
        sizes: Devices along each axis; a missing axis has size 1. A single process may use fewer devices than it has,
            several use all. {} for all devices, by `choose_axes`.
        config: Of the model, whose sizes the axes must divide.
        itemsize: Bytes of a weight.

    Returns:
        The mesh, or None for a single device.

    Raises:
        UserError: The sizes do not fit the devices or the model.
    """
    if not sizes:
        memory = device_memory_bytes()
        if memory is not None and jax.default_backend() == "cpu":
            memory //= jax.local_device_count()  # of the machine, which the devices share
        return _mesh(choose_axes(len(available_devices()), config, itemsize, memory))
    data, fsdp, tensor = (sizes.get(axis, 1) for axis in AXES)
    written = ",".join(f"{axis}={size}" for axis, size in sizes.items())
    found, processes = jax.device_count(), jax.process_count()
    wanted = data * fsdp * tensor
    if wanted > found or (wanted < found and processes > 1):
        most = "must equal their number" if processes > 1 else "is at most their number"
        raise UserError(
            f"mesh {written} needs {wanted} devices, found {found}: the product of data, fsdp and tensor {most}; "
            f"for example data={found}, or auto"
        )
    if misfit := _misfit(config, fsdp, tensor):
        raise UserError(f"mesh {written}: the model's {misfit}")
    return _mesh((data, fsdp, tensor))


def available_devices() -> list[jax.Device]:
    """The devices of all processes; those of one are next to each other."""
    return jax.devices()


def choose_axes(count: int, config: ModelConfig, itemsize: int, memory_bytes: int | None) -> tuple[int, int, int]:
    """`data`, `fsdp` and `tensor` for all devices.

    As much `data` as possible, because it needs the least communication: weights are divided over as few devices as
    keep them within `WEIGHTS_SHARE` of a device's memory, by `fsdp` where it divides the model's width.

    Args:
        count: Devices.
        itemsize: Bytes of a weight.
        memory_bytes: Of one device; None if unknown, and weights are not divided.
    """
    needed = COPIES * itemsize * num_parameters(config)
    best = (count, 1, 1)
    for parts in range(1, count + 1):
        fitting = (tensor for tensor in range(1, parts + 1) if parts % tensor == 0)
        axes = next(((parts // t, t) for t in fitting if not _misfit(config, parts // t, t)), None)
        if count % parts or axes is None:
            continue
        best = (count // parts, *axes)
        if memory_bytes is None or needed <= WEIGHTS_SHARE * memory_bytes * parts:
            break
    return best


def row_shards(mesh: Mesh | None) -> int:
    """Devices over which rows are divided: batches are padded to a multiple of it."""
    return 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]


def padded_rows(count: int, mesh: Mesh | None) -> int:
    """Rows of a padded batch: the same power of two on every device, so that few shapes are compiled."""
    shards = row_shards(mesh)
    return shards * power_of_two(-(-count // shards))


def _misfit(config: ModelConfig, fsdp: int, tensor: int) -> str | None:
    """The size of the model that cannot be divided, in words."""
    for name, count in (("num_heads", config.num_heads), ("intermediate_size", config.intermediate_size)):
        if count % tensor:
            return f"{name} ({count}) cannot be split over tensor={tensor}"
    return f"hidden_size ({config.hidden_size}) cannot be split over {fsdp}" if config.hidden_size % fsdp else None


def _mesh(shape: tuple[int, int, int]) -> Mesh | None:
    """None for one device."""
    count = math.prod(shape)
    if count == 1:
        return None
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=jax.devices()[:count])


def mesh_of(params: Any) -> Mesh | None:
    """The mesh of a tree, taken from its first array; None on a single device."""
    sharding = getattr(jax.tree.leaves(params)[0], "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return None
    assert isinstance(sharding.mesh, Mesh)
    return sharding.mesh


def place(tree: Any, mesh: Mesh | None, config: ModelConfig) -> Any:
    """Shard parameters, an adapter or its moments by `WEIGHTS`; without a mesh, put them on the device."""
    if mesh is None:
        return jax.tree.map(jax.device_put, tree)

    def place_leaf(path: tuple[Any, ...], leaf: Any) -> Any:
        return put(leaf, NamedSharding(mesh, weight_spec(path, np.shape(leaf), mesh, config)))

    return jax.tree_util.tree_map_with_path(place_leaf, tree)


def weight_spec(path: tuple[Any, ...], shape: tuple[int, ...], mesh: Mesh, config: ModelConfig) -> Spec:
    """The partition spec of an array, by its path; an axis that its mesh axis does not divide is not sharded."""
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
    """Shard the leading axis of every array over `data` and `fsdp` if they divide it; without a mesh, do nothing.

    A shape (`jax.ShapeDtypeStruct`) stands for zeros, which are made on their devices.
    """
    if mesh is None:
        return tree

    def place_leaf(leaf: Any) -> Any:
        sharding = row_sharding(leaf, mesh)
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jnp.zeros(leaf.shape, leaf.dtype, device=sharding)
        return put(leaf, sharding)

    return jax.tree.map(place_leaf, tree)


def row_sharding(leaf: Any, mesh: Mesh) -> NamedSharding:
    """How `place_rows` shards an array."""
    shape, parts = np.shape(leaf), row_shards(mesh)
    divides = bool(shape) and shape[0] > 0 and shape[0] % parts == 0
    return NamedSharding(mesh, _spec(ROWS) if divides else _spec())


def divide_rows(tree: Any, mesh: Mesh | None, *, axis: int = 0) -> Any:
    """Within a program: divide this axis of every array over `data` and `fsdp`, if they divide it."""
    if mesh is None:
        return tree

    constrain: Any = jax.lax.with_sharding_constraint

    def divide(x: jax.Array) -> Any:
        if x.shape[axis] % row_shards(mesh):
            return x
        return constrain(x, NamedSharding(mesh, _spec(*[None] * axis, ROWS)))

    return jax.tree.map(divide, tree)


def put(leaf: Any, sharding: Sharding) -> Any:
    """An array with this sharding. Over several processes, each gives its part of an array that all have as a whole."""
    if sharding.is_fully_addressable or not is_whole(leaf):
        return jax.device_put(leaf, sharding)
    whole, make = np.asarray(leaf), cast(Any, jax.make_array_from_process_local_data)
    return make(sharding, whole, whole.shape)


def is_whole(leaf: Any) -> bool:
    """Whether this process has all of an array, not only the parts on its own devices."""
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


def fetch(tree: Any) -> Any:
    """The arrays of a tree on the host, as a whole. All processes must call it for arrays over several processes."""

    def gathered(leaf: Any) -> Any:
        if is_whole(leaf) or leaf.is_fully_replicated:
            return leaf
        return jax.jit(_same, out_shardings=NamedSharding(leaf.sharding.mesh, _spec()))(leaf)

    return jax.device_get(jax.tree.map(gathered, tree))


def _same(leaf: Any) -> Any:
    return leaf


def _spec(*axes: Any) -> Spec:
    make: Any = Spec
    return make(*axes)
