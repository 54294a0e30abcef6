"""Which type numbers have, and weights as bits inside loops."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from support.golden_files import golden_directory
from support.reference import random_adapter, run
from thinkaloud.model import precision
from thinkaloud.model.architecture import frozen_product, head_weight
from thinkaloud.model.head import token_logprobs
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import TARGETS, Adapter, init_adapter
from thinkaloud.model.packed import forward, pack
from thinkaloud.model.precision import Dtype, activation_dtype, as_bits, as_numbers, base_dtype, is_slow, weight_product


def test_auto_takes_the_type_that_the_device_multiplies_fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, (flags, expected) in enumerate(
        {"fpu avx512f avx512_bf16": "bfloat16", "fpu amx_bf16 amx_tile": "bfloat16", "fpu avx512f": "float32"}.items()
    ):
        info = tmp_path / str(number)
        info.write_text(f"processor\t: 0\nmodel name\t: CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
        monkeypatch.setattr(precision, "CPU_INFO", info)
        assert base_dtype("auto", "cpu") == expected
        assert is_slow("bfloat16", "cpu") is (expected == "float32")
    for capability, expected in (("7.5", "float16"), ("8.0", "bfloat16"), ("9.0", "bfloat16"), ("gfx90a", "bfloat16")):
        device = SimpleNamespace(compute_capability=capability)
        monkeypatch.setattr(jax, "local_devices", lambda device=device: [device])
        assert base_dtype("auto", "gpu") == expected
        assert is_slow("bfloat16", "gpu") is (expected == "float16")


def test_dtypes_by_device() -> None:
    assert [base_dtype("auto", backend) for backend in ("cpu", "gpu", "tpu")] == ["float32", "bfloat16", "bfloat16"]
    assert base_dtype("bfloat16", "cpu") == "bfloat16"
    assert base_dtype("float32", "gpu") == "float32"
    assert [is_slow("float16", backend) for backend in ("cpu", "gpu", "tpu")] == [True, False, False]
    assert not any(is_slow(dtype, "cpu") for dtype in ("auto", "float32"))
    assert activation_dtype(jnp.bfloat16, "cpu") == jnp.float32
    assert activation_dtype(jnp.bfloat16, "gpu") == jnp.bfloat16
    assert activation_dtype(jnp.float16, "gpu") == jnp.float32


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


@pytest.mark.parametrize("name", ["tiny-gemma3", "tiny-llama3", "tiny-qwen3"])
def test_float16_is_nearer_to_float32_than_bfloat16(name: str, tmp_path: Path) -> None:
    directory = golden_directory(name, tmp_path / "m")
    packed = pack([[3, 9, 4, 4, 7, 2, 8]], [[[5, 6, 7, 8, 9]]])
    logits = {}
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16", "float16")
    for dtype in dtypes:
        model = load_model(directory, dtype)
        adapter = random_adapter(init_adapter(model.config, 4, TARGETS, seed=1), seed=2)
        hidden, _ = run(model.params, adapter, packed, model.config, 2.0)
        logits[dtype] = np.asarray(weight_product("td,vd->tv", hidden, head_weight(model.params)))[packed.token_valid]
    assert model.params["embed"].dtype == jnp.float16
    error = {dtype: np.abs(logits[dtype] - logits["float32"]).max() for dtype in ("bfloat16", "float16")}
    assert 0 < error["float16"] < 0.25 * error["bfloat16"]
    assert error["float16"] < 2e-3 * np.abs(logits["float32"]).max()


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e7])
def test_float16_products_neither_vanish_nor_overflow(size: float) -> None:
    x = np.asarray([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]], np.float32) * np.float32(size)
    weight = jnp.asarray([[1.0], [0.25], [2.0]], jnp.float16)
    y, pull = jax.vjp(lambda x: frozen_product(x, weight), jnp.asarray(x))
    np.testing.assert_allclose(y, [[1.5 * size], [0.0]], rtol=1e-3)
    np.testing.assert_allclose(pull(y)[0], np.asarray(y) * np.asarray(weight, np.float32).T, rtol=1e-3)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_float32_factors_are_never_rounded(platform: str, dtype: Dtype, tmp_path: Path) -> None:
    """In StableHLO, every product of float32 factors asks for the highest precision: adapters, log-probabilities."""
    model = load_model(golden_directory("tiny-llama3", tmp_path / "m"), dtype)
    adapter = random_adapter(init_adapter(model.config, 4, TARGETS, seed=1), seed=2)
    packed = jax.tree.map(jnp.asarray, pack([[3, 9, 4, 4]], [[[5, 6, 7]]], token_bucket=48))

    def loss(adapter: Adapter) -> jax.Array:
        hidden, _ = forward(model.params, adapter, packed, model.config, 2.0)
        logprobs, _ = token_logprobs(head_weight(model.params), hidden[packed.predictors], packed.targets, 1.0)
        return logprobs.sum()

    text = jax.jit(jax.grad(loss)).trace(adapter).lower(lowering_platforms=(platform,)).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    wide = [line for line in products if re.search(r": \(tensor<[\dx]*xf32>, tensor<[\dx]*xf32>\)", line)]
    assert len(wide) > 10
    assert [line for line in wide if "precision = [HIGHEST, HIGHEST]" not in line] == []
    narrow = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}[dtype]
    assert sum(f"x{narrow}>, tensor<" in line for line in products) > 5
