"""Bytes by hand: what is saved for the backward pass, temporaries, what a device has left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thinkaloud.model import footprint
from thinkaloud.model.attention import SCORE_BYTES
from thinkaloud.model.config import tiny_config
from thinkaloud.model.footprint import (
    USABLE_SHARE,
    Footprint,
    free_bytes,
    num_scores,
    prefill_bytes,
    saved_bytes_per_token,
    temporary_bytes,
    update_bytes,
)

CONFIG = tiny_config()
PLAIN = Footprint(config=CONFIG)


def test_what_is_saved_is_counted_by_hand() -> None:
    # queries and what was attended, keys and values, residual, attention out and MLP out, gate and up
    c = CONFIG
    widths = 2 * c.num_heads * c.head_dim + 2 * c.num_kv_heads * c.head_dim + 3 * c.hidden_size
    widths += 2 * c.intermediate_size
    # and of each head the normalizer of its softmax
    assert saved_bytes_per_token(PLAIN) == 4 * c.num_layers * (widths + c.num_heads)
    # in two bytes a number, but for normalizers and what seven adapters of rank 4 keep
    half = replace(PLAIN, activation_itemsize=2, lora_width=28)
    assert saved_bytes_per_token(half) == c.num_layers * (2 * widths + 4 * (c.num_heads + 28))
    # with full rematerialization the input of each layer alone
    assert saved_bytes_per_token(replace(half, full_rematerialization=True)) == c.num_layers * 2 * c.hidden_size


def test_an_update_saves_and_needs_temporaries() -> None:
    saved = saved_bytes_per_token(PLAIN)
    short, longer = (update_bytes(PLAIN, 1000, attended) - 1000 * saved for attended in (100, 1000))
    assert longer - short == 2 * 4 * CONFIG.num_heads * 1000 * 900
    assert short == temporary_bytes(CONFIG, num_scores(10, 100), 1000)


def test_scores_are_of_prompts_and_of_completions() -> None:
    assert num_scores(2, 128) == 2 * 128 * 128
    assert num_scores(2, 128, 4, 100) == 2 * 128 * 128 + 2 * 4 * 100 * 228


def test_temporaries_are_those_of_a_layer_or_of_the_head() -> None:
    small, longer = num_scores(2, 128, 4, 128), num_scores(2, 1024, 4, 128)
    assert temporary_bytes(CONFIG, small, 1024) > prefill_bytes(CONFIG, small, 1024, "cpu")
    assert prefill_bytes(CONFIG, longer, 1024, "cpu") == 4 * 2 * CONFIG.num_heads * longer  # two arrays of scores
    dense = temporary_bytes(CONFIG, 0, 1024)
    assert temporary_bytes(CONFIG, num_scores(2, 16_384), 1024) == 2 * SCORE_BYTES + dense  # in blocks
    assert prefill_bytes(CONFIG, 0, 1024, "gpu") == pytest.approx(1.9 * prefill_bytes(CONFIG, 0, 1024, "cpu"), abs=1)


def test_a_device_has_left_what_does_not_stay_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Footprint(config=CONFIG, resident_bytes=10**10)
    assert free_bytes(held, 10**11) == int(USABLE_SHARE * 10**11) - 10**10
    assert free_bytes(held, 10**10) == 0
    monkeypatch.setattr(footprint, "device_memory_bytes", lambda: None)
    assert free_bytes(held) is None
