"""What a command that runs a model needs: the model's files, its tokenizer, the prompt contract, the task pool.

Opening a session reads and checks everything that can be checked before the weights are loaded, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.data import Pool, build_pool
from thinkaloud.errors import UserError
from thinkaloud.fetch import ModelFiles, resolve_model
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import load_tokenizer
from thinkaloud.records import Completion, Score, Task
from thinkaloud.rewards import score_batch
from thinkaloud.rollout.policy import Policy
from thinkaloud.sandbox import Sandbox, SandboxUnavailable
from thinkaloud.seeding import derive_seed

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
            UserError: They are missing, cut short, or of an unsupported architecture.
        """
        lora = self.recipe.lora
        return Policy(load_model(self.files, self.recipe.model.dtype), self.contract, lora.alpha / lora.rank)

    def new_adapter(self, policy: Policy) -> Adapter:
        """A fresh adapter of the recipe's shape."""
        lora = self.recipe.lora
        return init_adapter(policy.model.config, lora.rank, lora.targets, derive_seed(self.recipe.seed, "adapter"))


def open_contract(recipe: Recipe, progress: Callable[[str], None] | None = None) -> tuple[ModelFiles, PromptContract]:
    """The model's files and the contract that the recipe builds from their tokenizer; fetches what is missing."""
    files = resolve_model(recipe.model.source, progress=progress)
    frame = files.frame if recipe.model.frame == "auto" else recipe.model.frame
    if not frame:
        raise UserError(
            f"the chat frame of {files.name!r} is not known; set model.frame to gemma, smollm2 or chatml in the recipe"
        )
    contract = PromptContract.build(
        load_tokenizer(files),
        frame=frame,
        variant=recipe.prompt.variant,
        outside_text=recipe.prompt.outside_text,
    )
    return files, contract


def open_session(recipe: Recipe, progress: Callable[[str], None] | None = None) -> Session:
    """Fetch and check; raises UserError for whatever the user can mend."""
    files, contract = open_contract(recipe, progress)
    pool = build_pool(
        recipe.data,
        derive_seed(recipe.seed, "data"),
        num_tokens=lambda question: len(contract.encode(question)),
        max_prompt_tokens=recipe.rollout.max_prompt_tokens,
    )
    return Session(recipe, files, contract, pool)


@contextmanager
def open_scorer(recipe: Recipe, contract: PromptContract) -> Iterator[tuple[Scorer, str]]:
    """The reward of completions under a contract, and the level of the sandbox that coding answers run in.

    Yields:
        (scorer, level); the level is "not needed" where no domain runs code.

    Raises:
        UserError: Code would have to run on a machine that cannot contain it.
    """
    sandbox: Any = None
    if "coding" in recipe.data.domains:
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
        return score_batch(tasks, completions, contract=contract, sandbox=sandbox)

    try:
        yield score, str(sandbox.level) if sandbox else "not needed"
    finally:
        if sandbox:
            sandbox.close()
