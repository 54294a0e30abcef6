"""The whole of `thinkaloud train`: base evaluation -> cold start -> GRPO -> evaluation -> report, in one run directory.

Each stage leaves its result in the run directory before the next begins, so that `--resume` goes on from there: from
the newest whole checkpoint within the cold start and GRPO, from its beginning within an evaluation.

Of several processes (`team.py`) all do the same. Process 0 has the run directory; each of the others has one of its
own, for what the stages read again, which is thrown away in the end: no file system need be shared.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from thinkaloud.audit.before_training import audit_recipe
from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.data.store import POOL_FILES
from thinkaloud.distributed.team import from_first, gather, is_first
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.judge import FILE as JUDGE_FILE
from thinkaloud.judge import open_judge
from thinkaloud.pipeline.cold_start import run_cold_start
from thinkaloud.pipeline.context import Work
from thinkaloud.pipeline.deadline import TeamPlanner
from thinkaloud.pipeline.evaluation import run_evaluation
from thinkaloud.pipeline.grpo import run_grpo
from thinkaloud.pipeline.resume import BASE, base_digests, changed_software, check_base, check_recipe
from thinkaloud.pipeline.stopping import Stop
from thinkaloud.report.build import build_report
from thinkaloud.session.session import Session, check_same_session, copy_from_first, open_run, open_scorer, open_session
from thinkaloud.storage.atomic import clear_temporary
from thinkaloud.storage.lock import locked
from thinkaloud.storage.run_directory import RunDir, check_new, check_writable, create
from thinkaloud.storage.staging import clear_staging, staging
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.environment import PhaseTimer, describe_environment
from thinkaloud.tracking.profiling import Profiler
from thinkaloud.tracking.recorder import Recorder
from thinkaloud.tracking.sinks import FINISH_SECONDS, TRACKING, Sink, TensorBoard, Tracker
from thinkaloud.train.engine import check_engine


def run_stages(work: Work) -> None:
    """Every stage that the recipe asks for and the run directory does not hold yet."""
    run_evaluation(work, "base", {})
    adapter = run_cold_start(work)
    if work.recipe.cold_start.max_steps:
        run_evaluation(work, "cold_start", adapter)
    adapter = run_grpo(work, adapter)
    run_evaluation(work, "trained", adapter)


def train(
    recipe: Recipe,
    recipe_text: str,
    out: Path,
    *,
    resume: bool,
    display: Display,
    pool: Path | None = None,
    allowed_changes: Sequence[str] = (),
    ends_at: float | None = None,
    track: str | None = None,
    profile: bool = False,
) -> RunDir:
    """Run a recipe into `out`; with `resume`, go on with the run that is there.

    Args:
        pool: A pool that `thinkaloud data` built from this recipe; built here when absent.
        allowed_changes: Keys of the recipe that may differ from what the run began with.
        ends_at: The deadline, in seconds of `durations.session_clock`; None for none.
        track: `wandb` or `trackio`, to be told of the metrics.
        profile: Trace some steps of GRPO into `profile/`; of several processes, those of process 0.

    Raises:
        UserError: Whatever the user can mend; a new run directory is made only after the sandbox has
            started and the model is loaded.
        StopRequested: A signal asked for it; what there was to save is saved.
    """
    check_engine(recipe)
    timer = PhaseTimer()
    changed: list[str] = []
    earlier: dict[str, Any] = {}
    with ExitStack() as closing, ExitStack() as building:
        stop = closing.enter_context(Stop(say=display.note, agree=agreed))
        run = RunDir(out := closing.enter_context(own_place(out)))
        if not is_first():
            create(out, recipe_text, recipe.resolved())
            lock = closing.enter_context(locked(out))
        elif resume:
            changed = check_recipe(run, recipe, allowed_changes)
            check_writable(out)
            lock = closing.enter_context(locked(out))
            clear_temporary(out)
            if (out / "environment.json").exists():
                earlier = run.read_json("environment.json")
                timer = PhaseTimer(earlier.get("seconds"))
        else:
            check_new(out)
        clear_staging(out)
        prepared = from_first(lambda: run.pool.exists() and run.contract.exists())  # else cut off before it had both
        with timer.phase("prepare"):
            if prepared:
                copy_from_first(out, [run.contract.name, *(f"{run.pool.name}/{name}" for name in POOL_FILES)])
                session = open_run(out, recipe=recipe)[0]
            else:
                place = building.enter_context(staging(out)) / "pool"
                session = start(recipe, place, pool, display)
            check_same_session(session)
            base = base_digests(session.files)
            if resume:
                check_base(run, base, allowed_changes)
            warn(audit_recipe(recipe, session.pool), display)
        score, level = closing.enter_context(open_scorer(recipe, session.contract))
        judge = open_judge(recipe.judge, out / JUDGE_FILE, asks=is_first()) if recipe.judge.on else None
        with timer.phase("prepare"):
            policy = session.load_policy()
            check_engine(recipe, policy.model.config)
        stop.check()
        tracker = Tracker(track, out, recipe.name, recipe.resolved()) if track and is_first() else None
        if not resume and is_first():
            create(out, recipe_text, recipe.resolved())
            lock = closing.enter_context(locked(out))
        if lock.note:
            display.note(lock.note)
        run.write_json(BASE, base)
        if not prepared:
            if run.pool.exists():
                shutil.rmtree(run.pool)
            place.rename(run.pool)
            session.contract.save(run.contract)
        building.close()
        for change in changed:
            display.note(f"the recipe changed, as allowed: {change}")
        if changed:
            run.write_json("resolved.json", recipe.resolved())
        sinks: list[Sink] = [TensorBoard(out)] if is_first() else []
        if tracker:
            run.write_json(TRACKING, tracker.identity)
            sinks.append(tracker)
        recorder = Recorder(run, display, sinks)
        environment = describe_environment(level, timer.seconds)
        if others := changed_software(earlier, environment):
            display.note(f"warning: not the machine or software of before ({others}); last digits may differ")
        recorder.file("environment.json", environment)
        if judge:
            judge.tell = recorder.judge
        planner = None
        if ends_at is not None:
            ends_at -= FINISH_SECONDS if tracker else 0.0
            planner = TeamPlanner(ends_at - session_clock(), session_clock, recipe.grpo.max_steps)
        profiler = Profiler(out / "profile" if profile and is_first() else None, display.note)
        work = Work(session, run, policy, score, display, timer, recorder, stop, lock, planner, judge, profiler)
        try:
            run_stages(work)
        finally:
            work.saver.wait()
            work.after_step()
            recorder.close()
            recorder.file("environment.json", describe_environment(level, timer.seconds))
        if work.saver.unsaved:
            raise UserError(f"the newest state of {out} is not saved; free some space, then go on with --resume")
        if not is_first():
            return run
        if planner and planner.seconds_left < 0:
            display.note(f"deadline: no time left for the report; `thinkaloud report {out}` makes it")
        else:
            build_report(out)
    return run


def start(recipe: Recipe, place: Path, pool: Path | None, display: Display) -> Session:
    """The session of a new run, its pool at `place`."""

    def progress(done: int, total: int, what: str) -> None:
        if done < total or total == 0:  # a line for what takes long, none for what is done at once
            display.progress(done, total, what)

    return open_session(recipe, place, given=pool, note=display.note, progress=progress)


def agreed(asked: signal.Signals | None) -> signal.Signals | None:
    """The signal that came to the first process that one came to."""
    return next((one for one in gather(asked) if one is not None), None)


@contextmanager
def own_place(out: Path) -> Iterator[Path]:
    """The run directory, for process 0; for any other, one that stands for it, and is gone in the end."""
    if is_first():
        yield out
        return
    with staging(Path(tempfile.gettempdir()).absolute() / out.name) as folder:
        yield folder / "run"


def warn(findings: Sequence[Finding], display: Display) -> None:
    """Show what the cheap part of the audit would mend.

    Raises:
        UserError: A finding says that the run would come to nothing.
    """
    for finding in findings:
        if finding.level is Level.STOP:
            raise UserError(f"{finding.name}: {finding.message}; {finding.remedy}")
        if finding.level is Level.WARNING:
            display.note(f"warning: {finding.name}: {finding.message}; {finding.remedy}")
