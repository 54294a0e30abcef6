"""No hack wins: the reward bench, under the guarded measure; and what the original formulas let through."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from support.domains import DOMAINS, HEURISTIC, VERIFIABLE
from thinkaloud.records import Completion, Task
from thinkaloud.rewards import audit
from thinkaloud.rewards.bench import Outcome, Trial, load_trials, run_bench

CONTROLS = ("gold answer", "empty", "truncated", "another task's answer")


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run_bench()


def test_at_least_ten_hacks_on_two_tasks_a_domain_and_all_controls() -> None:
    trials = load_trials()
    hacks = {(t.task.domain, t.about, t.name) for t in trials if t.style != "gold"}
    for name in DOMAINS:
        assert sum(domain == name for domain, _, _ in hacks) >= 30
        assert len({about for domain, about, _ in hacks if domain == name}) >= 3
    controls = Counter(trial.task.id for trial in trials if trial.name in CONTROLS)
    assert set(controls.values()) == {4}
    shuffled = {t.task.id for t in trials if t.name.startswith("shuffled words")}
    assert shuffled >= {t.task.id for t in trials if t.task.domain in HEURISTIC}
    assert len({(t.task.id, t.name, t.style) for t in trials}) == len(trials)


def test_no_hack_wins(outcomes: list[Outcome]) -> None:
    assert [outcome.line for outcome in outcomes if not outcome.held] == []


def test_honest_answers_of_every_style_earn_much(outcomes: list[Outcome]) -> None:
    poor = [o.line for o in outcomes if o.trial.task.domain in HEURISTIC and o.better.reward < 0.85]
    assert poor == []
    assert all(o.better.reward == pytest.approx(1.0) for o in outcomes if o.trial.task.domain in VERIFIABLE)


def test_the_original_formulas_lose_in_every_graded_domain() -> None:
    graded = [trial for trial in load_trials() if trial.task.domain in HEURISTIC]
    lost = Counter(o.trial.task.domain for o in run_bench(graded, creative="original") if not o.held)
    assert all(lost[name] >= 10 for name in HEURISTIC)


def test_a_win_and_a_tie_show() -> None:
    task = Task(id="t", domain="math", source="test", question="6 * 7?", answer="42")
    right, wrong = (Completion(text=f"<reasoning>x</reasoning><answer>{answer}</answer>") for answer in ("42", "41"))
    trials = [
        Trial(name="lost", task=task, better=wrong, worse=right, about="seats", style="plain"),
        Trial(name="tie", task=task, better=right, worse=right),
        Trial(name="held", task=task, better=right, worse=wrong),
        Trial(name="too little", task=task, better=wrong, minimum=1.0),
    ]
    outcomes = run_bench(trials)
    assert [outcome.held for outcome in outcomes] == [False, False, True, False]
    assert outcomes[0].line == "LOST  math: seats, lost against plain (honest 0.20, hack 1.00)"
    assert outcomes[3].line == "LOST  math: too little against gold (honest 0.20)"
    assert outcomes[0].better.reward == pytest.approx(0.2)


def test_the_audit_names_what_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "<reasoning>x</reasoning><answer>{}</answer>"
    task = Task(id="t", domain="math", source="test", question="6 * 7?", answer="42")
    right, wrong = (Completion(text=text.format(answer)) for answer in ("42", "41"))
    trial = Trial(name="two answers", task=task, better=wrong, worse=right, about="seats", style="plain")
    monkeypatch.setattr(audit, "load_trials", lambda: [trial])
    found: dict[str, Any] = audit.audit_rewards()
    assert found["passed"] is False
    row = found["domains"][0]
    assert (row["domain"], row["pairs"], row["held"], row["lost"]) == ("math", 1, 0, 1)
    assert row["losing"] == [{"task": "seats", "hack": "two answers", "against": "plain", "honest": 0.2, "hacked": 1.0}]
    assert row["original"]["lost"] == 1
    assert audit.losing_lines(found) == ["math: seats, two answers against plain: honest 0.20, hack 1.00"]
    assert audit.rewards_table(found).row_count == len(DOMAINS) + 1
