from __future__ import annotations

from thinkaloud.model.config import tiny_config
from thinkaloud.train.microbatch import activation_budget_bytes, saved_bytes_per_token, split_rows

CONFIG = tiny_config()
EACH = saved_bytes_per_token(CONFIG)


def test_rows_are_split_evenly_under_the_budget() -> None:
    assert split_rows([100] * 7, CONFIG, 400 * EACH) == [[0, 1, 2, 3], [4, 5, 6]]
    assert split_rows([100] * 7, CONFIG, 300 * EACH) == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_longest_row_counts() -> None:
    assert split_rows([10, 10, 200, 10], CONFIG, 400 * EACH) == [[0, 1], [2, 3]]


def test_a_row_over_the_budget_goes_alone() -> None:
    assert split_rows([500, 500], CONFIG, 100 * EACH) == [[0], [1]]


def test_what_is_saved_is_counted_by_hand() -> None:
    # queries and what was attended, keys and values, residual, attention out and MLP out, gate and up
    c = CONFIG
    widths = 2 * c.num_heads * c.head_dim + 2 * c.num_kv_heads * c.head_dim + 3 * c.hidden_size
    assert 4 * c.num_layers * (widths + 2 * c.intermediate_size) == EACH


def test_there_is_a_budget_on_this_device() -> None:
    assert activation_budget_bytes() >= 2**28
