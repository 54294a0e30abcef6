"""Trees of arrays in safetensors files: exact values, named by their path in the tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from thinkaloud.model.sharding import put
from thinkaloud.storage.atomic import write_bytes


def write_tree(path: Path, tree: Any) -> None:
    """Write the leaves of a tree and flush them to disk.

    Args:
        tree: Of numpy or JAX arrays and scalars; arrays on several devices are gathered. None is an empty tree.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors.numpy import save

    leaves = jax.device_get(_named(tree))
    content = save({name: np.asarray(leaf, order="C") for name, leaf in leaves.items()})
    write_bytes(path, content, fsync=True)


def read_tree(path: Path, like: Any) -> Any:
    """The tree in a file, as numpy arrays.

    Args:
        like: A tree with the structure, shapes and dtypes expected.

    Raises:
        ValueError: The file is damaged, or holds another tree.
        OSError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not a safetensors file: {error}") from error
    expected = _named(like)
    if differ := sorted(found.keys() ^ expected.keys()):
        raise ValueError(f"{path.name}: array {differ[0]} is {'missing' if differ[0] in expected else 'unexpected'}")
    for name, leaf in expected.items():
        wanted, there = (f"{np.dtype(array.dtype)}{list(np.shape(array))}" for array in (leaf, found[name]))
        if wanted != there:
            raise ValueError(f"{path.name}: array {name}: expected {wanted}, found {there}")
    return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in expected])


def placed_like(tree: Any, like: Any) -> Any:
    """A tree of host arrays on the devices, each with the sharding of its counterpart in `like`.

    Where the counterpart is not committed to its device (a counter that an optimizer made), the copy is not either:
    a computation over a mesh may move it.
    """

    def place(leaf: Any, there: Any) -> jax.Array:
        committed = isinstance(there, jax.Array) and there.committed
        return put(leaf, there.sharding) if committed else jax.device_put(leaf)

    return jax.tree.map(place, tree, like)


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path, such as `q/a`, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    assert len(named) == len(leaves), "two leaves of the tree have one name"
    return named
