"""The measure of speed measures what it says; how fast it must be is no matter of tests."""

from __future__ import annotations

from thinkaloud.rewards.speed import MEASURED, run_speed, speed_lines


def test_every_domain_but_coding_is_measured() -> None:
    found = run_speed(4, repeats=1)
    assert set(found["per_second"]) == set(MEASURED) == set(found["per_processor_second"])
    assert "coding" not in found["per_second"]
    assert 100 <= found["mean_words"] <= 400
    assert found["math_ratio"] > 0
    assert found["math_verify_per_second"] > 0
    assert len(speed_lines(found)) == len(MEASURED) + 4
