"""The whole of `thinkaloud train`: base evaluation -> cold start -> GRPO -> evaluation -> report, in one run directory.

Each stage leaves its result in the run directory before the next begins, so that `--resume` goes on from there: from
the newest whole checkpoint within GRPO, from its beginning within the (short) cold start.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from thinkaloud.audit.before_training import audit_recipe
from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Mixture
from thinkaloud.display import Display
from thinkaloud.environment import PhaseTimer, describe_environment
from thinkaloud.errors import UserError
from thinkaloud.evaluate.parts import clear
from thinkaloud.evaluate.run import held_out
from thinkaloud.evaluating import evaluate_into, summarize
from thinkaloud.model.lora import Adapter
from thinkaloud.report.build import build_report
from thinkaloud.rollout.policy import Policy
from thinkaloud.rundir import RunDir, check_new, check_writable, create
from thinkaloud.seeding import derive_seed
from thinkaloud.session import Scorer, Session, open_run, open_scorer, open_session
from thinkaloud.train.checkpoint import newest, restore, restore_adapter, save
from thinkaloud.train.cold_start import cold_start
from thinkaloud.train.grpo import Grpo
from thinkaloud.train.records import write_rollouts


class Training:
    """One `thinkaloud train`, new or resumed."""

    def __init__(
        self, session: Session, run: RunDir, policy: Policy, score: Scorer, display: Display, timer: PhaseTimer
    ) -> None:
        self.session, self.run, self.policy = session, run, policy
        self.score, self.display, self.timer = score, display, timer
        self.recipe = session.recipe
        config = self.recipe.evaluate
        self.held_out = held_out(session.pool.by_domain(config.split), per_domain=config.tasks_per_domain)

    def go(self) -> None:
        """Every stage that the recipe asks for and the run directory does not hold yet."""
        self.evaluate("base", {})
        adapter = self.cold_start()
        if self.recipe.cold_start.max_steps:
            self.evaluate("cold_start", adapter)
        adapter = self.grpo(adapter)
        self.evaluate("trained", adapter)

    def cold_start(self) -> Adapter:
        """The adapter that GRPO begins with."""
        fresh = self.session.new_adapter(self.policy)
        if self.recipe.cold_start.max_steps == 0:
            return fresh
        saved = newest(self.run.checkpoints, "cold_start")
        if saved:
            return restore_adapter(saved, fresh)
        self.run.keep_rows(lambda row: row["stage"] != "cold_start")
        self.display.stage("cold_start", total_steps=self.recipe.cold_start.max_steps)
        adapter, steps = fresh, 0
        with self.timer.phase("cold_start"):
            for done in cold_start(self.policy, fresh, self.recipe, self.session.pool):
                adapter, steps = done.adapter, done.metrics["step"]
                self.run.append(done.metrics)
                self.display.step(done.metrics)
            save(self.run.checkpoints, "cold_start", steps, adapter, None, keep=1)
        return adapter

    def grpo(self, adapter: Adapter) -> Adapter:
        """GRPO from `adapter`, which is the KL's reference too; returns the trained adapter."""
        config = self.recipe.grpo
        stage = Grpo(self.policy, jax.tree.map(jnp.copy, adapter), self.recipe, self.score)
        state: Any = stage.optimizer.init(adapter)
        done = 0
        saved = newest(self.run.checkpoints, "grpo")
        if saved:
            adapter, state = restore(saved, adapter, state)
            done = saved.step
            self.display.note(f"resumed from {saved.path}")
        self.run.keep_rows(lambda row: row["stage"] != "grpo" or row["step"] <= done)
        mixture = Mixture(
            self.session.pool.by_domain("train"),
            exponent=self.recipe.mixture.exponent,
            seed=derive_seed(self.recipe.seed, "mixture"),
        )
        if done < config.max_steps:
            self.display.stage("grpo", total_steps=config.max_steps, done=done)
        idle = 0
        with self.timer.phase("grpo"):
            for step in range(done, config.max_steps):
                tasks = mixture.tasks(step, self.recipe.rollout.prompts_per_step)
                result = stage.step(adapter, state, tasks, step)
                adapter, state = result.adapter, result.state
                write_rollouts(self.run.rollouts, step + 1, tasks, result.groups, result.scores)
                self.run.append(result.metrics)
                self.display.step(result.metrics)
                if (step + 1) % self.recipe.checkpoint.every_steps == 0 or step + 1 == config.max_steps:
                    save(self.run.checkpoints, "grpo", step + 1, adapter, state, keep=self.recipe.checkpoint.keep)
                idle = idle + 1 if result.metrics["dead_groups"] == 1.0 else 0
                if idle >= config.dead_step_limit:
                    raise UserError(
                        f"{idle} steps in a row had no signal: in every group all rewards were equal (format rate "
                        f"{result.metrics['format_rate']}); near 0 %, use a longer cold start, near 100 %, harder "
                        "tasks or a higher temperature"
                    )
        return adapter

    def evaluate(self, stage: str, adapter: Adapter) -> None:
        """Evaluate one stage, unless the recipe leaves it out or the run directory has it."""
        path = self.run.evaluation / f"{stage}.parquet"
        if stage not in self.recipe.evaluate.stages or path.exists():
            return
        with self.timer.phase(f"evaluate_{stage}"):
            evaluate_into(
                path.parent, stage, self.session, self.policy, adapter, self.held_out, self.score, self.display
            )
            clear(path.parent)
        summary = summarize(self.run.evaluation, self.recipe.evaluate.split)
        rates = summary["stages"][stage]["overall"]
        self.display.note(
            f"{stage.replace('_', ' ')}: format {rates['format_rate']:.0%} of {rates['n']} held-out tasks"
        )


def train(
    recipe: Recipe, recipe_text: str, out: Path, *, resume: bool, display: Display, pool: Path | None = None
) -> RunDir:
    """Run a recipe into `out`; with `resume`, go on with the run that is there.

    Args:
        pool: A pool that `thinkaloud data` built from this recipe; built here when absent.

    Raises:
        UserError: Whatever the user can mend; a new run directory is made only after the sandbox has
            started and the model is loaded.
    """
    run, timer = RunDir(out), PhaseTimer()
    if resume:
        require_same_recipe(run, recipe)
        check_writable(out)
        if (out / "environment.json").exists():
            timer = PhaseTimer(run.read_json("environment.json").get("seconds"))
    else:
        check_new(out)
    with staging(out) as place, ExitStack() as stack:
        with timer.phase("prepare"):
            session = open_run(out)[0] if resume else start(recipe, place, pool, display)
            warn(audit_recipe(recipe, session.pool), display)
        score, level = stack.enter_context(open_scorer(recipe, session.contract))
        with timer.phase("prepare"):
            policy = session.load_policy()
        if not resume:
            create(out, recipe_text, recipe.resolved())
            place.rename(run.pool)
            session.contract.save(run.contract)
        try:
            Training(session, run, policy, score, display, timer).go()
        finally:
            run.write_json("environment.json", describe_environment(level, timer.seconds))
    build_report(out)
    return run


def start(recipe: Recipe, place: Path, pool: Path | None, display: Display) -> Session:
    """The session of a new run, its pool at `place`."""

    def progress(done: int, total: int, what: str) -> None:
        if done < total or total == 0:  # a line for what takes long, none for what is done at once
            display.progress(done, total, what)

    return open_session(recipe, place, given=pool, note=display.note, progress=progress)


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Where the pool of a new run is built, on the disk of the run directory, before there is one; gone in the end."""
    parent = next(folder for folder in out.absolute().parents if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=".thinkaloud-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "pool"


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


def require_same_recipe(run: RunDir, recipe: Recipe) -> None:
    """Stop where the recipe is not the one that the run began with.

    Raises:
        UserError: Names every key that differs.
    """
    before = parse_recipe(run.read_json("resolved.json"), where=str(run.path / "resolved.json")).resolved()
    after = recipe.resolved()
    changed = [key for key, old, new in _differences("", before, after) if old != new]
    if changed:
        raise UserError(
            f"the recipe is not the one that {run.path} began with (changed: {', '.join(changed)}); "
            f"resume with {run.path / 'recipe.toml'} and the same --set, or start anew with --out"
        )


def _differences(prefix: str, before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [item for key in keys for item in _differences(f"{prefix}.{key}", before.get(key), after.get(key))]
    return [(prefix.lstrip("."), before, after)]
