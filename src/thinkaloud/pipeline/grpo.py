"""The GRPO stage of a run: from its newest checkpoint to the trained adapter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from thinkaloud.checkpoint.arrays import placed_like
from thinkaloud.checkpoint.files import list_saved, read_adapter, trained
from thinkaloud.checkpoint.saver import forget_after
from thinkaloud.data.curriculum import Curriculum
from thinkaloud.distributed.agreement import from_first, shared_clock
from thinkaloud.distributed.processes import broadcast
from thinkaloud.domains import registry_of
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.evaluation import validate
from thinkaloud.pipeline.probe import probe
from thinkaloud.pipeline.self_checks import check_first_step
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.rollout.sampler import SamplerFailed
from thinkaloud.seeding import derive_seed
from thinkaloud.tracking.health import Event, Health
from thinkaloud.train.engine import open_trainer
from thinkaloud.train.schedule import Horizon
from thinkaloud.train.trainer import Trainer, TrainState

NOT_FINITE_LIMIT = 3
"""Consecutive steps without a finite gradient after which training goes back or stops."""
RESTARTS = 3
DISK_RETRY_SECONDS = 10
DISK_PATIENCE_SECONDS = 1800.0
"""How long the end of the stage waits for a disk that does not accept its last checkpoint."""


def run_grpo(context: TrainContext, adapter: Adapter) -> Adapter:
    """GRPO from `adapter`, which is also the reference of the KL penalty; returns the trained adapter."""
    return _GrpoStage(context, adapter).run()


class _OutOfTime(Exception):
    """The deadline leaves no time for the rest of a step; the step is dropped."""


class _GrpoStage:
    """The state of the stage.

    Attributes:
        state: The training state; replaced whole by every step, by a resume and by a restart.
        curriculum: Draws the tasks; its pass rates are part of every checkpoint.
        probed: The pass rates after the probe.
        can_validate: Whether the pool has validation tasks.
        total: The planned number of steps.
        saved: The step of the newest save.
        best: Step and reward of the best validation so far, the newest of equals; that before the first step counts.
        start: The reward of the validation before the first step; None without one.
    """

    def __init__(self, context: TrainContext, adapter: Adapter) -> None:
        self.context, self.config = context, context.recipe.grpo
        reference = jax.tree.map(jnp.copy, adapter)
        self.trainer: Trainer = open_trainer(
            context.rollout_policy, reference, context.recipe, context.reward, self._interrupt, context.teacher
        )
        self.state: TrainState = self.trainer.start(adapter)
        self.health = Health("grpo")
        self.total = self.config.max_steps
        self.saved = 0
        self.best: dict[str, float] | None = None
        self.start: float | None = None
        self.curriculum = Curriculum(
            context.session.pool.by_domain("train"),
            context.recipe.curriculum,
            registry_of(context.recipe),
            exponent=context.recipe.mixture.exponent,
            seed=derive_seed(context.recipe.seed, "mixture"),
        )
        self.probed: dict[str, Any] = {}
        self.can_validate = bool(context.session.pool.by_domain("validation"))

    @property
    def done(self) -> int:
        """Steps done."""
        return self.state.step

    def run(self) -> Adapter:
        self.probed = probe(self.context, self.state.adapter, self.curriculum)
        self._resume()
        self._plan()
        if self.done < self.total:
            self.context.display.stage("grpo", total_steps=self.total, done=self.done)
        try:
            with self.context.timer.phase("grpo"):
                if not self.done:
                    self._validate_start()
                self._steps()
            if self.saved != self.done or (
                not self.done and self.best is None
            ):  # a deadline may leave no time for a step
                self._save()
            self._wait_for_disk()
        except (StopRequested, SamplerFailed):
            if self.saved != self.done:
                self._save()
            raise
        finally:
            self.context.profiler.close()
            if self.context.sampler:  # the stages after this one have its memory
                self.context.sampler.close()
        return self._trained()

    def _trained(self) -> Adapter:
        """The adapter that is the stage's result: the last one, or the best by validation."""
        use, adapter = self.context.recipe.checkpoint.use, self.state.adapter
        if use == "newest":  # in memory, whether or not the disk accepted it
            return adapter
        self.context.saver.wait()

        best: list[Adapter] = []  # in the primary process

        def look() -> int | None:
            saved = trained(self.context.run.checkpoints, use)
            if saved is None or saved.step == self.done:
                return None
            best.append(read_adapter(saved, adapter))
            return saved.step

        if (step := from_first(look)) is None:
            return adapter
        self.context.display.note(f"the trained model is that of step {step}, the best by validation")
        return placed_like(broadcast(best[0] if best else None, adapter), adapter)

    def _steps(self) -> None:
        while self.done < self.total:
            try:
                row = self._step()
            except _OutOfTime:
                self._plan()  # which ends the stage here
                continue
            for event in self.health.update(row):
                self.context.recorder.event(event, self.health.raised)
            if self.health.not_finite >= NOT_FINITE_LIMIT:
                self._go_back()
                continue
            if self.health.idle >= self.config.zero_std_step_limit:
                raise UserError(
                    f"{self.health.idle} steps in a row had no signal: in every group all rewards were equal (format "
                    f"rate {row['format_rate']}); near 0 %, use a longer cold start, near 100 %, harder tasks or a "
                    "higher temperature"
                )

    def _resume(self) -> None:
        restored = self.context.resume("grpo", self.state.adapter, self.state.optimizer_state)
        self.curriculum.restore(restored.progress.get("curriculum", {}) if restored else self.probed)
        if restored:
            progress = restored.progress
            self.state = TrainState(
                adapter=restored.adapter,
                optimizer_state=restored.state,
                step=restored.saved.step,
                horizon=Horizon(**progress["horizon"]),
                rate_scale=progress["rate_scale"],
                attempt=progress["attempt"],
                entropy_weight=progress.get("entropy_weight", 0.0),
            )
            self.saved = self.done
            self.best, self.start = progress["best"], progress.get("start")
            if progress["max_steps"] == self.config.max_steps:  # otherwise the user has changed it
                self.total = progress["total"]
        for path in self.context.run.rollouts.glob("step-*.parquet"):
            if int(path.stem.removeprefix("step-")) > self.done:
                path.unlink(missing_ok=True)
        self._fit_learning_rate()
        self.health.replay(self.context.rows("grpo"))

    def _go_back(self) -> None:
        """Return to the checkpoint before the last good step, with half the learning rate and other samples.

        Where none of those was kept, to that of the last good step; without it too, to the start of the stage.

        Raises:
            UserError: The recipe asks to stop instead, or this was tried `RESTARTS` times.
        """
        context, directory = self.context, self.context.run.checkpoints
        before = self.state
        why = f"the gradient of {NOT_FINITE_LIMIT} steps in a row, up to step {self.done}, was not finite"
        if self.config.not_finite == "stop" or before.attempt >= RESTARTS:
            after = f" ({before.attempt} restarts at half the learning rate did not help)" if before.attempt else ""
            raise UserError(f"{why}{after}; lower grpo.learning_rate or grpo.max_grad_norm and start again with --out")
        context.saver.wait()
        good = [s.step for s in list_saved(directory) if s.stage == "grpo" and s.step <= self.health.last_good]
        earlier = [step for step in good if step < self.health.last_good]
        # only in the primary process; `_resume` then agrees with the others
        forget_after(directory, "grpo", (earlier or good or [0])[-1])
        fresh = self.trainer.start(jax.tree.map(jnp.copy, self.trainer.reference))
        self.state = replace(fresh, horizon=Horizon(self.total * self.trainer.updates_per_step))
        self.best = None
        self.health = Health("grpo")
        self._resume()
        self.state = replace(self.state, rate_scale=before.rate_scale / 2, attempt=before.attempt + 1)
        if self.done:
            self._save()
        scale = self.state.rate_scale
        message = f"{why}: back from step {before.step} to step {self.done}, at {scale:g} of the learning rate"
        context.recorder.event(Event("grpo", self.done, "restart", "raised", message, "a lower grpo.learning_rate"))
        context.display.stage("grpo", total_steps=self.total, done=self.done)

    def _fit_learning_rate(self) -> None:
        updates = self.trainer.updates_per_step
        horizon = self.state.horizon.replanned(self.done * updates, self.total * updates)
        self.state = replace(self.state, horizon=horizon)

    def _plan(self) -> None:
        """Adjust the number of steps to the deadline, if there is one."""
        if self.context.planner and (plan := self.context.planner.replan(self.done)):
            self.total = plan.total_steps
            self._fit_learning_rate()
            self.context.recorder.plan(plan)

    def _step(self) -> dict[str, Any]:
        """Run one step, record it, and save if a save is due; returns its metrics."""
        context, checkpoint = self.context, self.context.recipe.checkpoint
        step, curriculum = self.done, self.curriculum
        tasks = curriculum.tasks(step, context.recipe.rollout.prompts_per_step)
        began = shared_clock()
        with context.profiler.step(step + 1), self._interruptible():
            result = self.trainer.step(
                self.state, tasks, lambda replaced, round, seen: curriculum.replacements(replaced, step, round, seen)
            )
        self.state = result.state
        if step == 0 and self.config.self_checks:
            check_first_step(
                self.trainer.policy,
                self.trainer.registry,
                context.reward,
                result.groups,
                self.state.adapter,
                updated=bool(result.metrics["grad_norm"]),
                mismatch=result.metrics.get("mismatch_kl"),
            )
        curriculum.update(result.groups, self.done)
        row = {**result.metrics, "curriculum": curriculum.metrics()}
        if context.judge and context.recipe.judge.reward_share:
            row["judge"] = context.judge.take_counts()
        row = from_first(partial(dict, row))
        every = self._validate_every
        validated = every and (self.done % every == 0 or self.done == self.total)
        if validated:
            self._validate(row)
        context.recorder.rollouts(self.done, result.groups)
        context.recorder.step(row)
        context.after_step()
        if context.planner:
            context.planner.record_step(shared_clock() - began)
            self._plan()
        if validated or self.done % checkpoint.every_steps == 0 or self.done == self.total:
            self._save()
        context.stop.check()
        return row

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """In the block, a signal or the deadline also ends the wait for a server's replies."""
        sampler = self.context.sampler
        if sampler is None:
            yield
            return
        before, sampler.poll = sampler.poll, self._interrupt
        try:
            yield
        finally:
            sampler.poll = before

    def _interrupt(self) -> None:
        """Called where a step can still be dropped."""
        self.context.stop.check()
        if self.context.planner and self.context.planner.must_drop_step():
            self.context.display.note(f"deadline: step {self.done + 1} takes too long and is dropped")
            raise _OutOfTime

    def _save(self) -> None:
        progress = {
            "horizon": asdict(self.state.horizon),
            "rate_scale": self.state.rate_scale,
            "attempt": self.state.attempt,
            "entropy_weight": self.state.entropy_weight,
            "best": self.best,
            "start": self.start,
            "total": self.total,
            "max_steps": self.config.max_steps,
            "curriculum": self.curriculum.state(),
        }
        self.context.saver.save("grpo", self.done, self.state.adapter, self.state.optimizer_state, progress)
        self.saved = self.done

    def _wait_for_disk(self) -> None:
        """If the disk did not accept the last checkpoint, try again for a while: it holds the stage's result."""
        context, began = self.context, session_clock()
        context.saver.wait()

        def missing() -> bool:
            return bool(context.saver.unsaved) and session_clock() - began < DISK_PATIENCE_SECONDS

        if from_first(missing):
            context.display.note("retrying the last checkpoint until the disk accepts it; Ctrl-C stops")
        while from_first(missing):
            context.after_step()
            if context.planner and context.planner.must_drop_step():
                return
            for _ in range(DISK_RETRY_SECONDS):
                context.stop.check()
                time.sleep(1)
            self._save()
            context.saver.wait()
            context.saver.failures()  # already reported

    @property
    def _validate_every(self) -> int:
        """Steps between validations; 0 for none."""
        return self.context.recipe.checkpoint.validate_every if self.can_validate else 0

    def _validate_start(self) -> None:
        """Validate the adapter that GRPO starts from: GRPO must not end with a worse one."""
        if not self._validate_every or not self.total or self.best:
            return
        self.start = validate(self.context, self.state.adapter)["reward"]
        self.best = {"step": 0, "reward": self.start}
        self.context.display.note(f"validation before GRPO: reward {self.start:.3f}")
        self._save()

    def _validate(self, row: dict[str, Any]) -> None:
        began = time.perf_counter()
        row["validation"] = {**validate(self.context, self.state.adapter), "start": self.start}
        row["seconds"]["validate"] = time.perf_counter() - began
        reward = row["validation"]["reward"]
        if self.best is None or reward >= self.best["reward"]:
            self.best = {"step": self.done, "reward": reward}
