"""`thinkaloud train`: base evaluation and readings -> cold start -> GRPO -> evaluation -> report, in one run directory.

Each stage saves its result in the run directory before the next one starts. `--resume` continues the cold start and
GRPO from their newest intact checkpoint, and an evaluation from its last saved part.
"""

from __future__ import annotations

from thinkaloud.distributed.agreement import is_first
from thinkaloud.errors import UserError
from thinkaloud.pipeline.cold_start import run_cold_start
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.evaluation import held_out_tasks, reuse_base, run_evaluation, run_readings
from thinkaloud.pipeline.grpo import run_grpo
from thinkaloud.pipeline.opening import TrainOptions, open_training
from thinkaloud.pipeline.run_plan import stages_ahead
from thinkaloud.pipeline.stopping import Stop
from thinkaloud.report.build import build_report
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display


def run_stages(context: TrainContext) -> None:
    """Run every stage of the recipe that the run directory does not contain yet."""
    planner = context.planner
    stages = stages_ahead(context.recipe, len(held_out_tasks(context)))
    context.display.expect(stages, (lambda: planner.seconds_left) if planner else None)
    run_evaluation(context, "base", {})
    run_readings(context)
    adapter = run_cold_start(context)
    if context.recipe.cold_start.max_steps:
        run_evaluation(context, "cold_start", adapter)
    adapter = run_grpo(context, adapter)
    run_evaluation(context, "trained", adapter)


def train(options: TrainOptions, display: Display, stop: Stop | None = None) -> RunDir:
    """Run a recipe into `options.out`, or continue the run that is there.

    Args:
        options: The options of the run.
        display: Where progress is shown.
        stop: Signals that are listened for already, of a series of runs.

    Raises:
        UserError: Something the user can fix. A new run directory is created only after the sandbox has started and
            the model is loaded.
        StopRequested: A signal asked the run to stop; its state is saved.
    """
    out = options.out
    with open_training(options, display, stop) as context:
        if options.base_from:
            reuse_base(context, options.base_from)
        run_stages(context)
    if context.saver.unsaved:
        raise UserError(f"the newest state of {out} is not saved; free some space, then continue with --resume")
    late = context.planner is not None and context.planner.seconds_left < 0
    if is_first():
        if late:
            display.note(f"deadline: no time left for the report; create it with `thinkaloud report {out}`")
        else:
            build_report(out)
    return context.run
