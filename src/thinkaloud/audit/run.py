"""The whole audit of a recipe: opens the pool and runs every check."""

from __future__ import annotations

import tempfile
from pathlib import Path

import jax

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.audit.learning_rate import check_learning_rate
from thinkaloud.audit.memory import check_memory
from thinkaloud.audit.model_checks import check_time, sample_completions, time_steps
from thinkaloud.audit.preflight import audit_recipe
from thinkaloud.audit.rate_trials import check_rates, try_rates
from thinkaloud.config import Recipe
from thinkaloud.distributed.devices import find_accelerator, fix_message, unused_accelerator, unused_message
from thinkaloud.model.weights import load_config
from thinkaloud.rewards.bench import run_bench
from thinkaloud.sandbox.verdict import Level as Containment
from thinkaloud.session.device import device_line
from thinkaloud.session.run import saved_adapter
from thinkaloud.session.scorer import open_scorer
from thinkaloud.session.session import Session, open_session
from thinkaloud.session.teacher import teacher_files
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display


def audit_all(
    recipe: Recipe,
    *,
    pool: Path | None,
    samples: int,
    deadline_seconds: float | None,
    with_model: bool,
    display: Display,
    rates_from: Path | None = None,
) -> list[Finding]:
    """All findings on a recipe, in the order of the pipeline.

    Args:
        pool: A pool that `thinkaloud data` built; a temporary one is built if absent.
        samples: Completions of the base model per domain.
        deadline_seconds: Time for the whole run, if there is a deadline.
        with_model: Load the weights, sample the base model and time steps.
        rates_from: A run of this recipe, whose cold start is the starting point of a trial of learning rates.

    Raises:
        UserError: The pool cannot be built, or the model cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="thinkaloud-audit-") as place:
        session = open_session(recipe, Path(place) / "pool", given=pool, note=display.note, progress=display.progress)
        with open_scorer(recipe, session.contract) as (score, level):
            device = check_device(recipe)
            findings = [device, check_prompt_contract(session), *audit_recipe(recipe, session.pool)]
            findings += [check_rewards(), check_sandbox(recipe, level)]
            model, teacher = load_config(session.files), teacher_files(recipe, session.contract)
            findings.append(check_memory(recipe, session.pool, model, load_config(teacher) if teacher else None))
            findings.append(check_learning_rate(recipe, model))
            if with_model and device.level is not Level.STOP:
                policy = session.load_policy()
                by_domain = session.pool.by_domain("train")
                findings += sample_completions(
                    recipe, policy, by_domain, score, per_domain=samples, progress=display.progress
                )
                seconds = time_steps(recipe, policy, by_domain, display.progress)
                findings.append(check_time(recipe, seconds, deadline_seconds))
                if rates_from:
                    like = session.new_adapter(policy)
                    adapter = saved_adapter(RunDir(rates_from), "cold_start", like, recipe)
                    findings.append(check_rates(try_rates(recipe, policy, adapter, by_domain, score, display.progress)))
    return findings


def check_device(recipe: Recipe) -> Finding:
    """Whether JAX uses the machine's accelerator."""
    unused, line = unused_accelerator(), device_line(recipe)
    if unused:
        level, message, remedy = Level.STOP, unused_message(unused), fix_message(unused)
    elif jax.default_backend() == "cpu" and (found := find_accelerator()):
        level, message, remedy = Level.WARNING, f"{line}; {found.name} is present and not used", "remove --device cpu"
    else:
        level, message, remedy = Level.OK, line, ""
    return Finding(
        name="device", level=level, message=message, remedy=remedy, figures={"backend": jax.default_backend()}
    )


def check_prompt_contract(session: Session) -> Finding:
    """The prompt that training, evaluation and exports share."""
    contract = session.contract
    return Finding(
        name="prompt contract",
        level=Level.OK,
        message=f"chat template {contract.template.name}, end of turn {contract.template.stop[0]}, fingerprint "
        f"{contract.fingerprint[:12]}; `thinkaloud prompt` shows the exact text",
        figures={"frame": contract.template.name, "fingerprint": contract.fingerprint},
    )


def check_rewards() -> Finding:
    """Whether a hack of the reward bench scores higher than an honest answer."""
    outcomes = run_bench()
    lost = [outcome for outcome in outcomes if not outcome.held]
    return Finding(
        name="reward bench",
        level=Level.STOP if lost else Level.OK,
        message=f"{len(outcomes) - len(lost)} of {len(outcomes)} trials passed"
        + (f"; failed: {'; '.join(outcome.line for outcome in lost[:3])}" if lost else ""),
        remedy="`thinkaloud audit --rewards` lists them; fix the domain's scorer before training" if lost else "",
        figures={"trials": len(outcomes), "lost": [outcome.line for outcome in lost]},
    )


def check_sandbox(recipe: Recipe, level: str) -> Finding:
    """The containment level of the sandbox."""
    weak = level == Containment.NONE
    return Finding(
        name="sandbox",
        level=Level.WARNING if weak else Level.OK,
        message=f"containment level {level}" if "coding" in recipe.data.domains else "no domain runs code",
        remedy="`thinkaloud sandbox check` shows which layers are missing" if weak else "",
        figures={"level": level},
    )
