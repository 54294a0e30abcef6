"""What every stage of a training run works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from thinkaloud.checkpoint.files import Restored, Stage
from thinkaloud.checkpoint.saver import Saver, find
from thinkaloud.config import Recipe
from thinkaloud.distributed.team import from_first
from thinkaloud.judge import Judge
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.deadline import Planner
from thinkaloud.pipeline.stopping import Stop
from thinkaloud.rollout.policy import Policy
from thinkaloud.session.session import Scorer, Session, judged
from thinkaloud.storage.lock import RunLock
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.environment import PhaseTimer
from thinkaloud.tracking.profiling import Profiler
from thinkaloud.tracking.recorder import Recorder


@dataclass(slots=True)
class Work:
    """One `thinkaloud train`, new or resumed."""

    session: Session
    run: RunDir
    policy: Policy
    score: Scorer
    display: Display
    timer: PhaseTimer
    recorder: Recorder
    stop: Stop = field(default_factory=Stop)
    lock: RunLock | None = None
    planner: Planner | None = None
    judge: Judge | None = None
    profiler: Profiler = field(default_factory=lambda: Profiler(None))
    saver: Saver = field(init=False)

    def __post_init__(self) -> None:
        keep = self.recipe.checkpoint.keep
        self.saver = Saver(self.run.checkpoints, keep=keep, before=self.recorder.settle)

    @property
    def recipe(self) -> Recipe:
        return self.session.recipe

    @property
    def reward(self) -> Scorer:
        """What GRPO is paid by: `score`, with a judge's marks in it where the recipe gives them a share."""
        if self.judge is None or not self.recipe.judge.reward_share:
            return self.score
        return judged(self.score, self.judge, self.recipe, self.session.contract, self.stop.check)

    def resume(self, stage: Stage, like: Adapter, state_like: Any) -> Restored | None:
        """Where a stage goes on: its newest whole checkpoint, or None at its beginning.

        Says what it took and what it passed over, and drops the rows of steps that will be taken again.
        """
        found = find(self.run.checkpoints, stage, like, state_like)
        done = found.restored.saved.step if found.restored else 0
        for passed in found.passed_over:
            self.display.note(f"passed over {passed}")
        rows = self.rows(stage)
        again = sum(row["step"] > done for row in rows)
        if found.restored:
            self.display.note(f"resumed from {found.restored.saved.path}")
            missing = done - len({row["step"] for row in rows if row["step"] <= done})
            if missing:
                self.display.note(f"warning: metrics.jsonl lacks {missing} of the {done} steps of {stage} before it")
        if again:
            self.display.note(f"{again} steps of {stage} after that had no checkpoint and are taken again")
        self.run.keep_rows(lambda row: row["stage"] != stage or row["step"] <= done)
        self.recorder.go_on(stage, done)
        return found.restored

    def rows(self, stage: Stage) -> list[dict[str, Any]]:
        """The rows of metrics of a stage so far."""
        return from_first(lambda: [row for row in self.run.rows() if row["stage"] == stage])

    def after_step(self) -> None:
        """What is due after every step; saves that failed are said, and cost nothing else."""
        if self.lock:
            self.lock.touch()
        if self.planner:
            self.planner.took("saving", self.saver.seconds)
        failures = self.saver.failures()
        for failure in failures:
            self.recorder.trouble("checkpoints", f"{failure}; training goes on, and the next save is tried as planned")
        if not failures and not self.saver.unsaved:
            self.recorder.well("checkpoints")
