"""`thinkaloud audit --rewards`: its result, and exit code 1 if a hack wins."""

from __future__ import annotations

import json

import pytest

from support.cli import Run
from support.domains import DOMAINS
from thinkaloud.records import Completion, Task
from thinkaloud.rewards import audit
from thinkaloud.rewards.bench import Trial

TASK = Task(id="t", domain="math", source="test", question="6 * 7?", answer="42")


def trial(better: str, worse: str) -> Trial:
    texts = (f"<reasoning>x</reasoning><answer>{answer}</answer>" for answer in (better, worse))
    honest, hacked = (Completion(text=text) for text in texts)
    return Trial(name="two answers", task=TASK, better=honest, worse=hacked, about="seats", style="plain")


def test_all_held(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "load_trials", lambda: [trial("42", "42 or 43")])
    ended = run("audit", "--rewards", "--json")
    found = json.loads(ended.out)
    assert (ended.code, found["passed"]) == (0, True)
    assert [row["domain"] for row in found["domains"]] == list(DOMAINS)


def test_a_hack_that_wins_fails_the_audit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "load_trials", lambda: [trial("41", "42")])
    ended = run("audit", "--rewards")
    assert ended.code == 1
    assert "LOST  math: seats, two answers against plain: honest 0.20, hack 1.00" in ended.out


def test_nothing_to_audit(run: Run) -> None:
    ended = run("audit")
    assert (ended.code, ended.out) == (2, "")
    assert "expected a recipe, found none" in ended.err
