"""Health warnings are raised once, and cleared with hysteresis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.healthy import GOOD
from thinkaloud.tracking.health import Event, Health


def look(health: Health, first: int, rows: list[dict[str, Any]]) -> list[Event]:
    return [event for i, row in enumerate(rows) for event in health.update({**GOOD, "step": first + i, **row})]


def test_a_run_that_is_well_is_not_disturbed() -> None:
    assert look(Health(), 1, [{}] * 100) == []


def test_a_cold_start_s_rows_lack_most_of_it() -> None:
    health = Health("cold_start")
    assert [e for n in range(30) for e in health.update({"step": n, "loss": 1.0, "format_rate": None})] == []


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "zero_std_fraction": (
        {"zero_std_fraction": 1.0},
        {"zero_std_fraction": 0.8},
        "100%",
    ),
    "no_format": ({"format_rate": 0.0}, {"format_rate": 0.03}, "100%"),
    "truncation": ({"truncated_rate": 0.4}, {"truncated_rate": 0.22}, "26%"),
    "kl": ({"kl": 2.0}, {"kl": 0.3}, "0.81 nats"),
    "entropy": ({"entropy": 0.1}, {"entropy": 0.25}, "90%"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_warning_is_raised_once_and_cleared_with_hysteresis(name: str) -> None:
    bad, edge, words = BAD[name]
    health = Health()
    assert look(health, 1, [{}] * 10) == []
    raised = look(health, 11, [bad] * 30)
    assert [(event.check, event.state) for event in raised] == [(name, "raised")]
    assert health.raised == (name,)
    assert raised[0].step <= 15
    assert raised[0].remedy
    assert look(health, 41, [bad, edge] * 10 + [edge] * 10) == []  # no events between the thresholds
    settled = look(health, 71, [bad] * 5)
    assert settled == []
    assert words in [*raised, *look(Health(), 1, [{}] * 10 + [bad] * 10)][-1].message
    cleared = look(health, 76, [{}] * 10)
    assert [(event.check, event.state) for event in cleared] == [(name, "cleared")]
    assert cleared[0].message.startswith("no longer: ")
    assert health.raised == ()


def test_one_bad_step_is_no_warning() -> None:
    rows: list[dict[str, Any]] = [{}] * 40
    for i, (bad, _, _) in enumerate(BAD.values()):
        rows[8 * i] = bad
    assert [event.check for event in look(Health(), 1, rows) if event.check != "kl"] == []


def test_gradients_that_are_not_finite_are_counted_in_a_row() -> None:
    health = Health()
    events = look(health, 1, [{}, {"skipped_updates": 1, "grad_norm": None}, {}])
    assert [(event.check, event.step) for event in events] == [("not_finite", 2)]
    assert (health.not_finite, health.last_good) == (0, 3)
    look(health, 4, [{"skipped_updates": 2}] * 3)
    assert (health.not_finite, health.last_good) == (3, 3)
    cleared = look(health, 7, [{}] * 5)
    assert [(event.check, event.state) for event in cleared] == [("not_finite", "cleared")]


def test_reward_that_rises_while_accuracy_falls() -> None:
    def rows(reward: Callable[[int], float], accuracy: Callable[[int], float]) -> list[dict[str, Any]]:
        return [{"reward": reward(i), "accuracy": accuracy(i)} for i in range(60)]

    hacked = look(Health(), 1, rows(lambda i: 0.3 + i / 100, lambda i: 0.6 - i / 200))
    assert [(event.check, event.state) for event in hacked] == [("reward_without_accuracy", "raised")]
    assert look(Health(), 1, rows(lambda i: 0.3 + i / 100, lambda i: 0.3 + i / 100)) == []
    assert look(Health(), 1, rows(lambda i: 0.6 - i / 200, lambda i: 0.6 - i / 200)) == []
    assert look(Health(), 1, rows(lambda i: 0.3 + i / 100, lambda i: None)) == []  # type: ignore[arg-type, return-value]


def test_one_domain_that_collapses_is_named() -> None:
    health = Health()
    fallen = {"domains": {"math": {"n": 8, "reward": 0.05}, "logic": {"n": 8, "reward": 0.6}}}
    events = look(health, 1, [{}] * 8 + [fallen] * 8)
    assert [(event.check, event.state) for event in events] == [("domain math", "raised")]
    assert "math" in events[0].message
    assert "68%" in events[0].message  # six of eight groups at a tenth of the reward
    assert "--domain math" in events[0].remedy
    assert [event.state for event in look(health, 17, [{}] * 8)] == ["cleared"]


def test_two_bad_groups_of_a_domain_are_luck() -> None:
    fallen = {"domains": {"math": {"n": 8, "reward": 0.05}}}
    assert look(Health(), 1, [{}] * 8 + [fallen] * 2 + [{}] * 8) == []


def test_one_step_of_hard_tasks_after_one_of_easy_ones_is_luck() -> None:
    def step(reward: float) -> dict[str, Any]:
        return {"domains": {"math": {"n": 64, "reward": reward}}}

    assert look(Health(), 1, [step(reward) for reward in (0.34, 0.43, 0.76, 0.37, 0.25, 0.5, 0.2)]) == []
    events = look(Health(), 1, [step(0.76)] * 5 + [step(0.2)] * 5)
    assert [(event.check, event.state) for event in events] == [("domain math", "raised")]
    assert events[0].step == 10, "0.2 is 74 % less than 0.76; four such steps and one of before have lost 59 %"


def test_a_domain_that_never_earned_has_nothing_to_lose() -> None:
    poor = {"domains": {"math": {"n": 8, "reward": 0.04}}}
    none = {"domains": {"math": {"n": 8, "reward": 0.0}}}
    absent = {"domains": {"math": {"n": 0, "reward": None}}}
    assert look(Health(), 1, [poor] * 8 + [none] * 8 + [absent] * 5) == []


def test_a_resumed_run_has_the_same_state() -> None:
    rows = [{**GOOD, "step": i, "truncated_rate": 0.5 if i > 20 else 0.0} for i in range(1, 41)]
    whole, resumed = Health(), Health()
    told = [event for row in rows for event in whole.update(row)]
    resumed.replay(rows[:30])
    assert resumed.raised == ("truncation",)
    again = [event for row in rows[30:] for event in resumed.update(row)]
    assert [event for event in told if event.step > 30] == again == []


def test_validation_below_that_before_training_is_raised_after_two_of_them() -> None:
    health = Health()

    def validated(reward: float) -> list[dict[str, Any]]:
        return [{"validation": {"n": 28, "reward": reward, "start": 0.5}}, *[{}] * 4]

    assert look(health, 1, validated(0.3)) == []  # a single one is noise
    (raised,) = look(health, 6, validated(0.34))
    assert (raised.check, raised.state, raised.step) == ("validation", "raised", 6)
    assert raised.value == pytest.approx(0.18)
    assert "grpo.learning_rate" in raised.remedy
    assert look(health, 11, validated(0.4)) == []
    assert [event.state for event in look(health, 16, validated(0.6))] == ["cleared"]
