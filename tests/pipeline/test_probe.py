from __future__ import annotations

import pytest

from thinkaloud.pipeline.probe import solved


@pytest.mark.parametrize(
    ("pass_rate", "set_aside", "text"),
    [
        (0.4, 8, "40% solved, 8 of 10 tasks always or never"),
        (
            0.01,
            9,
            "1% solved, 9 of 10 tasks always or never: GRPO has little to learn from; "
            "take a larger model or easier tasks",
        ),
        (0.97, 10, "97% solved, 10 of 10 tasks always or never: GRPO has little to learn from; take harder tasks"),
    ],
)
def test_a_probe_without_signal_says_what_to_change(pass_rate: float, set_aside: int, text: str) -> None:
    assert solved({"pass_rate": pass_rate, "set_aside": set_aside, "known": 10}) == text
