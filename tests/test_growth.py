"""The helper that the tests of hostile texts use: it passes linear work and fails quadratic work."""

from __future__ import annotations

import pytest

from support.growth import assert_linear


def test_linear_work_passes_and_quadratic_work_fails() -> None:
    assert_linear(lambda text: [character.upper() for character in text], "ab", size=160_000)
    with pytest.raises(AssertionError, match="for 3200 characters"):
        assert_linear(lambda text: sum(1 for _ in range(len(text) ** 2)), "ab", size=3_200)
