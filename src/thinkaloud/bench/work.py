"""The work of a bench: every engine gets the same weights, prompts, group size, tokens and settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.config import Recipe
from thinkaloud.data import Mixture, Pool
from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.save_hf import save_hf
from thinkaloud.model.weights import load_checkpoint
from thinkaloud.prompt.tokenizer import load_tokenizer
from thinkaloud.records import Task
from thinkaloud.seeding import derive_seed
from thinkaloud.session.session import open_session


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The prompts of one step."""

    tasks: tuple[Task, ...]
    prompts: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]
    """The prompts as text, for engines that tokenize them; the ids must be the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Steps on float32 weights in a Hugging Face directory; step i works on batch i modulo their number."""

    recipe: Recipe
    model: ModelConfig
    weights: Path
    batches: tuple[Batch, ...]

    def job(self, *, dtype: str, steps: int) -> dict[str, Any]:
        """The job file of a worker, JSON-ready; `recipe` is for our own worker, the other fields are for all."""
        recipe = self.recipe.resolved()
        recipe["model"] |= {"source": str(self.weights), "dtype": dtype}
        recipe["grpo"] |= {"max_steps": steps, "minibatches": 1, "schedule": "constant", "warmup_fraction": 0.0}
        return {
            "recipe": recipe,
            "weights": str(self.weights),
            "family": self.model.family,
            "dtype": dtype,
            "steps": steps,
            "seed": self.recipe.seed,
            "batches": [asdict(batch) for batch in self.batches],
            "group_size": self.recipe.rollout.group_size,
            "new_tokens": self.recipe.rollout.max_new_tokens,
            "rollout": recipe["rollout"],
            "grpo": recipe["grpo"],
            "lora": recipe["lora"],
        }

    def describe(self) -> dict[str, Any]:
        """The work, as reported in the result of the bench."""
        rollout, grpo = self.recipe.rollout, self.recipe.grpo
        return {
            "recipe": self.recipe.name,
            "model": self.recipe.model.source,
            "prompt_tokens": [[len(prompt) for prompt in batch.prompts] for batch in self.batches],
            "group_size": rollout.group_size,
            "new_tokens": rollout.max_new_tokens,
            "completion_tokens": self.completion_tokens,
            "inner_iterations": grpo.inner_iterations,
            "beta": grpo.beta,
            "lora": {"rank": self.recipe.lora.rank, "targets": list(self.recipe.lora.targets)},
            "temperature": rollout.temperature,
            "top_p": rollout.top_p,
            "top_k": rollout.top_k,
        }

    @property
    def completion_tokens(self) -> int:
        """Tokens sampled in a step."""
        return len(self.batches[0].prompts) * self.recipe.rollout.group_size * self.recipe.rollout.max_new_tokens


def make_work(
    recipe: Recipe,
    folder: Path,
    *,
    batches: int = 1,
    prompt_tokens: int | None = None,
    note: Callable[[str], None] | None = None,
) -> Work:
    """Choose the prompts and write the weights below `folder`.

    Args:
        batches: How many steps have prompts of their own.
        prompt_tokens: Take the pool's prompts nearest to this length; those of the recipe's first steps if None.

    Raises:
        UserError: Recipe, model or pool cannot be used.
    """
    session = open_session(recipe, folder / "pool", note=note or (lambda text: None))
    files, contract = session.files, session.contract
    chosen = _choose(session.pool, recipe, batches, prompt_tokens, lambda task: len(contract.encode(task.question)))
    config, params = load_checkpoint(files, np.float32)
    weights = folder / "weights"
    extra = {"eos_token_id": list(contract.stop_ids)}
    save_hf(config, params, load_tokenizer(files).files(), weights, extra=extra)
    del params
    frame = files.chat_template if recipe.model.frame == "auto" else recipe.model.frame
    return Work(
        recipe=recipe.model_copy(update={"model": recipe.model.model_copy(update={"frame": frame})}),
        model=config,
        weights=weights,
        batches=tuple(
            Batch(
                tasks=tuple(tasks),
                prompts=tuple(tuple(contract.encode(task.question)) for task in tasks),
                texts=tuple(contract.render(task.question) for task in tasks),
            )
            for tasks in chosen
        ),
    )


def write_job(path: Path, job: dict[str, Any]) -> None:
    path.write_text(json.dumps(job), encoding="utf-8")


def _choose(
    pool: Pool, recipe: Recipe, batches: int, prompt_tokens: int | None, num_tokens: Callable[[Task], int]
) -> list[list[Task]]:
    count = recipe.rollout.prompts_per_step
    if prompt_tokens is not None:
        near = sorted(pool.split("train"), key=lambda task: (abs(num_tokens(task) - prompt_tokens), task.id))
        if len(near) < batches * count:
            raise UserError(
                f"expected at least {batches * count} training tasks for {batches} batches of {count} prompts, found "
                f"{len(near)}; ask for fewer batches"
            )
        return [near[batch * count : (batch + 1) * count] for batch in range(batches)]
    seed = derive_seed(recipe.seed, "mixture")
    mixture = Mixture(pool.by_domain("train"), exponent=recipe.mixture.exponent, seed=seed)
    return [mixture.tasks(step, count) for step in range(batches)]
