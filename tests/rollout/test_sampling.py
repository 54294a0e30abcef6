"""Sampling from hand-made distributions, and noise that is never repeated and independent of the batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.rollout.sampling import GREEDY, Sampling, _invert, key_of, row_keys, sample
from thinkaloud.seeding import derive_seed

LOGITS = jnp.log(jnp.asarray([[0.5, 0.3, 0.15, 0.05]]))


def draw(sampling: Sampling, count: int = 4000) -> np.ndarray:
    """How often each of the four tokens comes up."""
    keys = row_keys(key_of(7), jnp.arange(count), 0)
    tokens, *_ = sample(jnp.repeat(LOGITS, count, axis=0), keys, sampling)
    return np.bincount(np.asarray(tokens), minlength=4) / count


def test_plain_sampling_follows_the_distribution() -> None:
    np.testing.assert_allclose(draw(Sampling(temperature=1.0, top_k=0, top_p=1.0)), [0.5, 0.3, 0.15, 0.05], atol=0.03)


def test_temperature_sharpens() -> None:
    expected = np.asarray([0.25, 0.09, 0.0225, 0.0025]) / 0.365
    np.testing.assert_allclose(draw(Sampling(temperature=0.5, top_k=0, top_p=1.0)), expected, atol=0.03)


def test_top_k_keeps_the_likeliest() -> None:
    np.testing.assert_allclose(draw(Sampling(temperature=1.0, top_k=2, top_p=1.0)), [0.625, 0.375, 0, 0], atol=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    found = draw(Sampling(temperature=1.0, top_k=0, top_p=0.7))
    np.testing.assert_allclose(found, [0.625, 0.375, 0, 0], atol=0.03)


def test_top_p_looks_at_what_top_k_left() -> None:
    # after top-2 the shares are 0.625 and 0.375: 0.6 is reached by the first alone
    np.testing.assert_allclose(draw(Sampling(temperature=1.0, top_k=2, top_p=0.6)), [1, 0, 0, 0])


def test_many_choices_in_blocks_follow_the_distribution() -> None:
    """1,000 choices: whole blocks, a last one that is filled up, and masses that differ between and within blocks."""
    probabilities = np.random.default_rng(0).dirichlet(np.full(1000, 0.05))
    probabilities[[3, 511, 999]] = 0.0
    probabilities /= probabilities.sum()
    logits = jnp.log(jnp.asarray(probabilities, jnp.float32))[None]
    count = 20_000
    keys = row_keys(key_of(11), jnp.arange(count), 2)
    drawn = jax.lax.map(lambda key: sample(logits, key[None], Sampling(temperature=1.0, top_k=0, top_p=1.0))[0], keys)
    counts = np.bincount(np.asarray(drawn)[:, 0], minlength=1000)
    assert counts[probabilities == 0].sum() == 0
    often = probabilities * count > 5
    statistic = np.sum((counts[often] - probabilities[often] * count) ** 2 / (probabilities[often] * count))
    assert statistic < often.sum() + 5 * np.sqrt(2 * often.sum())  # chi-squared: mean n, deviation sqrt(2 n)


def test_a_uniform_number_is_never_beyond_the_last_choice() -> None:
    weights = jnp.asarray([[0.0, 0.25, 0.0, 0.75, 0.0], [0.0, 0.0, 1e-30, 0.0, 0.0]])
    last = jnp.full(2, np.nextafter(np.float32(1), np.float32(0)))
    np.testing.assert_array_equal(_invert(weights, last), [3, 2])
    np.testing.assert_array_equal(_invert(weights, jnp.zeros(2)), [1, 2])
    np.testing.assert_array_equal(_invert(weights, jnp.full(2, 0.25)), [3, 2])


def test_log_probabilities_are_those_of_the_whole_distribution_at_the_temperature() -> None:
    keys = row_keys(key_of(0), jnp.arange(1), 0)
    token, logprob, kept_mass = sample(LOGITS, keys, Sampling(temperature=0.5, top_k=1, top_p=1.0))
    assert int(token[0]) == 0
    np.testing.assert_allclose(logprob, np.log(0.25 / 0.365), rtol=1e-5)
    np.testing.assert_allclose(kept_mass, logprob, rtol=1e-5)  # the only token left: drawn with probability 1


@pytest.mark.parametrize(
    ("sampling", "mass"),
    [
        (Sampling(temperature=1.0, top_k=0, top_p=1.0), 1.0),
        (Sampling(temperature=1.0, top_k=2, top_p=1.0), 0.8),
        (Sampling(temperature=1.0, top_k=3, top_p=0.8), 0.8),  # 0.5 and 0.3 of 0.95 reach 0.84
        (Sampling(temperature=1.0, top_k=0, top_p=0.9), 0.95),
    ],
)
def test_the_kept_mass_is_that_of_the_tokens_that_can_be_drawn(sampling: Sampling, mass: float) -> None:
    *_, kept_mass = sample(LOGITS, row_keys(key_of(0), jnp.arange(1), 0), sampling)
    np.testing.assert_allclose(np.exp(kept_mass), mass, rtol=1e-5)


def test_greedy_takes_the_likeliest() -> None:
    token, logprob, _ = sample(LOGITS, row_keys(key_of(0), jnp.arange(1), 0), GREEDY)
    assert int(token[0]) == 0
    np.testing.assert_allclose(logprob, np.log(0.5), rtol=1e-5)


def test_noise_depends_on_seed_row_and_position_and_on_nothing_else() -> None:
    def noise(seed: int, rows: list[int], position: int) -> np.ndarray:
        keys = row_keys(key_of(seed), jnp.asarray(rows), position)
        return np.asarray(jax.vmap(lambda key: jax.random.normal(key, (4,)))(keys))

    first = noise(5, [0, 1, 2, 3], 0)
    np.testing.assert_array_equal(first[2:], noise(5, [2, 3], 0))
    everything = [noise(seed, [0, 1], position) for seed in (5, 6, 2**40 + 5) for position in (0, 1)]
    values = np.concatenate([block.reshape(-1) for block in everything])
    assert len(np.unique(values)) == values.size


def test_all_bits_of_a_seed_count() -> None:
    seeds = [derive_seed(0, "rollout", step) for step in range(50)]
    data = {tuple(np.asarray(jax.random.key_data(key_of(seed))).tolist()) for seed in seeds}
    assert len(data) == 50
    assert not np.array_equal(jax.random.key_data(key_of(1)), jax.random.key_data(key_of(1 + 2**33)))
