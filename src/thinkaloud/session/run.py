"""A run directory, opened: its session, and the adapters of its stages."""

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
        recipe: Instead of the one that the run began with.

    Raises:
        UserError: There is no run at `path`.
        ContractMismatch: The tokenizer at hand does not give the prompts the run was trained with.
    """
    run = RunDir(path)
    recipe = recipe or parse_recipe(run.read_json("resolved.json"), where=str(path / "resolved.json"))
    files, built = open_contract(recipe)
    contract = PromptContract.load(run.contract, built.tokenizer, verify=not allow_contract_mismatch)
    registry_of(recipe)  # raises UserError
    # a run that was carried elsewhere to be talked to may have left its tasks behind
    pool = open_pool(run.pool) if run.pool.exists() else Pool.of([], recipe.data.domains)
    return Session(recipe, files, contract, pool), run


def stage_adapter(session: Session, run: RunDir, policy: Policy, stage: str) -> Adapter:
    """The adapter of a stage: none for the base, else from the whole checkpoint that counts as it.

    Raises:
        UserError: The run has not got that far.
    """
    return {} if stage == "base" else saved_adapter(run, stage, session.new_adapter(policy), session.recipe)


def saved_adapter(run: RunDir, stage: str, like: Adapter, recipe: Recipe) -> Adapter:
    """The adapter of `cold_start` or `trained`, from the whole checkpoint that counts as it; `like` gives its shape.

    Raises:
        UserError: The run has not got that far.
    """
    if stage == "cold_start":
        saved = newest(run.checkpoints, "cold_start")
    else:
        saved = trained(run.checkpoints, recipe.checkpoint.use)
    if saved is None:
        have = ", ".join(["base", *(s for s in available_stages(run) if s != "base")])
        raise UserError(f"{run.path} has no checkpoint of stage {stage!r} (it has: {have}); go on with train --resume")
    return restore_adapter(saved, like)


def available_stages(run: RunDir) -> list[str]:
    """The stages a run can be asked for."""
    stages = ["base"]
    if newest(run.checkpoints, "cold_start"):
        stages.append("cold_start")
    if newest(run.checkpoints, "grpo"):
        stages.append("trained")
    return stages
