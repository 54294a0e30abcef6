"""Plans against a simulated clock."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.pipeline.deadline import HEADROOM, Plan, Planner


class Clock:
    """Moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(
    planner: Planner, clock: Clock, step_seconds: Callable[[int], float], evaluation: float, report: float = 3.0
) -> tuple[int, list[Plan]]:
    """Take steps as the trainer does, then evaluate and report; returns the steps taken and the plans made."""
    done, plans = 0, []
    if plan := planner.replan(done):
        plans.append(plan)
    while planner.plan is not None and done < planner.plan.total_steps:
        seconds = step_seconds(done)
        clock.now += seconds
        planner.record_step(seconds)
        done += 1
        if plan := planner.replan(done):
            plans.append(plan)
    if planner.seconds_left > evaluation:
        clock.now += evaluation
    clock.now += report
    return done, plans


@settings(deadline=None, max_examples=60)
@given(
    budget=st.floats(300, 9 * 3600),
    share=st.floats(0.002, 0.02),
    drift=st.floats(0.4, 2.5),
    noise=st.floats(0, 0.15),
    evaluation=st.floats(0.005, 0.1),
    compiling=st.floats(1, 5),
    seed=st.integers(0, 1000),
)
def test_never_late_and_never_idle(
    budget: float, share: float, drift: float, noise: float, evaluation: float, compiling: float, seed: int
) -> None:
    """From five minutes to nine hours, with steps that drift by a factor and wobble: done in time, and time used."""
    clock, rng = Clock(), random.Random(seed)
    end = clock.now + budget
    planner = Planner(budget, clock, most_steps=10**6)
    clock.now += evaluation * budget
    planner.record("evaluation", evaluation * budget)
    first = share * budget

    def step_seconds(step: int) -> float:
        past = (clock.now - (end - budget)) / budget
        wobble = 1 + noise * rng.uniform(-1, 1)
        return first * (1 + (drift - 1) * past) * wobble * (compiling if step == 0 else 1)

    done, plans = run(planner, clock, step_seconds, evaluation * budget, report=0.005 * budget)
    assert clock.now <= end
    assert planner.plan is not None
    assert done == planner.plan.total_steps
    reserve = planner.reserve().total
    slowest = max(first, first * drift) * (1 + noise)
    assert end - clock.now <= reserve + 2.5 * slowest  # no more is left than was kept, and a step or two
    assert all(plan.step <= plan.total_steps for plan in plans)


def test_the_recipe_s_steps_are_the_most() -> None:
    clock = Clock()
    planner = Planner(9 * 3600, clock, most_steps=7)
    done, plans = run(planner, clock, lambda _: 1.0, evaluation=60)
    assert (done, [plan.total_steps for plan in plans]) == (7, [7])


def test_the_first_step_compiles_and_is_forgotten() -> None:
    clock = Clock()
    planner = Planner(1000, clock, most_steps=10**6)
    for what in ("evaluation", "report", "saving"):
        planner.record(what, 10)
    planner.replan(0)
    clock.now += 100
    planner.record_step(100)
    first = planner.replan(1)
    assert first is not None
    assert first.total_steps == 1 + int((900 - 3 * HEADROOM * 10 - 20) / 100)
    clock.now += 10
    planner.record_step(10)
    second = planner.replan(2)
    assert second is not None
    assert second.total_steps == 2 + int((890 - 3 * HEADROOM * 10 - 20) / 10)
    assert "10 s" in second.reason
    assert "100 s" in second.reason


def test_a_plan_that_holds_is_not_made_again() -> None:
    clock = Clock()
    planner = Planner(10_000, clock, most_steps=10**6)
    done, plans = run(planner, clock, lambda step: 10.0 + step % 2, evaluation=100)
    assert 800 < done < 1000
    settled = [plan for plan in plans if plan.step < done - 100]
    assert len(settled) <= 7


def test_slower_steps_make_a_shorter_plan() -> None:
    clock = Clock()
    planner = Planner(3600, clock, most_steps=10**6)
    _, plans = run(planner, clock, lambda step: 10.0 if step < 100 else 20.0, evaluation=60)
    slower = next(plan for plan in plans if "before 10 s" in plan.reason and plan.step > 100)
    before = [plan for plan in plans if plan.step <= 100][-1]
    assert slower.total_steps < before.total_steps
    assert slower.step <= 120


def test_no_time_at_all_is_no_step() -> None:
    clock = Clock()
    planner = Planner(300, clock, most_steps=50)
    clock.now += 290
    plan = planner.replan(0)
    assert plan is not None
    assert (plan.total_steps, plan.reason) == (0, "no further step fits")


def test_what_was_measured_is_what_is_kept() -> None:
    clock = Clock()
    planner = Planner(3600, clock, most_steps=1)
    assert planner.reserve().evaluation == pytest.approx(240)
    planner.record("evaluation", 100)
    planner.record("evaluation", 50)
    assert planner.reserve().evaluation == pytest.approx(HEADROOM * 100)


def test_the_cold_start_has_its_share() -> None:
    clock = Clock()
    planner = Planner(3600, clock, most_steps=1)
    assert planner.cold_start_seconds() == pytest.approx(0.25 * (3600 - planner.reserve().total))
    clock.now += 4000
    assert planner.cold_start_seconds() == 0


def test_readings_of_the_base_are_left_out_where_its_evaluation_was_long() -> None:
    planner = Planner(1000.0, Clock(), 10)
    planner.record("evaluation", 50.0)
    assert planner.may_read()
    planner.record("evaluation", 50.1)
    assert not planner.may_read()
