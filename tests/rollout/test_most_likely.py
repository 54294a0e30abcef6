"""Top-k and top-p without a sort of the vocabulary: equal to the sorted ones, ties included."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.rollout.most_likely import MOST_SORTED, WIDEST_SORT, leading, top_k
from thinkaloud.rollout.sampling import Sampling, _draw, key_of, row_keys, sample

GEMMA_VOCABULARY = 262_144


def rounded(rows: int, choices: int, step: float, seed: int = 0) -> np.ndarray:
    """Normal values, rounded so that many are equal; with infinities and zeros of both signs."""
    rng = np.random.default_rng(seed)
    values = (np.round(rng.normal(size=(rows, choices)) / step) * step).astype(np.float32)
    values[:, rng.integers(0, choices, choices // 10)] = -np.inf
    values[0, rng.integers(0, choices, 5)] = np.inf
    return values


def same_as_sorted(values: np.ndarray, k: int) -> None:
    found, expected = top_k(jnp.asarray(values), k), jax.lax.top_k(jnp.asarray(values), k)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("step", [1e-6, 0.02, 1.0])
@pytest.mark.parametrize(
    ("choices", "k"),
    [(50, 50), (WIDEST_SORT, 7), (WIDEST_SORT + 1, 1), (20_011, 50), (40_000, 3000), (40_000, MOST_SORTED)],
)
def test_top_k_equals_the_sorted_one(choices: int, k: int, step: float) -> None:
    same_as_sorted(rounded(3, choices, step), k)


def test_top_k_of_few_finite_values() -> None:
    """k goes beyond the finite values, and then into -inf in the order of the indices."""
    values = np.full((2, 30_000), -np.inf, np.float32)
    values[:, [29_999, 5, 7000]] = [1.0, 1.0, 2.0]
    same_as_sorted(values, 64)
    assert np.asarray(top_k(jnp.asarray(values), 5)[1])[0].tolist() == [7000, 5, 29_999, 0, 1]


def test_top_k_ranks_zero_above_minus_zero() -> None:
    values = np.full((1, 30_000), -0.0, np.float32)
    values[0, [11, 20_000]] = 0.0
    assert np.asarray(top_k(jnp.asarray(values), 3)[1])[0].tolist() == [11, 20_000, 0]


@pytest.mark.parametrize("step", [1e-6, 0.02, 1.0])
@pytest.mark.parametrize("k", [1, 50, 1999, 2000])
def test_leading_by_count_is_top_k(k: int, step: float) -> None:
    values = rounded(3, 2000, step)
    mask = leading(jnp.asarray(values), jnp.ones_like(values), jnp.full(3, np.float32(k)))
    expected = jax.lax.top_k(jnp.asarray(values), k)[1]
    for row in range(3):
        assert np.flatnonzero(mask[row]).tolist() == sorted(np.asarray(expected)[row].tolist())


@pytest.mark.parametrize("limit", [1, 2, 37, 100, 511, 512])
def test_leading_by_mass_is_top_p(limit: int) -> None:
    """Weights are integers, so that every sum is exact."""
    rng = np.random.default_rng(limit)
    weights = rng.multinomial(512, np.full(150, 1 / 150), size=4).astype(np.float32)
    values = np.log(weights, where=weights > 0, out=np.full_like(weights, -np.inf))
    mask = leading(jnp.asarray(values), jnp.asarray(weights), jnp.full(4, np.float32(limit)))
    for row in range(4):
        order = np.argsort(-weights[row], kind="stable")
        before = np.cumsum(weights[row][order]) - weights[row][order]
        assert np.flatnonzero(mask[row]).tolist() == sorted(order[before < limit].tolist())


def sorted_sample(logits: jax.Array, keys: jax.Array, sampling: Sampling) -> np.ndarray:
    """Top-k and top-p with `jax.lax.top_k`, as it was written first."""
    values, tokens = jax.lax.top_k(logits / np.float32(sampling.temperature), sampling.top_k)
    probabilities = jax.nn.softmax(values, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    values = jnp.where(before < np.float32(sampling.top_p), values, -jnp.inf)
    return np.asarray(
        jnp.take_along_axis(tokens, _draw(jnp.exp(values - values.max(-1, keepdims=True)), keys)[:, None], axis=-1)[
            :, 0
        ]
    )


@pytest.mark.parametrize("step", [1e-6, 0.5])
def test_sampled_tokens_for_given_noise_are_those_of_the_sorted_form(step: float) -> None:
    logits = 2 * jnp.asarray(rounded(200, 20_000, step)[1:])
    keys = row_keys(key_of(3), jnp.arange(199), 4)
    sampling = Sampling(temperature=0.8, top_k=50, top_p=0.9)
    np.testing.assert_array_equal(sample(logits, keys, sampling)[0], sorted_sample(logits, keys, sampling))


def test_a_wide_vocabulary_is_sampled_from_its_top_p() -> None:
    """20,000 tokens: four hold 0.9 of the mass, and 0.85 is reached with the third of them (0.5, 0.2, then 0.1)."""
    probabilities = np.full(20_000, 0.1 / 19_996)
    probabilities[[17, 9000, 19_999, 3]] = [0.5, 0.1, 0.2, 0.1]
    logits = jnp.repeat(jnp.log(jnp.asarray(probabilities, jnp.float32))[None], 600, axis=0)
    keys = row_keys(key_of(5), jnp.arange(600), 0)

    def counts(top_k: int, top_p: float) -> np.ndarray:
        tokens, *_ = sample(logits, keys, Sampling(temperature=1.0, top_k=top_k, top_p=top_p))
        return np.bincount(np.asarray(tokens), minlength=20_000) / 600

    for found in (counts(0, 0.75), counts(MOST_SORTED + 1, 0.75)):
        np.testing.assert_allclose(found[[17, 19_999, 3]], [0.625, 0.25, 0.125], atol=0.06)
        assert found.sum() == pytest.approx(found[[17, 19_999, 3]].sum())  # token 3 before 9000, its equal


@pytest.mark.parametrize(
    "sampling",
    [Sampling(temperature=1.0, top_k=k, top_p=p) for k in (0, 50, 1000, MOST_SORTED, 20_000) for p in (0.95, 1.0)],
    ids=str,
)
def test_no_sort_is_wider_than_the_limit(sampling: Sampling) -> None:
    logits = jax.ShapeDtypeStruct((4, GEMMA_VOCABULARY), jnp.float32)  # type: ignore[no-untyped-call]
    lowered = jax.jit(sample, static_argnames="sampling").lower(logits, row_keys(key_of(0), jnp.arange(4), 0), sampling)
    widths = sorts(lowered.as_text())
    assert (len(widths) > 0) == (0 < sampling.top_k <= MOST_SORTED)
    assert max(widths, default=0) <= WIDEST_SORT


def sorts(text: str) -> list[int]:
    """The widths of all sorts and top-k in a StableHLO text."""
    shapes = re.findall(r"chlo\.top_k.*? : tensor<\d+x(\d+)x", text)
    return [int(width) for width in shapes + re.findall(r"call @sort.*? : \(tensor<\d+x(\d+)x", text)]
