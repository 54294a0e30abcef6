"""Opens a run directory: its session, and the adapters of its stages."""

from __future__ import annotations

from pathlib import Path

from thinkaloud.checkpoint.files import newest, restore_adapter, trained
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.data.store import open_pool
from thinkaloud.domains import registry_of
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.rollout.policy import Policy
from thinkaloud.session.session import Session
from thinkaloud.storage.run_directory import RunDir


def open_run(
    path: Path, *, allow_contract_mismatch: bool = False, recipe: Recipe | None = None
) -> tuple[Session, RunDir]:
    """The session of a run directory, with the contract that was saved with it.

    Args:
        recipe: Used instead of the run's own recipe.

    Raises:
        UserError: There is no run at `path`.
        ContractMismatch: The installed tokenizer does not produce the prompts that the run was trained with.
    """
    run = RunDir(path)
    recipe = recipe or parse_recipe(run.read_json("resolved.json"), where=str(path / "resolved.json"))
    files, built = open_contract(recipe)
    contract = PromptContract.load(run.contract, built.tokenizer, verify=not allow_contract_mismatch)
    registry_of(recipe)  # raises UserError
    # a run that was copied for inference may have no pool
    pool = open_pool(run.pool) if run.pool.exists() else Pool.of([], recipe.data.domains)
    return Session(recipe, files, contract, pool), run


def stage_adapter(session: Session, run: RunDir, policy: Policy, stage: str) -> Adapter:
    """The adapter of a stage from its checkpoint; empty for the base.

    Raises:
        UserError: The run has no checkpoint of this stage.
    """
    return {} if stage == "base" else saved_adapter(run, stage, session.new_adapter(policy), session.recipe)


def saved_adapter(run: RunDir, stage: str, like: Adapter, recipe: Recipe) -> Adapter:
    """The adapter of `cold_start` or `trained` from its intact checkpoint.

    Args:
        like: An adapter of the same shape.

    Raises:
        UserError: The run has no checkpoint of this stage.
    """
    if stage == "cold_start":
        saved = newest(run.checkpoints, "cold_start")
    else:
        saved = trained(run.checkpoints, recipe.checkpoint.use)
    if saved is None:
        have = ", ".join(["base", *(s for s in available_stages(run) if s != "base")])
        raise UserError(
            f"expected a checkpoint of stage {stage!r} in {run.path}, found {have}; continue with train --resume"
        )
    return restore_adapter(saved, like)


def available_stages(run: RunDir) -> list[str]:
    """The stages that a run has an adapter for."""
    stages = ["base"]
    if newest(run.checkpoints, "cold_start"):
        stages.append("cold_start")
    if newest(run.checkpoints, "grpo"):
        stages.append("trained")
    return stages
