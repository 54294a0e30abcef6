"""What a command that runs a model needs: the model's files, its tokenizer, the prompt contract, the task pool.

Opening a session reads and checks everything that can be checked before the weights are loaded, and writes nothing but
the pool of a new run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from thinkaloud.checkpoint.files import newest, restore_adapter, trained
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.data.build import place_pool
from thinkaloud.data.curate import Progress
from thinkaloud.data.pool import check_domains
from thinkaloud.data.store import POOL_FILES, open_pool
from thinkaloud.distributed.team import alone, from_first, gather, is_first, require_same, share
from thinkaloud.domains import domain
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, models_cache
from thinkaloud.judge import Judge, answer_of, paid
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.model.sharding import mesh_of, place
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, Score, Task
from thinkaloud.rewards import score_batch
from thinkaloud.rollout.policy import Policy
from thinkaloud.sandbox import Sandbox, SandboxUnavailable
from thinkaloud.seeding import derive_seed
from thinkaloud.storage.run_directory import RunDir

Scorer = Callable[[Sequence[Task], Sequence[Completion]], list[Score]]


@dataclass(frozen=True, slots=True)
class Session:
    """A recipe with its model's files, contract and pool."""

    recipe: Recipe
    files: ModelFiles
    contract: PromptContract
    pool: Pool

    def load_policy(self) -> Policy:
        """Read the weights.

        Raises:
            UserError: They are missing, cut short, of an unsupported architecture, or too short for the token limits.
        """
        keep_compiled()
        lora, rollout = self.recipe.lora, self.recipe.rollout
        model = load_model(self.files, self.recipe.model.dtype, self.recipe.mesh.sizes())
        if rollout.max_prompt_tokens + rollout.max_new_tokens > model.config.max_position:
            raise UserError(
                f"rollout.max_prompt_tokens + rollout.max_new_tokens is "
                f"{rollout.max_prompt_tokens + rollout.max_new_tokens}, but {self.files.name!r} has positions for "
                f"{model.config.max_position}; lower one of them"
            )
        return Policy(model, self.contract, lora.alpha / lora.rank)

    def new_adapter(self, policy: Policy) -> Adapter:
        """A fresh adapter of the recipe's shape."""
        lora = self.recipe.lora
        config, seed = policy.model.config, derive_seed(self.recipe.seed, "adapter")
        return place(init_adapter(config, lora.rank, lora.targets, seed), mesh_of(policy.model.params), config)


def keep_compiled() -> None:
    """Let JAX keep compiled programs on disk, so that the next run of the same shapes starts at once.

    A cache that the user has set up for JAX (JAX_COMPILATION_CACHE_DIR) is left as it is.
    """
    settings: Any = jax.config
    if not settings.jax_compilation_cache_dir:
        settings.update("jax_compilation_cache_dir", str(models_cache().parent / "compiled"))


def open_session(
    recipe: Recipe,
    place: Path,
    *,
    given: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda done, total, what: None,
) -> Session:
    """Fetch the model's files, and build the recipe's pool, or take the one that was built.

    Of several processes the first builds the pool and gives the others a copy, so that they need no sources.

    Args:
        place: Where the pool is to lie; a place of its own for each process.
        given: A pool of `thinkaloud data`; the recipe's is built when absent.
        note: Told one line about what takes time, or what the user should know.
        progress: Told (done, total, what) while the pool is built; a total of 0 is not known.

    Raises:
        UserError: Whatever the user can mend.
    """
    files, contract = open_contract(recipe, note)
    pool = place_pool(recipe, contract, place, given=given, progress=progress, note=note) if is_first() else None
    copy_from_first(place, POOL_FILES)
    return Session(recipe, files, contract, open_pool(place) if pool is None else pool)


def copy_from_first(folder: Path, names: Sequence[str]) -> None:
    """Give every process, in its own `folder`, the files that process 0 has in its."""
    if alone():
        return
    for name in names:
        content = from_first((folder / name).read_bytes)
        if not is_first():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def check_same_session(session: Session) -> None:
    """Raises UserError where the processes of a run have other models, or other words for theirs."""
    weights = [[path.name, path.stat().st_size] for path in session.files.weights]
    model = [session.files.name, *weights, session.files.adapter and session.files.adapter.name]
    require_same(gather({"the model's files": model, "the prompt contract": session.contract.fingerprint}))


@contextmanager
def open_scorer(recipe: Recipe, contract: PromptContract) -> Iterator[tuple[Scorer, str]]:
    """The reward of completions under a contract, and the level of the sandbox that coding answers run in.

    Yields:
        (scorer, level); the level is "not needed" where no domain runs code.

    Raises:
        UserError: Code would have to run on a machine that cannot contain it.
    """
    sandbox: Any = None
    if any(domain(name).runs_code for name in recipe.data.domains):
        try:
            sandbox = Sandbox(
                num_workers=recipe.rewards.sandbox_workers or None,
                allow_unsandboxed=recipe.rewards.allow_unsandboxed,
            ).start()
        except SandboxUnavailable as error:
            raise UserError(
                f"{error}; or leave coding out of data.domains, or set rewards.allow_unsandboxed = true"
            ) from error

    def score(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        def score_rows(rows: range) -> list[Score]:
            own = slice(rows.start, rows.stop)
            batch = (tasks[own], completions[own])
            return score_batch(*batch, contract=contract, sandbox=sandbox, creative=recipe.rewards.creative)

        return share(len(tasks), score_rows)

    try:
        yield score, str(sandbox.level) if sandbox else "not needed"
    finally:
        if sandbox:
            sandbox.close()


def judged(score: Scorer, judge: Judge, recipe: Recipe, contract: PromptContract, check: Callable[[], None]) -> Scorer:
    """`score` with the judge's marks as a part of it; the judge works while code runs in the sandbox.

    Args:
        check: called again and again while the judge is waited for; what it raises ends the waiting.
    """

    def both(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        answers = [
            answer_of(task.domain, task.question, completion.text, completion.finish, contract)
            for task, completion in zip(tasks, completions, strict=True)
        ]
        asking = judge.begin([answer for answer in answers if answer is not None] if is_first() else [])
        scores = score(tasks, completions)
        found = iter(from_first(lambda: judge.finish(asking, check)))  # one process asks for all
        rulings = [None if answer is None else next(found) for answer in answers]
        return paid(tasks, scores, rulings, recipe.judge.reward_share)

    return both


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
    check_domains(recipe.data)
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
