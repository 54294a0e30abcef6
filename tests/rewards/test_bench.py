"""No hack wins: the reward bench."""

from __future__ import annotations

from collections import Counter

import pytest

from thinkaloud.records import DOMAINS, Completion, Task
from thinkaloud.rewards.bench import Trial, load_trials, run_bench

CONTROLS = {"gold answer", "empty", "truncated", "another task's answer"}


def test_at_least_ten_hacks_a_domain_and_all_controls() -> None:
    trials = load_trials()
    hacks = Counter(trial.task.domain for trial in trials if trial.name not in CONTROLS)
    assert set(hacks) == set(DOMAINS)
    assert min(hacks.values()) >= 10
    controls = Counter(trial.task.id for trial in trials if trial.name in CONTROLS)
    assert set(controls.values()) == {4}
    assert len({(trial.task.id, trial.name) for trial in trials}) == len(trials)


def test_no_hack_wins() -> None:
    outcomes = run_bench()
    assert [outcome.line for outcome in outcomes if not outcome.held] == []
    hacked = [o for o in outcomes if o.worse is not None]
    assert all(o.better.reward >= 0.95 for o in hacked)


def test_a_win_and_a_tie_show() -> None:
    task = Task(id="t", domain="math", source="test", question="6 * 7?", answer="42")
    right, wrong = (
        Completion(task_id="t", text=f"<reasoning>x</reasoning><answer>{answer}</answer>") for answer in ("42", "41")
    )
    trials = [
        Trial(name="lost", task=task, better=wrong, worse=right),
        Trial(name="tie", task=task, better=right, worse=right),
        Trial(name="held", task=task, better=right, worse=wrong),
        Trial(name="too little", task=task, better=wrong, minimum=1.0),
    ]
    outcomes = run_bench(trials)
    assert [outcome.held for outcome in outcomes] == [False, False, True, False]
    assert outcomes[0].line == "LOST  math: lost (honest 0.20, hack 1.00)"
    assert outcomes[3].line == "LOST  math: too little (honest 0.20)"
    assert outcomes[0].better.reward == pytest.approx(0.2)
