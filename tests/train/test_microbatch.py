from __future__ import annotations

from thinkaloud.model.config import tiny_config
from thinkaloud.model.footprint import USABLE_SHARE, Footprint, update_bytes
from thinkaloud.train.microbatch import CPU_BUDGET_BYTES, SMALLEST_BUDGET_BYTES, split_rows, update_budget_bytes

CONFIG = tiny_config()
PLAIN = Footprint(config=CONFIG)


def budget(rows: int) -> int:
    """What rows of 128 tokens need, which are not padded any further."""
    return update_bytes(PLAIN, 128 * rows, 128)


def test_rows_are_split_into_equal_powers_of_two_under_the_budget() -> None:
    assert split_rows([128] * 7, PLAIN, budget(4)) == [[0, 1, 2, 3], [4, 5, 6]]
    assert split_rows([128] * 7, PLAIN, budget(4) - 1) == [[0, 1], [2, 3], [4, 5], [6]]
    assert split_rows([128] * 7, PLAIN, budget(7)) == [[0, 1, 2, 3, 4, 5, 6]]


def test_the_longest_row_counts() -> None:
    assert split_rows([10, 10, 256, 10], PLAIN, budget(4), attended=128) == [[0, 1], [2, 3]]


def test_a_row_over_the_budget_goes_alone() -> None:
    assert split_rows([500, 500], PLAIN, budget(1)) == [[0], [1]]


def test_padding_counts() -> None:
    """5 rows of 1,000 tokens are padded to 5,120 with eight sizes an octave, and to 6,144 with two."""
    need = {size: update_bytes(PLAIN, size, 1000) for size in (5120, 6144)}
    assert len(split_rows([1000] * 5, PLAIN, need[5120])) == 1
    assert len(split_rows([1000] * 5, PLAIN, need[5120], per_octave=2)) == 2
    assert len(split_rows([1000] * 5, PLAIN, need[6144], per_octave=2)) == 1


def test_devices_share_the_tokens() -> None:
    assert split_rows([128] * 8, PLAIN, 4 * budget(2), attended=128, shards=4) == [list(range(8))]
    assert len(split_rows([128] * 8, PLAIN, 4 * budget(2) - 4, attended=128, shards=4)) == 2


def test_the_budget_is_what_the_device_has_beside_what_stays() -> None:
    held = Footprint(config=CONFIG, resident_bytes=10**10)
    assert update_budget_bytes(held, "gpu", 10**11) == int(USABLE_SHARE * 10**11) - 10**10
    assert update_budget_bytes(held, "cpu", 10**11) == CPU_BUDGET_BYTES
    assert update_budget_bytes(held, "gpu", 10**10) == SMALLEST_BUDGET_BYTES
    assert SMALLEST_BUDGET_BYTES <= update_budget_bytes(PLAIN) <= CPU_BUDGET_BYTES
