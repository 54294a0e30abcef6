"""How many prompts are decoded at once: by hand, and with the same completions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from thinkaloud.model import footprint
from thinkaloud.model.config import tiny_config
from thinkaloud.model.footprint import USABLE_SHARE, Footprint
from thinkaloud.model.load import Model
from thinkaloud.model.packed import Buckets
from thinkaloud.rollout import Sampling, generate
from thinkaloud.rollout.batch_size import DECODED_LOGITS, decoding_bytes, prompts_at_once

CONFIG = tiny_config()
PLAIN = Footprint(config=CONFIG)
ROWS: dict[str, Any] = {"group": 2, "slots": 100, "backend": "gpu"}
LENGTHS = [120, 90, 60, 30]


def needed(prompts: int) -> int:
    return sum(decoding_bytes(PLAIN, Buckets(), LENGTHS, prompts, **ROWS).values())


def fitting(wanted: int, memory: int, **changes: Any) -> int:
    return prompts_at_once(wanted, PLAIN, Buckets(), LENGTHS, **{**ROWS, **changes}, memory_bytes=memory)


def memory_for(prompts: int) -> int:
    return int(needed(prompts) / USABLE_SHARE) + 2


def test_caches_and_logits_are_counted_by_hand() -> None:
    found = decoding_bytes(PLAIN, Buckets(), LENGTHS, 3, group=64, slots=100, backend="gpu")
    token = 2 * CONFIG.num_layers * CONFIG.num_kv_heads * CONFIG.head_dim * 4
    assert found["prompt cache"] == 4 * 128 * token  # three prompts in a batch of four, padded to 128 tokens
    logits, repacked = 4 * DECODED_LOGITS * 4 * 64 * CONFIG.vocab_size, 2 * 64 * 228 * token
    assert repacked > logits
    assert found["completion cache and temporaries"] == 4 * 64 * 100 * token + repacked


def test_as_many_prompts_as_fit_in_powers_of_two() -> None:
    assert fitting(64, memory_for(64)) == 64
    assert fitting(64, memory_for(64) - 1000) == 32
    assert fitting(50, memory_for(64)) == 50  # in a batch of 64
    assert fitting(50, memory_for(32)) == 32
    assert fitting(64, 0) == 1


def test_devices_share_the_prompts_and_on_a_cpu_the_memory() -> None:
    assert fitting(64, memory_for(16), shards=4) == 64
    assert fitting(64, 0, shards=4) == 4
    cpu: dict[str, Any] = {"group": 1, "slots": 100, "backend": "cpu"}
    four = sum(decoding_bytes(PLAIN, Buckets(), LENGTHS, 4, **cpu).values())
    memory = 4 * (int(four / USABLE_SHARE) + 2)
    assert fitting(64, memory, shards=4, **cpu) == 16


def test_without_a_known_memory_there_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "device_memory_bytes", lambda: None)
    assert prompts_at_once(64, PLAIN, Buckets(), LENGTHS, **ROWS) == 64


def test_fewer_prompts_at_once_sample_the_same_completions(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [[2, 70, 71, 72], list(range(100, 150)), [2, 80], [2, 90, 91, 92, 93, 94, 95]]
    done: list[int] = []

    def sampled(limit: Footprint | None) -> list[list[tuple[int, ...]]]:
        done.clear()
        groups = generate(
            tiny_model,
            {},
            prompts,
            group_size=2,
            max_new_tokens=12,
            sampling=Sampling(temperature=0.7, top_k=0, top_p=1.0),
            stop_ids=[1, 4],
            seed=11,
            footprint=limit,
            progress=lambda count, total: done.append(count),
        )
        return [[one.token_ids for one in group] for group in groups]

    free = sampled(None)
    assert done == [4]
    own = Footprint(config=tiny_model.config)
    two = sum(decoding_bytes(own, Buckets(), [50, 7], 2, group=2, slots=12, backend="cpu").values())
    monkeypatch.setattr(footprint, "device_memory_bytes", lambda: int(two / USABLE_SHARE) + 2)
    assert sampled(own) == free
    assert done == [2, 4]
    sampled(replace(own, resident_bytes=two))  # nothing is left
    assert done == [1, 2, 3, 4]
