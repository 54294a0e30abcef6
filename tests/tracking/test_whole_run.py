"""The estimate of a whole run's time, by hand."""

from __future__ import annotations

import pytest

from thinkaloud.tracking.whole_run import Ahead, WholeRun

STAGES = [Ahead("evaluate:base", 100), Ahead("cold_start", 50), Ahead("grpo", 1000), Ahead("evaluate:trained", 100)]


def test_nothing_is_known_before_the_first_measurement() -> None:
    run = WholeRun(STAGES)
    assert run.seconds_left(0.0, 0.0) is None
    run.enter("evaluate:base", 0.0)
    assert run.seconds_left(5.0, 0.0) is None


def test_a_stage_that_was_never_seen_is_priced_like_the_others() -> None:
    run = WholeRun(STAGES)
    run.enter("evaluate:base", 10.0)
    # half of 100 tokens in 5 s: 0.1 s a token
    assert run.seconds_left(15.0, 0.5) == pytest.approx(0.1 * (50 + 50 + 1000 + 100))


def test_every_kind_has_its_own_price_once_it_was_seen() -> None:
    run = WholeRun(STAGES)
    run.enter("evaluate:base", 0.0)
    run.enter("cold_start", 10.0)  # 100 tokens in 10 s
    run.enter("grpo", 35.0)  # 50 tokens in 25 s
    # all: 150 tokens in 35 s, for GRPO; evaluations stay at 0.1 s
    assert run.seconds_left(35.0, 0.0) == pytest.approx(1000 * 35 / 150 + 10)
    # a tenth of GRPO in 50 s: 0.5 s a token
    assert run.seconds_left(85.0, 0.1) == pytest.approx(900 * 0.5 + 10)
    assert run.seconds_left(85.0, 0.1, stage_seconds=200.0) == pytest.approx(210)


def test_a_resumed_stage_counts_what_it_does_itself() -> None:
    run = WholeRun(STAGES)
    run.enter("grpo", 0.0, share_done=0.4)
    assert run.seconds_left(20.0, 0.5) == pytest.approx(500 * 0.2 + 100 * 0.2)


def test_stages_that_are_left_out_cost_nothing() -> None:
    run = WholeRun(STAGES)
    run.enter("evaluate:base", 0.0)
    run.enter("data", 10.0)  # not in the plan
    assert run.seconds_left(20.0, 0.0) == pytest.approx(0.1 * 1150)
    run.enter("evaluate:trained", 30.0)
    assert run.seconds_left(30.0, 0.0) == pytest.approx(10.0)
