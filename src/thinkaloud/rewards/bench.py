"""The reward bench: honest answers against hacks. No hack may win, and a tie is a win.

`bench.jsonl` holds, for every domain, pairs of completions of one task: one that an honest solver writes, one that was
made for the reward. Beside them every task is tried with completions that need no writing: its gold answer (full
marks), nothing, the gold answer cut off, the gold answer of another task. To add a pair, add a line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from thinkaloud.domains import domain
from thinkaloud.domains.base import CodeRunner
from thinkaloud.records import Completion, Finish, Score, Task, task_id
from thinkaloud.rewards.gold import gold_completion
from thinkaloud.rewards.scoring import score_batch

FULL_MARKS = 1.0
GRADED_FULL_MARKS = 0.95
"""What a gold answer must reach: in graded domains the measure is no verdict, and a hair's breadth is no matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One comparison: `better` must earn more than `worse`, or where there is no `worse` reach `minimum`."""

    name: str
    task: Task
    better: Completion
    worse: Completion | None = None
    minimum: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trial went; `held` is False where the reward can be had without the work."""

    trial: Trial
    better: Score
    worse: Score | None
    held: bool

    @property
    def line(self) -> str:
        """One line for a report."""
        earned = f"honest {self.better.reward:.2f}" + ("" if self.worse is None else f", hack {self.worse.reward:.2f}")
        return f"{'held' if self.held else 'LOST'}  {self.trial.task.domain}: {self.trial.name} ({earned})"


def load_trials() -> list[Trial]:
    """All trials: the pairs of `bench.jsonl`, then the controls of each of its tasks."""
    pairs: list[Trial] = []
    for line in files("thinkaloud.rewards").joinpath("bench.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        task = _task(row)
        honest, hacked = (Completion(task_id=task.id, text=row[name]) for name in ("honest", "hacked"))
        pairs.append(Trial(name=row["hack"], task=task, better=honest, worse=hacked))
    return pairs + _controls(pairs)


def _task(row: dict[str, Any]) -> Task:
    honest = row["honest"]
    choices = tuple(row.get("choices", ()))
    return Task(
        id=task_id(row["domain"], row["question"], choices),
        domain=row["domain"],
        source="bench",
        question=row["question"],
        answer=row["answer"],
        rationale=honest[len("<reasoning>") : honest.index("</reasoning>")],
        tests=tuple(row.get("tests", ())),
        setup=row.get("setup", ""),
        choices=choices,
    )


def _controls(pairs: Sequence[Trial]) -> list[Trial]:
    tasks = list({pair.task.id: pair.task for pair in pairs}.values())
    trials = []
    for task in tasks:
        gold = gold_completion(task)
        full = FULL_MARKS if domain(task.domain).kind == "verifiable" else GRADED_FULL_MARKS
        others = [other for other in tasks if other.answer.casefold() != task.answer.casefold()]
        nearest = min(others, key=lambda other: other.domain != task.domain)
        cut = Completion(task_id=task.id, text=gold.text, finish=Finish.LENGTH)
        trials += [
            Trial(name="gold answer", task=task, better=gold, minimum=full),
            Trial(name="empty", task=task, better=gold, worse=Completion(task_id=task.id, text="")),
            Trial(name="truncated", task=task, better=gold, worse=cut),
            Trial(name="another task's answer", task=task, better=gold, worse=gold_completion(nearest)),
        ]
    return trials


def run_bench(trials: Sequence[Trial] | None = None, *, sandbox: CodeRunner | None = None) -> list[Outcome]:
    """Score all trials.

    Args:
        trials: what to run; all of `load_trials` unless given.
        sandbox: where code is run.

    Returns:
        One outcome a trial, in order. The bench passes where every one of them `held`.
    """
    chosen = list(load_trials() if trials is None else trials)
    better = score_batch([t.task for t in chosen], [t.better for t in chosen], sandbox=sandbox)
    paired = [t for t in chosen if t.worse is not None]
    completions = [t.worse for t in paired if t.worse is not None]
    worse = iter(score_batch([t.task for t in paired], completions, sandbox=sandbox))
    outcomes = []
    for trial, score in zip(chosen, better, strict=True):
        other = next(worse) if trial.worse is not None else None
        held = score.reward >= trial.minimum - 1e-9 and (other is None or score.reward > other.reward + 1e-9)
        outcomes.append(Outcome(trial=trial, better=score, worse=other, held=held))
    return outcomes
