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
    UpdateShape,
    free_bytes,
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
    # as for prompts alone of 100 tokens, where the scores are prompts * 100 * 100
    assert short == temporary_bytes(CONFIG, UpdateShape(10, 0, 100, 0, 1000, 1000), backward=True)


def test_temporaries_are_those_of_a_layer_or_of_the_head() -> None:
    small = UpdateShape(2, 4, 128, 128, 1024, 1024)
    assert temporary_bytes(CONFIG, small, backward=True) > temporary_bytes(CONFIG, small, backward=False)
    longer = small._replace(prompt_length=4096)
    added = temporary_bytes(CONFIG, longer, backward=False) - temporary_bytes(CONFIG, small, backward=False)
    assert added > 4 * 2 * CONFIG.num_heads * (4096**2 - 128**2)  # two arrays of scores, at least
    longest = small._replace(prompt_length=16_384)
    dense = temporary_bytes(CONFIG, small._replace(prompt_length=0, input_length=0), backward=True)
    assert temporary_bytes(CONFIG, longest, backward=True) == 2 * SCORE_BYTES + dense  # in blocks


def test_a_device_has_left_what_does_not_stay_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Footprint(config=CONFIG, resident_bytes=10**10)
    assert free_bytes(held, 10**11) == int(USABLE_SHARE * 10**11) - 10**10
    assert free_bytes(held, 10**10) == 0
    monkeypatch.setattr(footprint, "device_memory_bytes", lambda: None)
    assert free_bytes(held) is None
