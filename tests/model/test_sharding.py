from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.tree_util import DictKey

from thinkaloud.config.load import parse_recipe
from thinkaloud.config.mesh import AXES, parse_mesh
from thinkaloud.errors import UserError
from thinkaloud.model import sharding
from thinkaloud.model.config import tiny_config
from thinkaloud.model.head import token_logprobs
from thinkaloud.model.layout import num_parameters
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.random_weights import random_params
from thinkaloud.model.sharding import choose_axes, fetch, mesh_of, open_mesh, place, place_rows, row_shards, weight_spec

CONFIG = tiny_config()
DEVICES = jax.device_count()  # two, by tests/conftest.py


def test_a_mesh_is_read() -> None:
    assert parse_mesh("data=2, fsdp=4") == {"data": 2, "fsdp": 4}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("date=2", "unknown axis 'date' (did you mean 'data'?)"),
        ("data=2,data=2", "names data twice"),
        ("data=0", "expected a number of devices"),
        ("data", "expected a number of devices"),
        ("", "unknown axis ''"),
    ],
)
def test_a_mesh_that_cannot_be_read_is_one_line(text: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        parse_mesh(text)
    assert told in str(error.value)


def test_a_mesh_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(UserError, match=f"needs {DEVICES + 1} devices, found {DEVICES}"):
        open_mesh({"data": DEVICES + 1}, CONFIG)
    odd = replace(CONFIG, num_heads=3, num_kv_heads=1)
    with pytest.raises(UserError, match=r"num_heads \(3\) cannot be split over tensor=2"):
        open_mesh({"tensor": DEVICES}, odd)
    with pytest.raises(UserError, match=r"hidden_size \(63\)"):
        open_mesh({"fsdp": DEVICES}, replace(CONFIG, hidden_size=63))


def test_axes_of_a_recipe() -> None:
    def sizes(**changes: Any) -> dict[str, int]:
        return parse_recipe({"name": "x", "model": "tiny", **changes}).mesh_sizes

    assert sizes(mesh={"data": 3}) == {"data": 3, "fsdp": 1, "tensor": 1}
    assert sizes(mesh={"data": 1}) == {"data": 1, "fsdp": 1, "tensor": 1}  # one device, however many there are
    assert sizes() == sizes(mesh="auto") == sizes(mesh={}) == {}
    assert sizes(engine="tunix") == {"data": 1}


def test_weights_are_divided_as_far_as_memory_needs() -> None:
    """The tiny model's weights, twice in float32, against half of a device's memory."""
    needed = 2 * 4 * num_parameters(CONFIG)
    assert choose_axes(8, CONFIG, 4, None) == (8, 1, 1)
    assert choose_axes(8, CONFIG, 4, 2 * needed) == (8, 1, 1)
    assert choose_axes(8, CONFIG, 4, 2 * needed - 1) == (4, 2, 1)
    assert choose_axes(8, CONFIG, 2, 2 * needed - 1) == (8, 1, 1)
    assert choose_axes(8, CONFIG, 4, needed // 4) == (1, 8, 1)
    assert choose_axes(8, CONFIG, 4, 1) == (1, 8, 1)
    assert choose_axes(6, CONFIG, 4, needed) == (3, 2, 1)
    assert choose_axes(1, CONFIG, 4, 1) == (1, 1, 1)
    odd = replace(CONFIG, hidden_size=63)  # the width cannot be divided, heads can
    assert choose_axes(2, odd, 4, 1) == (1, 1, 2)


def test_all_devices_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "available_devices", jax.local_devices)
    mesh = open_mesh({}, CONFIG)
    assert mesh is not None
    assert mesh.shape == {"data": DEVICES, "fsdp": 1, "tensor": 1}
    assert row_shards(mesh) == DEVICES
    assert open_mesh({"data": 1}, CONFIG) is None


def test_weights_and_adapters_are_split_and_whole_again() -> None:
    mesh = open_mesh({"fsdp": DEVICES}, CONFIG)
    assert mesh is not None
    params = random_params(CONFIG, 0)
    placed = place(params, mesh, CONFIG)
    assert mesh_of(placed) == mesh
    assert placed["layers"]["q"].addressable_shards[0].data.shape[1] == CONFIG.hidden_size // DEVICES
    assert placed["final_norm"].is_fully_replicated
    for ours, theirs in zip(jax.tree.leaves(placed), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    adapter = place(init_adapter(CONFIG, 2, TARGETS, 0), mesh, CONFIG)
    assert adapter["gate"]["a"].addressable_shards[0].data.shape[1] == CONFIG.hidden_size // DEVICES
    assert adapter["down"]["b"].addressable_shards[0].data.shape[2] == CONFIG.hidden_size // DEVICES


def spec(mesh: Any, *path: str, shape: tuple[int, ...], config: Any = CONFIG) -> tuple[Any, ...]:
    return tuple(weight_spec(tuple(DictKey(name) for name in path), shape, mesh, config))


def test_key_value_heads_are_never_cut() -> None:
    mesh = open_mesh({"tensor": DEVICES}, CONFIG)
    assert spec(mesh, "layers", "q", shape=(4, 64, 64)) == (None, "fsdp", "tensor")
    assert spec(mesh, "layers", "k", shape=(4, 64, 16)) == (None, "fsdp", None)  # one head, two devices
    two = replace(CONFIG, num_kv_heads=2)
    assert spec(mesh, "layers", "k", shape=(4, 64, 32), config=two) == (None, "fsdp", "tensor")
    assert spec(mesh, "k", "b", shape=(4, 2, 32), config=two) == (None, None, "tensor")
    assert spec(mesh, "k", "a", shape=(4, 64, 2), config=two) == (None, "fsdp", None)
    assert spec(mesh, "embed", shape=(261, 64)) == (None, "fsdp")  # an odd vocabulary stays whole
    assert spec(mesh, "layers", "attn_norm", shape=(4, 64)) == ()


def test_rows_are_spread_where_they_divide() -> None:
    mesh = open_mesh({"data": DEVICES}, CONFIG)
    rows, odd = place_rows((np.zeros((4, 3)), np.zeros(3)), mesh)
    assert isinstance(rows.sharding, NamedSharding)
    assert rows.addressable_shards[0].data.shape == (4 // DEVICES, 3)
    assert odd.is_fully_replicated
    batch = (np.zeros(4),)
    assert place_rows(batch, None) is batch


def test_one_device_needs_no_mesh() -> None:
    assert open_mesh({}, CONFIG) is None
    assert mesh_of(place(random_params(CONFIG, 0), None, CONFIG)) is None


def test_sharded_arrays_are_fetched_as_a_whole() -> None:
    mesh = open_mesh({"data": DEVICES}, CONFIG)
    rows = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    found = fetch({"rows": place_rows(rows, mesh), "host": rows})
    assert all(isinstance(leaf, np.ndarray) for leaf in found.values())
    np.testing.assert_array_equal(found["rows"], rows)


def test_a_shape_stands_for_zeros_on_their_devices() -> None:
    zeros = place_rows(jax.ShapeDtypeStruct((4, 3), np.float32), open_mesh({"data": DEVICES}, CONFIG))
    assert zeros.addressable_shards[0].data.shape == (4 // DEVICES, 3)
    assert not np.any(zeros)


def test_the_rows_of_the_output_head_are_divided() -> None:
    """Each device computes its rows of every chunk, as many as on one device, with the same results."""
    mesh = jax.make_mesh((2, 1, 1), AXES, axis_types=(AxisType.Auto,) * 3, devices=jax.devices()[:2])
    rng = np.random.default_rng(0)
    head, hidden = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((300, 8), (64, 8)))
    targets = jnp.asarray(rng.integers(0, 300, 64), jnp.int32)

    def loss(hidden: Any, mesh: Any) -> Any:
        return token_logprobs(head, hidden, targets, 0.7, mesh=mesh)[0].sum()

    compiled = jax.jit(jax.value_and_grad(loss), static_argnums=1).lower(hidden, mesh).compile()
    assert "f32[32,300]" in compiled.as_text()
    assert "f32[64,300]" not in compiled.as_text()
    for one, other in zip(compiled(hidden), jax.value_and_grad(loss)(hidden, None), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
