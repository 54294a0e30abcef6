"""Opening a run for training: checks, run directory, session, model, sinks.

All processes of a run do the same. The primary process has the run directory; each of the others has a temporary one,
which is deleted at the end, so that no shared file system is needed.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.audit.learning_rate import check_learning_rate
from thinkaloud.audit.memory import check_memory
from thinkaloud.audit.preflight import audit_recipe
from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.data.store import POOL_FILES
from thinkaloud.distributed.agreement import from_first, gather, is_first, shared_clock
from thinkaloud.distributed.devices import device_usage
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.judge import FILE as JUDGE_FILE
from thinkaloud.judge import open_judge
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.weights import load_config
from thinkaloud.pipeline.answerer import check_teacher
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.deadline import Planner
from thinkaloud.pipeline.resume import BASE, base_digests, changed_software, check_base, check_recipe
from thinkaloud.pipeline.sampler import check_sampler, open_sampler
from thinkaloud.pipeline.stopping import Stop
from thinkaloud.session.device import announce_devices
from thinkaloud.session.run import open_run
from thinkaloud.session.scorer import open_scorer
from thinkaloud.session.session import Session, check_same_session, copy_from_first, open_session
from thinkaloud.session.teacher import load_teacher, teacher_files
from thinkaloud.storage.atomic import clear_temporary
from thinkaloud.storage.lock import RunLock, locked
from thinkaloud.storage.run_directory import RunDir, check_new, check_writable, create
from thinkaloud.storage.staging import clear_staging, staging
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.environment import PhaseTimer, describe_environment
from thinkaloud.tracking.profiling import Profiler
from thinkaloud.tracking.recorder import Recorder
from thinkaloud.tracking.sinks import FINISH_SECONDS, TRACKING, Sink, TensorBoard, Tracker
from thinkaloud.train.engine import check_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The options of `thinkaloud train`.

    Attributes:
        recipe_text: The recipe as the user wrote it, kept in the run directory.
        out: The run directory.
        resume: Continue the run that is there.
        pool: A pool that `thinkaloud data` built from this recipe; built here if None.
        allowed_changes: Keys of the recipe that may differ from what the run started with.
        ends_at: The deadline, in seconds of `durations.session_clock`.
        track: `wandb` or `trackio`: also send the metrics there.
        profile: Trace some steps of GRPO into `profile/`, in the primary process.
        base_from: Another run of the recipe, with other seeds: its evaluation of the base is reused.
    """

    recipe: Recipe
    recipe_text: str
    out: Path
    resume: bool = False
    pool: Path | None = None
    allowed_changes: Sequence[str] = ()
    ends_at: float | None = None
    track: str | None = None
    profile: bool = False
    base_from: Path | None = None


@contextmanager
def open_training(options: TrainOptions, display: Display, stop: Stop | None = None) -> Iterator[TrainContext]:
    """A run that is ready for its stages. On exit, whatever is still pending is written.

    Args:
        options: The options of the run.
        display: Where progress is shown.
        stop: Signals that are listened for already; by default only while the run is open.

    Raises:
        UserError: See `pipeline.train`.
    """
    check_teacher(options.recipe)
    with ExitStack() as resources:
        stop = stop or resources.enter_context(Stop(notify=display.note, agree=_first_signal))
        directory = _Directory(options, resources)
        announce_devices(options.recipe, display.note)
        display.machine(device_usage)
        check_engine(options.recipe, warn=display.note)
        check_sampler(options.recipe)
        if (control := options.recipe.rewards.control) != "none":
            display.note(f"control run: GRPO learns from rewards.control = {control}, not from the reward")
        timer = PhaseTimer(directory.environment.get("seconds"))
        with ExitStack() as building:
            with timer.phase("prepare"):
                session = directory.open_session(building, display)
                base = directory.check_session(session)
                teacher = teacher_files(options.recipe, session.contract, display.note)
                shapes = load_config(session.files), load_config(teacher) if teacher else None
                _warn(_findings(options.recipe, session.pool, *shapes), display)
            score, level = resources.enter_context(open_scorer(options.recipe, session.contract))
            judge = _open_judge(options, directory.path)
            with timer.phase("prepare"):
                policy = session.load_policy(teacher=shapes[1])
                if policy.footprint and policy.footprint.full_rematerialization:
                    display.note(
                        "activations are computed again in the backward pass, which takes less memory and more time"
                    )
                check_engine(options.recipe, policy.model.config)
                distilled = load_teacher(teacher, options.recipe)
            stop.check()
            tracker = _open_tracker(options)
            directory.fill(session, base, display)
        sampler = resources.enter_context(open_sampler(session, policy, directory.path, display.note, stop.check))
        recorder = Recorder(directory.run, display, directory.sinks(tracker))
        environment = describe_environment(level, timer.seconds)
        if changes := changed_software(directory.environment, environment):
            display.note(
                f"warning: machine or software changed since the run started ({changes}); last digits may differ"
            )
        recorder.file("environment.json", environment)
        if judge:
            judge.notify = recorder.judge
        context = TrainContext(
            session=session,
            run=directory.run,
            policy=policy,
            score=score,
            display=display,
            timer=timer,
            recorder=recorder,
            stop=stop,
            lock=directory.lock,
            planner=_open_planner(options, tracker),
            judge=judge,
            teacher=distilled,
            sampler=sampler,
            profiler=Profiler(directory.path / "profile" if options.profile and is_first() else None, display.note),
        )
        try:
            yield context
        finally:
            context.saver.wait()
            context.after_step()
            recorder.close()
            recorder.file("environment.json", describe_environment(level, timer.seconds))


@dataclass(slots=True)
class _Directory:
    """The run directory while it is opened: new, resumed, or the temporary one of a process that is not the primary."""

    options: TrainOptions
    resources: ExitStack
    path: Path = field(init=False)
    run: RunDir = field(init=False)
    lock: RunLock | None = field(init=False, default=None)
    changes: list[str] = field(init=False, default_factory=list)
    environment: dict[str, Any] = field(init=False, default_factory=dict)
    """environment.json of the session before, if any."""
    _has_pool: bool = field(init=False)
    _place: Path | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.path = self.resources.enter_context(_place_of(self.options.out))
        self.run = RunDir(self.path)
        if not is_first():
            self._create()
        elif self.options.resume:
            self._resume()
        else:
            check_new(self.path)
        clear_staging(self.path)
        # a run that was killed early may have neither
        self._has_pool = from_first(lambda: self.run.pool.exists() and self.run.contract.exists())

    def _create(self) -> None:
        create(self.path, self.options.recipe_text, self.options.recipe.resolved())
        self.lock = self.resources.enter_context(locked(self.path))

    def _resume(self) -> None:
        self.changes = check_recipe(self.run, self.options.recipe, self.options.allowed_changes)
        check_writable(self.path)
        self.lock = self.resources.enter_context(locked(self.path))
        clear_temporary(self.path)
        if (self.path / "environment.json").exists():
            self.environment = self.run.read_json("environment.json")

    def open_session(self, building: ExitStack, display: Display) -> Session:
        """The session of the run; a new pool is built beside the run directory, which does not exist yet."""
        recipe, run = self.options.recipe, self.run
        if self._has_pool:
            copy_from_first(self.path, [run.contract.name, *(f"{run.pool.name}/{name}" for name in POOL_FILES)])
            return open_run(self.path, recipe=recipe)[0]
        self._place = building.enter_context(staging(self.path)) / "pool"

        def progress(done: int, total: int, what: str) -> None:
            if done < total or total == 0:  # no line for what finishes at once
                display.progress(done, total, what)

        return open_session(recipe, self._place, given=self.options.pool, note=display.note, progress=progress)

    def check_session(self, session: Session) -> dict[str, str]:
        """Check that all processes, and all sessions of the run, use the same model; returns its digests."""
        check_same_session(session)
        base = base_digests(session.files)
        if self.options.resume:
            check_base(self.run, base, self.options.allowed_changes)
        return base

    def fill(self, session: Session, base: dict[str, str], display: Display) -> None:
        """Create the directory of a new run, and write what the session adds to it."""
        if self.lock is None:
            self._create()
        if self.lock and self.lock.note:
            display.note(self.lock.note)
        self.run.write_json(BASE, base)
        if self._place is not None:
            if self.run.pool.exists():
                shutil.rmtree(self.run.pool)
            self._place.rename(self.run.pool)
            session.contract.save(self.run.contract)
        for change in self.changes:
            display.note(f"the recipe changed, as allowed: {change}")
        if self.changes:
            self.run.write_json("resolved.json", self.options.recipe.resolved())

    def sinks(self, tracker: Tracker | None) -> list[Sink]:
        """Where metrics go besides metrics.jsonl."""
        sinks: list[Sink] = [TensorBoard(self.path)] if is_first() else []
        if tracker:
            self.run.write_json(TRACKING, tracker.identity)
            sinks.append(tracker)
        return sinks


@contextmanager
def _place_of(out: Path) -> Iterator[Path]:
    """The run directory of this process: `out` for the primary process, a temporary one for any other."""
    if is_first():
        yield out
        return
    with staging(Path(tempfile.gettempdir()).absolute() / out.name) as folder:
        yield folder / "run"


def _open_judge(options: TrainOptions, folder: Path) -> Any:
    config = options.recipe.judge
    return open_judge(config, folder / JUDGE_FILE, sends_requests=is_first()) if config.on else None


def _open_tracker(options: TrainOptions) -> Tracker | None:
    if not options.track or not is_first():
        return None
    return Tracker(options.track, options.out, options.recipe.name, options.recipe.resolved())


def _open_planner(options: TrainOptions, tracker: Tracker | None) -> Planner | None:
    if options.ends_at is None:
        return None
    ends_at = options.ends_at - (FINISH_SECONDS if tracker else 0.0)
    seconds = from_first(lambda: ends_at - session_clock())
    return Planner(seconds, shared_clock, options.recipe.grpo.max_steps)


def _first_signal(own: signal.Signals | None) -> signal.Signals | None:
    """The signal that the first of the signalled processes received."""
    return next((one for one in gather(own, signal.Signals | None) if one is not None), None)


def _findings(recipe: Recipe, pool: Pool, model: ModelConfig, teacher: ModelConfig | None) -> list[Finding]:
    memory = check_memory(recipe, pool, model, teacher)
    if memory.level is Level.STOP:
        memory = replace(memory, level=Level.WARNING)  # an estimate; a run that ends for want of memory can be resumed
    return [*audit_recipe(recipe, pool), check_learning_rate(recipe, model), memory]


def _warn(findings: Sequence[Finding], display: Display) -> None:
    """Show the warnings of the pre-flight checks.

    Raises:
        UserError: A check finds that the run would fail.
    """
    for finding in findings:
        if finding.level is Level.STOP:
            raise UserError(f"{finding.name}: {finding.message}; {finding.remedy}")
        if finding.level is Level.WARNING:
            display.note(f"warning: {finding.name}: {finding.message}; {finding.remedy}")
