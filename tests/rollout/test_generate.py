"""The rollout against plain forward passes: argmax tokens, equal log-probabilities, independent of the batching."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.model.architecture import head_weight
from thinkaloud.model.load import Model
from thinkaloud.model.lora import TARGETS, init_adapter
from thinkaloud.model.packed import forward, pack
from thinkaloud.records import Finish
from thinkaloud.rollout import Sampled, Sampling, decode_batch, generate
from thinkaloud.rollout.sampling import GREEDY

PROMPTS = [[2, 70, 71, 72], list(range(100, 150)), [2, 80], [2, 90, 91, 92, 93, 94, 95]]
NOISY = Sampling(temperature=0.7, top_k=0, top_p=1.0)
run = jax.jit(forward, static_argnames=("config", "scale", "collect"))


def adapter_of(model: Model) -> Any:
    """An adapter with a clear effect on the model."""
    adapter = init_adapter(model.config, 2, TARGETS, seed=3)
    return jax.tree.map(lambda leaf: leaf + 0.02, adapter)


def plain_logits(model: Model, adapter: Any, tokens: list[int], scale: float) -> np.ndarray:
    hidden, _ = run(model.params, adapter, pack([tokens], [[]]), model.config, scale)
    head = head_weight(model.params)
    return np.asarray(hidden[: len(tokens)].astype(head.dtype).astype(jnp.float32) @ head.astype(jnp.float32).T)


def sampled(model: Model, sampling: Sampling = NOISY, **changes: Any) -> list[list[Sampled]]:
    arguments: dict[str, Any] = {"group_size": 3, "max_new_tokens": 12, "stop_ids": [1, 4], "seed": 11, "scale": 2.0}
    arguments |= changes
    prompts = arguments.pop("prompts", PROMPTS)
    adapter = arguments.pop("adapter", {})
    return generate(model, adapter, prompts, sampling=sampling, **arguments)


@pytest.mark.parametrize("adapted", [False, True])
def test_greedy_decoding_is_the_argmax_of_the_plain_forward_pass(tiny_model: Model, adapted: bool) -> None:
    adapter = adapter_of(tiny_model) if adapted else {}
    groups = sampled(tiny_model, GREEDY, adapter=adapter, group_size=1, max_new_tokens=40)
    for prompt, (one,) in zip(PROMPTS, groups, strict=True):
        logits = plain_logits(tiny_model, adapter, [*prompt, *one.token_ids], 2.0)
        assert one.token_ids == tuple(logits[len(prompt) - 1 : -1].argmax(-1).tolist())
    assert max(len(prompt) for prompt in PROMPTS) + 40 > (tiny_model.config.sliding_window or 0) > 0


def test_log_probabilities_are_the_trainers(tiny_model: Model) -> None:
    adapter = adapter_of(tiny_model)
    for prompt, group in zip(PROMPTS, sampled(tiny_model, adapter=adapter), strict=True):
        for one in group:
            logits = plain_logits(tiny_model, adapter, [*prompt, *one.token_ids], 2.0)[len(prompt) - 1 : -1]
            logprobs = jax.nn.log_softmax(logits / np.float32(0.7), axis=-1)
            expected = logprobs[np.arange(len(one.token_ids)), np.asarray(one.token_ids)]
            np.testing.assert_allclose(one.logprobs, expected, atol=1e-4)


def test_a_completion_holds_its_stop_token_and_nothing_after_it(tiny_model: Model) -> None:
    """Invariant 2, the rollout's half: with many stop tokens most rows end early, at various lengths."""
    stops = [1, 4, *range(0, 261, 12)]
    finished = 0
    for group in sampled(tiny_model, stop_ids=stops, group_size=8, max_new_tokens=30):
        for one in group:
            assert len(one.token_ids) == len(one.logprobs) <= 30
            assert not set(one.token_ids[:-1]) & set(stops)
            assert (one.token_ids[-1] in stops) == (one.finish is Finish.STOP)
            assert one.finish is Finish.STOP or len(one.token_ids) == 30
            finished += one.finish is Finish.STOP
    assert finished > 16


def test_rows_do_not_depend_on_the_batch_nor_on_closer_packing(tiny_model: Model) -> None:
    """The same seed gives the same completions in one batch, in small ones, and where rows end early."""
    together = sampled(tiny_model, group_size=4, max_new_tokens=24)
    apart = sampled(tiny_model, group_size=4, max_new_tokens=24, batch_prompts=1)
    assert [[one.token_ids for one in group] for group in together] == [
        [one.token_ids for one in group] for group in apart
    ]
    stops = [1, 4, *range(0, 261, 12)]
    for whole, cut in zip(together, sampled(tiny_model, group_size=4, max_new_tokens=24, stop_ids=stops), strict=True):
        for one, other in zip(whole, cut, strict=True):
            assert one.token_ids[: len(other.token_ids)] == other.token_ids


def test_another_seed_gives_other_noise(tiny_model: Model) -> None:
    """Invariant 5: reproducible, never repeated."""
    first, again, other = (sampled(tiny_model, seed=seed) for seed in (11, 11, 12))
    assert first == again
    texts = [one.token_ids for groups in (first, other) for group in groups for one in group]
    assert len(set(texts)) == len(texts)


def test_pad_may_be_a_stop_token_and_occur_in_prompts(tiny_model: Model) -> None:
    """Invariant 7: the padding value (0) inside prompts and completions is a token like any other."""
    prompt = [0, 0, 70, 0, 71]
    (group,) = sampled(tiny_model, GREEDY, prompts=[prompt], group_size=1, stop_ids=[0], max_new_tokens=5)
    logits = plain_logits(tiny_model, {}, [*prompt, *group[0].token_ids], 1.0)
    assert group[0].token_ids == tuple(logits[len(prompt) - 1 : -1].argmax(-1).tolist())
    beside = sampled(tiny_model, GREEDY, prompts=[prompt, PROMPTS[1]], group_size=1, stop_ids=[0], max_new_tokens=5)
    assert beside[0][0].token_ids == group[0].token_ids


def test_adapters_too_small_for_bfloat16_weights_still_count(tiny_model: Model) -> None:
    """The sampler's log-probabilities are the trainer's, for an adapter that merging would round away."""
    half = replace(tiny_model, params=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tiny_model.params))
    adapter = jax.tree.map(lambda leaf: leaf * np.float32(0.2), adapter_of(tiny_model))
    off, moved = [], []
    for prompt, group in zip(PROMPTS, sampled(half, adapter=adapter), strict=True):
        for one in group:
            said = (np.arange(len(one.token_ids)), np.asarray(one.token_ids))
            expected, base = (
                jax.nn.log_softmax(
                    plain_logits(half, pairs, [*prompt, *one.token_ids], 2.0)[len(prompt) - 1 : -1] / np.float32(0.7)
                )[said]
                for pairs in (adapter, {})
            )
            off.append(np.abs(np.asarray(one.logprobs) - expected).max())
            moved.append(np.abs(expected - base).max())
    assert np.mean(off) < 0.1 * np.mean(moved)  # single sums may still round differently


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_accelerators_decode_with_gives_the_same_tokens(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """Fused projections with the adapter in them, and the GPU's kernel, interpreted: greedy tokens do not change."""
    model = replace(tiny_model, params=jax.tree.map(lambda leaf: leaf.astype(dtype), tiny_model.params))
    plain = sampled(model, GREEDY, adapter=adapter_of(model), max_new_tokens=40, stop_ids=[])
    monkeypatch.setattr(decode_batch, "fuses", lambda mesh: True)
    monkeypatch.setattr(decode_batch, "uses_kernel", lambda *of: True)
    fused = sampled(model, GREEDY, adapter=adapter_of(model), max_new_tokens=40, stop_ids=[])
    for group, other in zip(plain, fused, strict=True):
        for one, same in zip(group, other, strict=True):
            assert one.token_ids == same.token_ids
            np.testing.assert_allclose(one.logprobs, same.logprobs, atol=1e-4 if dtype == "float32" else 0.05)
