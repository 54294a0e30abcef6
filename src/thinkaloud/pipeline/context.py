"""What every stage of a training run uses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from thinkaloud.checkpoint.files import Restored, Stage
from thinkaloud.checkpoint.saver import Saver, find
from thinkaloud.config import Recipe
from thinkaloud.distributed.agreement import from_first
from thinkaloud.judge import Judge
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.deadline import Planner
from thinkaloud.pipeline.stopping import Stop, StopRequested
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.vllm import VllmSampler
from thinkaloud.session.scorer import with_judge
from thinkaloud.session.session import Session
from thinkaloud.storage.lock import RunLock
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.environment import PhaseTimer
from thinkaloud.tracking.profiling import Profiler
from thinkaloud.tracking.recorder import Recorder


@dataclass(slots=True)
class TrainContext:
    """One `thinkaloud train`, new or resumed."""

    session: Session
    run: RunDir
    policy: Policy
    score: GroupScorer
    display: Display
    timer: PhaseTimer
    recorder: Recorder
    stop: Stop = field(default_factory=Stop)
    lock: RunLock | None = None
    planner: Planner | None = None
    judge: Judge | None = None
    teacher: Model | None = None
    sampler: VllmSampler | None = None
    profiler: Profiler = field(default_factory=lambda: Profiler(None))
    saver: Saver = field(init=False)

    def __post_init__(self) -> None:
        keep = self.recipe.checkpoint.keep
        self.saver = Saver(self.run.checkpoints, keep=keep, before=self.recorder.flush_to_disk)

    @property
    def recipe(self) -> Recipe:
        return self.session.recipe

    @property
    def rollout_policy(self) -> Policy:
        """The policy that samples for GRPO: `policy`, with the sampler that the recipe names."""
        return replace(self.policy, sampler=self.sampler)

    @property
    def reward(self) -> GroupScorer:
        """The scorer of GRPO: `score`, with the judge's marks if the recipe gives them a share."""
        if self.judge is None or not self.recipe.judge.reward_share:
            return self.score
        return with_judge(self.score, self.judge, self.recipe, self.session.contract, self.stop.check, (StopRequested,))

    def resume(self, stage: Stage, like: Adapter, state_like: Any) -> Restored | None:
        """The newest intact checkpoint of a stage; None if the stage starts from the beginning.

        Reports what was restored and what was skipped, and removes the metrics of steps that will be repeated.
        """
        found = find(self.run.checkpoints, stage, like, state_like)
        done = found.restored.saved.step if found.restored else 0
        for passed in found.passed_over:
            self.display.note(f"skipped {passed}")
        rows = self.rows(stage)
        again = sum(row["step"] > done for row in rows)
        if found.restored:
            self.display.note(f"resumed from {found.restored.saved.path}")
            missing = done - len({row["step"] for row in rows if row["step"] <= done})
            if missing:
                self.display.note(f"warning: metrics.jsonl lacks {missing} of the {done} steps of {stage} before it")
        if again:
            self.display.note(f"repeating {again} steps of {stage} that have no checkpoint")
        self.run.keep_rows(lambda row: row["stage"] != stage or row["step"] <= done)
        self.recorder.resume(stage, done)
        return found.restored

    def rows(self, stage: Stage) -> list[dict[str, Any]]:
        """The metrics rows of a stage so far."""
        return from_first(lambda: [row for row in self.run.rows() if row["stage"] == stage])

    def after_step(self) -> None:
        """Housekeeping after every step. A save that failed is reported and does not stop the run."""
        if self.lock:
            self.lock.touch()
        if self.planner:
            self.planner.record("saving", self.saver.seconds)
        failures = self.saver.failures()
        for failure in failures:
            self.recorder.problem("checkpoints", f"{failure}; training continues, the next save is as planned")
        if not failures and not self.saver.unsaved:
            self.recorder.recovered("checkpoints")
