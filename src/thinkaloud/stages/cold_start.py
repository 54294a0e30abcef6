"""The cold start within a run: from its newest checkpoint, to the adapter that GRPO begins with."""

from __future__ import annotations

from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.stages.work import Work
from thinkaloud.train.cold_start import cold_start, cold_start_optimizer
from thinkaloud.train.health import Health


def run_cold_start(work: Work) -> Adapter:
    """The adapter that GRPO begins with; a fresh one where the recipe has no cold start."""
    config, recipe = work.recipe.cold_start, work.recipe
    adapter = work.session.new_adapter(work.policy)
    if config.max_steps == 0:
        return adapter
    state = cold_start_optimizer().init(adapter)
    restored, done = work.resume("cold_start", adapter, state), 0
    if restored:
        adapter, state, done = restored.adapter, restored.state, restored.saved.step
        if restored.progress.get("finished"):
            return adapter
    work.display.stage("cold_start", total_steps=config.max_steps, done=done)
    health = Health("cold_start")
    health.replay(row for row in work.run.rows() if row["stage"] == "cold_start")
    began, clock = session_clock(), session_clock
    allowed = work.planner.cold_start_seconds() if work.planner else 0.0
    with work.timer.phase("cold_start"):
        for step in cold_start(work.policy, adapter, recipe, work.session.pool, state, done):
            adapter = step.adapter
            work.recorder.step(step.metrics)
            work.after_step()
            for event in health.look(step.metrics):
                work.recorder.event(event, health.raised)
            if health.not_finite >= 3:
                raise UserError(
                    "the gradient of three steps of the cold start in a row was not finite; lower "
                    "cold_start.learning_rate and start anew with --out"
                )
            spent = clock() - began
            cut = work.planner is not None and allowed < spent * (1 + 1 / (step.metrics["step"] - done))
            if cut and not step.finished:
                work.display.note(f"deadline: the cold start ends here, after step {step.metrics['step']}")
            finished = step.finished or cut
            due = finished or step.metrics["step"] % recipe.checkpoint.every_steps == 0
            if due or work.stop.requested:
                progress = {"finished": finished}
                work.saver.save("cold_start", step.metrics["step"], adapter, step.state, progress)
            work.stop.check()
            if finished:
                break
    return adapter
