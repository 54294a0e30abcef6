"""Shared prefixes, packing and the chunked head give the numbers and the gradients of the plain way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden_files import golden_directory
from support.reference import plain_logprobs, random_adapter, run
from thinkaloud.model import head as head_module
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.head import chunk_size, token_logprobs
from thinkaloud.model.load import Model, load_model
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.packed import Buckets, bucketed, common_prefix, fill_rows, pack

PROMPTS = [[3, 9, 4, 4, 7, 2, 8, 11, 5, 6], [1, 12, 13], [20, 21, 22, 23, 24, 25]]
GROUPS = [
    [[5, 6, 7, 8, 9, 10, 11, 12], [13], [14, 15, 0]],
    [[1, 1, 1, 1], [], [2, 30, 31, 32, 33]],
    [[40, 41], [42, 43, 44, 45, 46, 47], [48, 49, 50]],
]
BEGINNING = [60 + i % 5 for i in range(35)]
"""What prompts have in common: two steps of the layout, and three tokens that stay with each prompt."""
TEMPERATURE = 0.7
SCALE = 2.0


def packed_objective(adapter: Any, model: Model, weights: Any, prompts: Any) -> Any:
    """A sum of weighted log-probabilities, different for every target, through the engine's layout."""
    packed = pack(prompts, GROUPS, token_bucket=16, prompt_bucket=8, completion_bucket=4)
    hidden, _ = run(model.params, adapter, packed, model.config, SCALE)
    targets = jnp.asarray(packed.targets)
    logprobs, _ = token_logprobs(head_weight(model.params), hidden[packed.predictors], targets, TEMPERATURE)
    spread = jnp.zeros(logprobs.shape).at[: len(weights)].set(weights)
    return jnp.sum(jnp.where(packed.target_valid, logprobs * spread, 0.0)), logprobs[: len(weights)]


def plain_objective(adapter: Any, model: Model, weights: Any, prompts: Any) -> Any:
    """The same, one joined sequence at a time."""
    rows = [
        plain_logprobs(model.params, adapter, prompt, completion, model.config, SCALE, TEMPERATURE)
        for prompt, members in zip(prompts, GROUPS, strict=True)
        for completion in members
        if completion
    ]
    logprobs = jnp.concatenate(rows)
    return jnp.sum(logprobs * weights), logprobs


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("tiny-gemma3", []), ("tiny-gemma3", BEGINNING), ("tiny-llama3", BEGINNING), ("tiny-qwen2", [])],
    ids=["gemma3", "gemma3-shared", "llama3-shared", "qwen2"],
)
def test_gradients_equal_the_plain_ones(
    name: str, beginning: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [[*beginning, *prompt] for prompt in PROMPTS]
    assert common_prefix(prompts) == len(beginning) // 16 * 16
    monkeypatch.setattr(head_module, "CHUNK_BYTES", 64 * 4 * 8)  # eight targets a chunk: several chunks
    model = load_model(golden_directory(name, tmp_path / name), "float32")
    adapter = random_adapter(init_adapter(model.config, 4, TARGETS, seed=1), seed=2)
    count = sum(len(completion) for members in GROUPS for completion in members)
    weights = jnp.asarray(np.random.default_rng(3).standard_normal(count).astype(np.float32))
    (_, ours), gradient = jax.value_and_grad(packed_objective, has_aux=True)(adapter, model, weights, prompts)
    (_, theirs), expected = jax.value_and_grad(plain_objective, has_aux=True)(adapter, model, weights, prompts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for leaf, wanted in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        assert leaf.dtype == jnp.float32
        assert np.abs(np.asarray(wanted)).max() > 1e-6
        np.testing.assert_allclose(leaf, wanted, rtol=1e-4, atol=1e-4)


def test_what_all_prompts_begin_with_stands_once() -> None:
    prompts = [[*BEGINNING, *prompt] for prompt in PROMPTS]
    packed = pack(prompts, [[]] * 3, token_bucket=1, prompt_bucket=1)
    assert packed.prefix_length == 32
    assert packed.tokens.tolist() == [*BEGINNING[:32], *(token for prompt in prompts for token in prompt[32:])]
    assert packed.positions[packed.last_of_prompt].tolist() == [len(prompt) - 1 for prompt in prompts]
    assert pack([BEGINNING] * 2, [[], []]).prefix_length == 32
    assert pack([BEGINNING], [[]]).prefix_length == 0
    assert pack([BEGINNING[:16]] * 2, [[], []]).prefix_length == 0  # a token of each prompt is its own


def test_no_token_is_fed_in_that_predicts_nothing() -> None:
    packed = pack(PROMPTS, GROUPS, token_bucket=1, prompt_bucket=1, completion_bucket=1)
    prompt_tokens = sum(map(len, PROMPTS))
    inputs = sum(max(0, len(c) - 1) for members in GROUPS for c in members)
    assert packed.tokens.shape == (prompt_tokens + inputs,)
    assert packed.token_valid.all()
    assert packed.target_valid.sum() == sum(len(c) for members in GROUPS for c in members)


def test_entropy_is_that_of_the_distribution_at_its_temperature() -> None:
    rng = np.random.default_rng(0)
    weight, hidden = (jnp.asarray(rng.standard_normal(shape).astype(np.float32)) for shape in ((11, 4), (6, 4)))
    logprobs, entropies = token_logprobs(weight, hidden, jnp.arange(6), 0.5)
    p = np.exp(np.asarray(hidden) @ np.asarray(weight).T / 0.5)
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(entropies, -(p * np.log(p)).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(logprobs, np.log(p[np.arange(6), np.arange(6)]), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.3])
def test_the_gradient_of_log_probability_and_entropy(temperature: float) -> None:
    """Against JAX's own gradient of the plain formulas; with the bonus off, the entropy has none."""
    rng = np.random.default_rng(1)
    weight, hidden = (jnp.asarray(rng.standard_normal(shape).astype(np.float32)) for shape in ((11, 4), (6, 4)))
    targets, mix = jnp.arange(6), jnp.asarray(rng.standard_normal((2, 6)).astype(np.float32))

    def plain(hidden: Any, entropy_share: float) -> Any:
        log_p = jax.nn.log_softmax(hidden @ weight.T / np.float32(temperature))
        entropies = -(jnp.exp(log_p) * log_p).sum(-1)
        return (mix[0] * log_p[jnp.arange(6), targets]).sum() + np.float32(entropy_share) * (mix[1] * entropies).sum()

    def ours(hidden: Any, entropy_gradient: bool) -> Any:
        logprobs, entropies = token_logprobs(weight, hidden, targets, temperature, entropy_gradient=entropy_gradient)
        return (mix[0] * logprobs).sum() + (mix[1] * entropies).sum()

    for with_bonus in (True, False):
        expected = jax.grad(plain)(hidden, float(with_bonus))
        np.testing.assert_allclose(jax.grad(ours)(hidden, with_bonus), expected, atol=2e-6)


def test_logits_are_never_held_whole() -> None:
    """Gemma's vocabulary: 1,024 targets would take a gigabyte; the compiled program needs a fraction of it."""
    vocab, width, targets = 262_144, 8, 1024
    compiled = (
        jax.jit(jax.grad(lambda h, w, t: token_logprobs(w, h, t, 1.0)[0].sum()))
        .lower(
            jax.ShapeDtypeStruct((targets, width), jnp.float32),
            jax.ShapeDtypeStruct((vocab, width), jnp.float32),
            jax.ShapeDtypeStruct((targets,), jnp.int32),
        )
        .compile()
    )
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * targets * vocab / 3
    assert targets % chunk_size(vocab, targets) == 0


@pytest.mark.parametrize(("count", "size"), [(0, 64), (1, 64), (65, 128), (1024, 1024), (1175, 1280), (2049, 2304)])
def test_sizes_are_few_and_padding_is_small(count: int, size: int) -> None:
    assert bucketed(count) == size
    assert len({bucketed(n) for n in range(2**13 + 1, 2**14 + 1)}) == 8
    assert {bucketed(n, 2) for n in range(2**13 + 1, 2**14 + 1)} == {3 * 2**12, 2**14}


def test_chunks_without_a_valid_target_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-probabilities and gradients are those of the valid targets alone; the others are 0."""
    monkeypatch.setattr(head_module, "CHUNK_BYTES", 2 * 4 * 11)  # two targets a chunk
    rng = np.random.default_rng(2)
    weight, hidden = (jnp.asarray(rng.standard_normal(shape).astype(np.float32)) for shape in ((11, 4), (8, 4)))
    targets, valid = jnp.arange(8), jnp.arange(8) < 3

    def total(hidden: Any, valid: Any) -> Any:
        logprobs, _ = token_logprobs(weight, hidden, targets, 1.0, valid=valid)
        return jnp.sum(jnp.where(jnp.arange(8) < 3, logprobs, 0.0)), logprobs

    (_, logprobs), gradient = jax.value_and_grad(total, has_aux=True)(hidden, valid)
    (_, expected), all_gradient = jax.value_and_grad(total, has_aux=True)(hidden, jnp.ones(8, bool))
    np.testing.assert_allclose(logprobs, np.where(np.arange(8) < 4, expected, 0.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, all_gradient, rtol=1e-6)


def test_the_number_of_targets_adds_no_shape() -> None:
    few, many = (
        pack(PROMPTS, [[[5] * count, [6]] for count in counts], completion_bucket=16)
        for counts in ((1, 2, 3), (9, 9, 9))
    )
    assert few.targets.shape == many.targets.shape == few.tokens.shape
    wide = pack([[1], [2]], [[[5]] * 40, [[6]] * 40])  # more targets than inputs
    assert wide.target_valid.sum() == 80


@pytest.mark.parametrize(("backend", "longest", "slots"), [("cpu", 300, 320), ("gpu", 300, 512), ("tpu", 513, 1024)])
def test_accelerators_have_two_sizes_of_prompts(backend: str, longest: int, slots: int) -> None:
    buckets = Buckets.of(backend, 1024)
    assert pack([[1] * longest], [[]], prompt_bucket=buckets.prompt).prompt_length == slots


def test_the_prefix_is_the_contracts_where_the_prompts_share_it() -> None:
    buckets = Buckets(prefix=16)
    assert buckets.prefix_of([[1] * 40 + [2], [1] * 40 + [3]]) == 16
    assert buckets.prefix_of([[4] * 20, [5] * 20]) == 0
    assert Buckets().prefix_of([[1] * 40 + [2], [1] * 40 + [3]]) == 32


def test_completions_share_rows() -> None:
    assert fill_rows([5, 0, 3, 8, 2, 3], 8) == ([8, 0, 13, 0, 19, 16], 3), "longest first, each into the first room"
    assert fill_rows([], 8) == ([], 0)
    assert fill_rows([0, 0], 8) == ([0, 0], 0)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(9, 20))
def test_no_completion_crosses_the_end_of_its_row(lengths: list[int], size: int) -> None:
    first, rows = fill_rows(lengths, size)
    taken = [slot for start, length in zip(first, lengths, strict=True) for slot in range(start, start + length)]
    assert len(set(taken)) == len(taken) == sum(lengths)
    assert all(
        start // size == (start + length - 1) // size for start, length in zip(first, lengths, strict=True) if length
    )
    assert rows == max((slot // size + 1 for slot in taken), default=0) <= len(lengths)


@pytest.mark.parametrize(("shares", "rows"), [((), 3), ((1 / 4, 1 / 2, 3 / 4), 4), ((1 / 2,), 4), ((1 / 4,), 8)])
def test_the_number_of_rows_is_one_of_few(shares: tuple[float, ...], rows: int) -> None:
    groups = [[[1] * 6] * 8, [[2] * 2] * 8]  # inputs of 5 and 1 tokens: 8 x 5 fit into three rows of 16
    assert pack([[1], [2]], groups, completion_bucket=16, row_shares=shares).own_offsets.shape == (2, rows, 16)
