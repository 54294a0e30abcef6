"""Gold answers of numeric columns keep their digits and lose the noise of their storage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.data.sources.number_text import number_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (22090603.0, "22090603"),
        (2.20906e07, "22090600"),
        (33.099998474121094, "33.1"),
        (0.1 + 0.2, "0.3"),
        (1234567.875, "1234567.875"),
        (0.125, "0.125"),
        (-2.5, "-2.5"),
        (1e-7, "0.0000001"),
        (1e22, "10000000000000000000000"),
        (1 / 3, "0.3333333333333333"),
        (7, "7"),
        (0.0, "0"),
        (float("nan"), ""),
        (float("-inf"), ""),
    ],
)
def test_numbers(number: float, text: str) -> None:
    assert number_text(number) == text


@given(st.integers(-(10**9), 10**9), st.integers(0, 5))
def test_decimals_read_back_as_themselves(digits: int, places: int) -> None:
    number = digits / 10**places
    assert float(number_text(number)) == number


@given(st.integers(-99_999, 99_999), st.integers(0, 4))
def test_decimals_survive_a_float32_column(digits: int, places: int) -> None:
    number = digits / 10**places
    stored = struct.unpack("f", struct.pack("f", number))[0]
    assert float(number_text(stored)) == number
