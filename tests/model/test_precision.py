"""Which type numbers have, and weights as bits inside loops."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from support.golden_files import golden_directory
from support.reference import random_adapter, run
from thinkaloud.model.architecture import frozen_product
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.packed import forward, pack
from thinkaloud.model.precision import activation_dtype, as_bits, as_numbers, base_dtype


def test_auto_is_exact_on_a_cpu_and_fast_elsewhere() -> None:
    assert [base_dtype("auto", backend) for backend in ("cpu", "gpu", "tpu")] == ["float32", "bfloat16", "bfloat16"]
    assert base_dtype("bfloat16", "cpu") == "bfloat16"
    assert base_dtype("float32", "gpu") == "float32"
    assert activation_dtype(jnp.bfloat16, "cpu") == jnp.float32
    assert activation_dtype(jnp.bfloat16, "gpu") == jnp.bfloat16


def test_bits_are_the_weights() -> None:
    tree = {"w": jnp.asarray([1.5, -2.0, 3e-3], jnp.bfloat16), "n": jnp.ones(2, jnp.float32)}
    carried = as_bits(tree)
    assert carried["w"].dtype == jnp.uint16
    assert carried["n"] is tree["n"]
    back = as_numbers(carried)
    assert back["w"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(back["w"], np.float32), np.asarray(tree["w"], np.float32))


def test_a_product_rounds_its_factors_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    x, w, g = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 64), (64, 7), (5, 7)))

    def rounded(array: np.ndarray) -> np.ndarray:
        return np.asarray(jnp.asarray(array, jnp.bfloat16), np.float32)

    weight = jnp.asarray(w, jnp.bfloat16)
    y, pull = jax.vjp(lambda x: frozen_product(x, weight), jnp.asarray(x))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, rounded(x) @ rounded(w), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pull(jnp.asarray(g))[0], rounded(g) @ rounded(w).T, rtol=1e-5, atol=1e-5)


def test_no_weight_is_widened_in_a_loop(tmp_path: Path) -> None:
    """The compiled forward pass over bfloat16 weights holds no float32 copy of a stack of them."""
    model = load_model(golden_directory("tiny-llama3", tmp_path / "m"), "bfloat16")
    adapter = random_adapter(init_adapter(model.config, 4, TARGETS, seed=1), seed=2)
    packed = pack([[3, 9, 4, 4]], [[[5, 6, 7]]], token_bucket=48)  # not the size of the vocabulary
    text = (
        jax.jit(forward, static_argnames=("config", "scale"))
        .lower(model.params, adapter, packed, model.config, 2.0)
        .compile()
        .as_text()
    )
    layers, width, inner = model.config.num_layers, model.config.hidden_size, model.config.intermediate_size
    assert f"u16[{layers},{width},{inner}]" in text
    assert f"f32[{layers},{width},{inner}]" not in text
    assert f"f32[{model.config.vocab_size},{width}]" not in text


def test_bfloat16_is_near_float32(tmp_path: Path) -> None:
    directory = golden_directory("tiny-gemma3", tmp_path / "m")
    packed = pack([[3, 9, 4, 4, 7, 2, 8]], [[[5, 6, 7, 8, 9]]])
    hidden = []
    for dtype in ("float32", "bfloat16"):
        model = load_model(directory, dtype)
        hidden.append(np.asarray(run(model.params, {}, packed, model.config, 1.0)[0]))
    assert hidden[1].dtype == np.float32
    valid = packed.token_valid
    error = np.abs(hidden[1] - hidden[0])[valid].max() / np.abs(hidden[0][valid]).max()
    assert 0 < error < 0.05
