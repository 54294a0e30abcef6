"""Trees of arrays that come back from a file to where a computation expects them."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from thinkaloud.checkpoint.arrays import placed_like, read_tree, write_tree


def test_a_tree_on_several_devices_and_a_counter_go_on_together(tmp_path: Path) -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    like = {"weight": jax.device_put(jnp.arange(4.0), everywhere), "count": jnp.zeros(())}
    write_tree(tmp_path / "tree.safetensors", {"weight": jnp.arange(4.0), "count": jnp.float32(3)})

    placed = placed_like(read_tree(tmp_path / "tree.safetensors", like), like)

    assert placed["weight"].sharding == everywhere
    after = jax.jit(lambda tree: tree["weight"] * tree["count"])(placed)
    assert after.tolist() == [0.0, 3.0, 6.0, 9.0]
