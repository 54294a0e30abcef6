from __future__ import annotations

from dataclasses import replace

from thinkaloud.model.attention import SCORE_BYTES
from thinkaloud.model.config import tiny_config
from thinkaloud.train.microbatch import (
    CPU_BUDGET_BYTES,
    SMALLEST_BUDGET_BYTES,
    USABLE_SHARE,
    Footprint,
    UpdateShape,
    bytes_per_token,
    saved_bytes_per_token,
    split_rows,
    temporary_bytes,
    update_budget_bytes,
)

CONFIG = tiny_config()
PLAIN = Footprint(config=CONFIG)
EACH = bytes_per_token(PLAIN, 100)


def test_rows_are_split_into_equal_powers_of_two_under_the_budget() -> None:
    assert split_rows([100] * 7, PLAIN, 400 * EACH) == [[0, 1, 2, 3], [4, 5, 6]]
    assert split_rows([100] * 7, PLAIN, 300 * EACH) == [[0, 1], [2, 3], [4, 5], [6]]
    assert split_rows([100] * 7, PLAIN, 900 * EACH) == [[0, 1, 2, 3, 4, 5, 6]]


def test_the_longest_row_counts() -> None:
    assert split_rows([10, 10, 200, 10], PLAIN, 400 * EACH, attended=100) == [[0, 1], [2, 3]]


def test_a_row_over_the_budget_goes_alone() -> None:
    assert split_rows([500, 500], PLAIN, 100 * EACH) == [[0], [1]]


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


def test_longer_rows_take_more_a_token() -> None:
    assert bytes_per_token(PLAIN, 1000) - EACH == 2 * 4 * CONFIG.num_heads * 900


def test_temporaries_are_those_of_a_layer_or_of_the_head() -> None:
    small = UpdateShape(2, 4, 128, 128, 1024, 1024)
    assert temporary_bytes(CONFIG, small, backward=True) > temporary_bytes(CONFIG, small, backward=False)
    longer = small._replace(prompt_length=4096)
    added = temporary_bytes(CONFIG, longer, backward=False) - temporary_bytes(CONFIG, small, backward=False)
    assert added > 4 * 2 * CONFIG.num_heads * (4096**2 - 128**2)  # two arrays of scores, at least
    longest = small._replace(prompt_length=16_384)
    dense = temporary_bytes(CONFIG, small._replace(prompt_length=0, input_length=0), backward=True)
    assert temporary_bytes(CONFIG, longest, backward=True) == 2 * SCORE_BYTES + dense  # in blocks


def test_the_budget_is_what_the_device_has_beside_what_stays() -> None:
    held = Footprint(config=CONFIG, resident_bytes=10**10)
    assert update_budget_bytes(held, "gpu", 10**11) == int(USABLE_SHARE * 10**11) - 10**10
    assert update_budget_bytes(held, "cpu", 10**11) == CPU_BUDGET_BYTES
    assert update_budget_bytes(held, "gpu", 10**10) == SMALLEST_BUDGET_BYTES
    assert SMALLEST_BUDGET_BYTES <= update_budget_bytes(PLAIN) <= CPU_BUDGET_BYTES
