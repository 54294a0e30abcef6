"""The cold start of a run: from its newest checkpoint to the adapter that GRPO starts from."""

from __future__ import annotations

from functools import partial
from typing import Any

from thinkaloud.distributed.agreement import from_first, shared_clock
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.cold_start_rows import cold_start_rows
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.tracking.health import Health
from thinkaloud.train.cold_start import cold_start, cold_start_optimizer

ROWS_SHARE = 0.5
"""Before a deadline, sampling the rows gets at most this share of the cold start's time."""


def run_cold_start(context: TrainContext) -> Adapter:
    """The adapter that GRPO starts from; a fresh one if the recipe has no cold start."""
    config, recipe = context.recipe.cold_start, context.recipe
    adapter = context.session.new_adapter(context.policy)
    if config.max_steps == 0:
        return adapter
    state = cold_start_optimizer().init(adapter)
    restored, done = context.resume("cold_start", adapter, state), 0
    if restored:
        adapter, state, done = restored.adapter, restored.state, restored.saved.step
        if restored.progress.get("finished"):
            return adapter
    began = shared_clock()
    allowed = context.planner.cold_start_seconds() if context.planner else float("inf")
    with context.timer.phase("cold_start"):
        rows = cold_start_rows(context, ROWS_SHARE * allowed)
    allowed -= shared_clock() - began
    context.display.stage("cold_start", total_steps=config.max_steps, done=done)
    health = Health("cold_start")
    health.replay(context.rows("cold_start"))
    began = shared_clock()
    with context.timer.phase("cold_start"):
        teacher = context.teacher.config if context.teacher else None
        for step in cold_start(context.policy, adapter, recipe, context.session.pool, state, done, rows, teacher):
            adapter = step.adapter
            row: dict[str, Any] = from_first(partial(dict, step.metrics))
            context.recorder.step(row)
            context.after_step()
            for event in health.update(row):
                context.recorder.event(event, health.raised)
            if health.not_finite >= 3:
                raise UserError(
                    "the gradient of three steps of the cold start in a row was not finite; lower "
                    "cold_start.learning_rate and start again with --out"
                )
            spent = shared_clock() - began
            cut = allowed < spent * (1 + 1 / (row["step"] - done))
            if cut and not step.finished:
                context.display.note(f"deadline: the cold start ends here, after step {row['step']}")
            finished, asked = step.finished or cut, context.stop.asked()
            if finished or asked or row["step"] % recipe.checkpoint.every_steps == 0:
                context.saver.save("cold_start", row["step"], adapter, step.state, {"finished": finished})
            if asked:
                raise StopRequested(asked)
            if finished:
                break
    return adapter
