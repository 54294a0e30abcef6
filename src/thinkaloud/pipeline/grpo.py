"""GRPO within a run: from its newest checkpoint to the trained adapter."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from thinkaloud.checkpoint.arrays import placed_like
from thinkaloud.checkpoint.files import list_saved, restore_adapter, trained
from thinkaloud.checkpoint.saver import forget_after
from thinkaloud.data import Mixture
from thinkaloud.distributed.team import from_first
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.context import Work
from thinkaloud.pipeline.evaluation import validate
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.seeding import derive_seed
from thinkaloud.tracking.health import Event, Health
from thinkaloud.train.engine import stage_of
from thinkaloud.train.grpo import Grpo
from thinkaloud.train.schedule import Horizon

NOT_FINITE_LIMIT = 3
"""So many steps in a row without a finite gradient, and something has to be done."""
RESTARTS = 3
DISK_RETRY_SECONDS = 10
DISK_PATIENCE_SECONDS = 1800.0
"""So long the end of the stage waits for a disk that does not take its last checkpoint."""


def run_grpo(work: Work, adapter: Adapter) -> Adapter:
    """GRPO from `adapter`, which is the KL's reference too; returns the trained adapter."""
    return _GrpoRun(work, adapter).run()


class _OutOfTime(Exception):
    """The deadline leaves no time for the rest of a step; it is dropped."""


class _GrpoRun:
    """The stage as it goes: adapter, optimizer state, steps done, and what steers them."""

    def __init__(self, work: Work, reference: Adapter) -> None:
        self.work, self.config = work, work.recipe.grpo
        stage, begun = stage_of(work.recipe), jax.tree.map(jnp.copy, reference)
        self.stage: Grpo = stage(work.policy, begun, work.recipe, work.reward, self._between)
        self.adapter, self.state, self.done = reference, self.stage.optimizer.init(reference), 0
        self.health = Health("grpo")
        self.total = self.config.max_steps
        self.saved = 0  # the step of the newest save
        self.best: dict[str, float] | None = None
        self.mixture = Mixture(
            work.session.pool.by_domain("train"),
            exponent=work.recipe.mixture.exponent,
            seed=derive_seed(work.recipe.seed, "mixture"),
        )

    def run(self) -> Adapter:
        self._resume()
        self._plan()
        if self.done < self.total:
            self.work.display.stage("grpo", total_steps=self.total, done=self.done)
        try:
            with self.work.timer.phase("grpo"):
                self._steps()
            if self.saved != self.done or not self.done:  # a deadline may leave no time for a single step
                self._save()
            self._wait_for_disk()
        except StopRequested:
            if self.saved != self.done:
                self._save()
            raise
        finally:
            self.work.profiler.close()
        return self._trained()

    def _trained(self) -> Adapter:
        """The adapter that counts as the stage's result: the last one, or the best by validation."""
        use = self.work.recipe.checkpoint.use
        if use == "newest":  # it is at hand, whether or not the disk took it
            return self.adapter
        self.work.saver.wait()

        def best() -> tuple[int, Any] | None:
            saved = trained(self.work.run.checkpoints, use)
            if saved is None or saved.step == self.done:
                return None
            return saved.step, jax.device_get(restore_adapter(saved, self.adapter))

        if (found := from_first(best)) is None:
            return self.adapter
        self.work.display.note(f"the trained model is that of step {found[0]}, the best by validation")
        return placed_like(found[1], self.adapter)

    def _steps(self) -> None:
        while self.done < self.total:
            try:
                row = self._step()
            except _OutOfTime:
                self._plan()  # to end here
                continue
            for event in self.health.look(row):
                self.work.recorder.event(event, self.health.raised)
            if self.health.not_finite >= NOT_FINITE_LIMIT:
                self._go_back()
                continue
            if self.health.idle >= self.config.dead_step_limit:
                raise UserError(
                    f"{self.health.idle} steps in a row had no signal: in every group all rewards were equal (format "
                    f"rate {row['format_rate']}); near 0 %, use a longer cold start, near 100 %, harder tasks or a "
                    "higher temperature"
                )

    def _resume(self) -> None:
        restored = self.work.resume("grpo", self.adapter, self.state)
        if restored:
            self.adapter, self.state, self.done = restored.adapter, restored.state, restored.saved.step
            self.saved = self.done
            self.stage.horizon = Horizon(**restored.progress["horizon"])
            self.stage.rate_scale, self.stage.attempt = restored.progress["rate_scale"], restored.progress["attempt"]
            self.best = restored.progress["best"]
            if restored.progress["max_steps"] == self.config.max_steps:  # else the user has changed it
                self.total = restored.progress["total"]
        for path in self.work.run.rollouts.glob("step-*.parquet"):
            if int(path.stem.removeprefix("step-")) > self.done:
                path.unlink(missing_ok=True)
        self._fit_learning_rate()
        self.health.replay(self.work.rows("grpo"))

    def _go_back(self) -> None:
        """To the checkpoint before the last good step, at half the learning rate and with other samples.

        Raises:
            UserError: The recipe wants a stop instead, or this was tried often enough.
        """
        work, directory = self.work, self.work.run.checkpoints
        tried = self.stage.attempt
        why = f"the gradient of {NOT_FINITE_LIMIT} steps in a row, up to step {self.done}, was not finite"
        if self.config.not_finite == "stop" or tried >= RESTARTS:
            after = f" ({tried} restarts at half the learning rate did not help)" if tried else ""
            raise UserError(f"{why}{after}; lower grpo.learning_rate or grpo.max_grad_norm and start anew with --out")
        work.saver.wait()
        scale, dropped = self.stage.rate_scale / 2, self.done
        good = [s.step for s in list_saved(directory) if s.stage == "grpo" and s.step < self.health.last_good]
        forget_after(directory, "grpo", good[-1] if good else 0)  # process 0 has them; `_resume` tells the others
        self.adapter = jax.tree.map(jnp.copy, self.stage.reference)
        self.state, self.done, self.best = self.stage.optimizer.init(self.adapter), 0, None
        self.stage.horizon = Horizon(self.total * self.stage.updates_per_step)
        self.health = Health("grpo")
        self._resume()
        self.stage.rate_scale, self.stage.attempt = scale, tried + 1
        if self.done:
            self._save()
        message = f"{why}: back from step {dropped} to step {self.done}, at {scale:g} of the learning rate"
        work.recorder.event(Event("grpo", self.done, "restart", "raised", message, "a lower grpo.learning_rate"))
        work.display.stage("grpo", total_steps=self.total, done=self.done)

    def _fit_learning_rate(self) -> None:
        updates = self.stage.updates_per_step
        self.stage.horizon = self.stage.horizon.replanned(self.done * updates, self.total * updates)

    def _plan(self) -> None:
        """Fit the stage to the deadline, if there is one."""
        if self.work.planner and (plan := self.work.planner.look(self.done)):
            self.total = plan.total_steps
            self._fit_learning_rate()
            self.work.recorder.plan(plan)

    def _step(self) -> dict[str, Any]:
        """One step, recorded, and saved where one is due; returns its row."""
        work, checkpoint = self.work, self.work.recipe.checkpoint
        tasks = self.mixture.tasks(self.done, work.recipe.rollout.prompts_per_step)
        began = session_clock()
        with work.profiler.step(self.done + 1):
            result = self.stage.step(self.adapter, self.state, tasks, self.done)
        self.adapter, self.state, self.done = result.adapter, result.state, self.done + 1
        row = result.metrics
        if work.judge and work.recipe.judge.reward_share:
            row["judge"] = work.judge.take_counts()
        row = from_first(partial(dict, row))
        validated = checkpoint.validate_every and self.done % checkpoint.validate_every == 0
        if validated:
            self._validate(row)
        work.recorder.rollouts(self.done, tasks, result)
        work.recorder.step(row)
        work.after_step()
        if work.planner:
            work.planner.step_took(session_clock() - began)
            self._plan()
        if validated or self.done % checkpoint.every_steps == 0 or self.done == self.total:
            self._save()
        work.stop.check()
        return row

    def _between(self) -> None:
        """Where a step can still be dropped."""
        self.work.stop.check()
        if self.work.planner and self.work.planner.must_drop_step():
            self.work.display.note(f"deadline: step {self.done + 1} takes too long, and is dropped")
            raise _OutOfTime

    def _save(self) -> None:
        progress = {
            "horizon": asdict(self.stage.horizon),
            "rate_scale": self.stage.rate_scale,
            "attempt": self.stage.attempt,
            "best": self.best,
            "total": self.total,
            "max_steps": self.config.max_steps,
        }
        self.work.saver.save("grpo", self.done, self.adapter, self.state, progress)
        self.saved = self.done

    def _wait_for_disk(self) -> None:
        """The stage's result is worth some patience: where the disk did not take it, it is tried again."""
        work, began = self.work, session_clock()
        work.saver.wait()

        def missing() -> bool:
            return bool(work.saver.unsaved) and session_clock() - began < DISK_PATIENCE_SECONDS

        if from_first(missing):
            work.display.note("the last checkpoint is tried again until the disk takes it; Ctrl-C gives it up")
        while from_first(missing):
            work.after_step()
            if work.planner and work.planner.must_drop_step():
                return
            for _ in range(DISK_RETRY_SECONDS):
                work.stop.check()
                time.sleep(1)
            self._save()
            work.saver.wait()
            work.saver.failures()  # that it failed is said

    def _validate(self, row: dict[str, Any]) -> None:
        began = time.perf_counter()
        row["validation"] = validate(self.work, self.adapter)
        row["seconds"]["validate"] = time.perf_counter() - began
        reward = row["validation"]["reward"]
        if self.best is None or reward > self.best["reward"]:
            self.best = {"step": self.done, "reward": reward}
