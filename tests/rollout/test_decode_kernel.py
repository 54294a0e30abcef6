"""Attention of the GPU's kernel, interpreted, against the plain one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from thinkaloud.config.mesh import AXES
from thinkaloud.model.attention import shared_prefix_attention
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.rollout import decode, decode_kernel

attend = jax.jit(decode_kernel.attend, static_argnames=("config", "sliding"))


@pytest.mark.parametrize("sliding", [True, False])
@pytest.mark.parametrize(("prompts", "group", "step"), [(2, 3, 5), (2, 3, 40), (40, 4, 95)])
def test_the_kernel_equals_plain_attention(sliding: bool, prompts: int, group: int, step: int) -> None:
    """Short and long prompts, a window that begins in the prompt or in the completion, one split and several."""
    config = replace(tiny_config(), num_heads=6, num_kv_heads=2)
    rng = np.random.default_rng(0)

    def random(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    kv, dim, rows = config.num_kv_heads, config.head_dim, prompts * config.num_kv_heads * group
    query = 4 * random(prompts, group, config.num_heads, dim)
    prompt_keys, prompt_values = random(prompts, kv, dim, 64), random(prompts, kv, 64, dim)
    own_keys, own_values = random(rows, 96, dim), random(rows, 96, dim)
    lengths = jnp.asarray(rng.integers(1, 65, prompts).tolist(), jnp.int32)
    own = jnp.stack([own_keys, own_values], 1).reshape(prompts, kv, group, 2, 96, dim)
    entries = [jnp.swapaxes(own[..., part, step, :], 1, 2)[:, :, :, None] for part in (0, 1)]  # [prompts, group, kv]
    token = jnp.concatenate([query.reshape(prompts, group, kv, -1, dim), *entries], axis=3)
    before = own.at[..., step, :].set(7.0).reshape(rows, 2, 96, dim)
    prompt = (prompt_keys, prompt_values)
    found, after = attend(token, *prompt, before, lengths, jnp.int32(step), config, sliding=sliding)
    np.testing.assert_array_equal(after, own.reshape(after.shape))
    expected = shared_prefix_attention(
        query[:, :, None],
        jnp.swapaxes(prompt_keys, -1, -2),
        prompt_values,
        own_keys,
        own_values,
        lengths,
        jnp.asarray([[[step]]]),
        jnp.asarray([step]),
        sliding,
        config,
    )[:, :, 0]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_what_the_kernel_is_for() -> None:
    assert decode_kernel.supports(tiny_config(), jnp.bfloat16, 8.0)
    assert not decode_kernel.supports(tiny_config(), jnp.bfloat16, 7.5)
    assert not decode_kernel.supports(tiny_config(), jnp.float32, 9.0)
    assert not decode_kernel.supports(replace(tiny_config(), head_dim=48), jnp.bfloat16, 9.0)


def test_the_kernel_is_tried_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value, NaN, a cache that was not written, a compiler's error: a warning, and attention without it."""
    config = replace(tiny_config(), num_heads=6, num_kv_heads=2)
    works = decode_kernel.works.__wrapped__
    assert works(config)
    right = decode_kernel.attend

    def fails(fault: str, wrong: Callable[..., object]) -> None:
        monkeypatch.setattr(decode_kernel, "attend", wrong)
        with pytest.warns(RuntimeWarning, match=f"{fault}.*; attention is left to XLA"):
            assert not works(config)

    def off_by(attended: float, updated: float) -> Callable[..., tuple[jax.Array, jax.Array]]:
        def wrong(*arrays: jax.Array, **settings: Any) -> tuple[jax.Array, jax.Array]:
            one, other = right(*arrays, **settings)
            return one.at[0, 0, 0, 0].add(attended), other.at[1, 1, 0, 1].add(updated)

        return wrong

    def broken(*arrays: jax.Array, config: ModelConfig, sliding: bool) -> None:
        raise RuntimeError("no such instruction\nand more")

    fails("differs from plain attention by", off_by(1.0, 0.0))
    fails("differs from plain attention by inf", off_by(float("nan"), 0.0))
    fails("differs from plain attention by", off_by(0.0, 1.0))
    fails("does not run here: no such instruction", broken)


def test_one_nvidia_gpu_uses_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"embed": jnp.zeros((1, 1), jnp.bfloat16)}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(decode, "gpu_capability", lambda: 9.0)
    monkeypatch.setattr(decode_kernel, "works", lambda config: True)
    assert decode.uses_kernel(params, tiny_config(), None)
    assert decode.fuses(None)
    mesh = jax.make_mesh((1, 1, 1), AXES, axis_types=(AxisType.Auto,) * 3, devices=jax.devices()[:1])
    assert not decode.uses_kernel(params, tiny_config(), mesh)
    monkeypatch.setattr(decode_kernel, "works", lambda config: False)
    assert not decode.uses_kernel(params, tiny_config(), None)
    monkeypatch.setattr(decode_kernel, "works", lambda config: True)
    monkeypatch.setenv(decode.NO_KERNEL, "1")
    assert not decode.uses_kernel(params, tiny_config(), None)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert not decode.fuses(None)
