"""The teacher of on-policy distillation: a model that reads the policy's own token ids."""

from __future__ import annotations

from collections.abc import Callable

from thinkaloud.config import Recipe
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.model.load import Model, load_model
from thinkaloud.prompt.contract import PROBE_QUESTIONS, PromptContract, TokenizerLike
from thinkaloud.prompt.tokenizer import load_tokenizer


def teacher_files(
    recipe: Recipe, contract: PromptContract, progress: Callable[[str], None] | None = None
) -> ModelFiles | None:
    """The files of the recipe's teacher, fetched if they are missing; None without a teacher.

    Raises:
        UserError: It cannot be fetched, or its tokenizer is not the model's.
    """
    if not recipe.teacher.source:
        return None
    files = resolve_model(recipe.teacher.source, progress=progress)
    if not same_ids(contract.tokenizer, load_tokenizer(files)):
        raise UserError(
            f"expected a teacher with the tokenizer of {recipe.model.source!r}, found another in "
            f"{recipe.teacher.source!r}: it reads the token ids that the model samples; name a larger model of the "
            'same family, or learn from its answers with cold_start.source = "teacher"'
        )
    return files


def same_ids(first: TokenizerLike, second: TokenizerLike) -> bool:
    """Whether two tokenizers give the same ids for the contract's probe questions."""
    return all(first.encode_plain(text) == second.encode_plain(text) for text in PROBE_QUESTIONS)


def load_teacher(files: ModelFiles | None, recipe: Recipe) -> Model | None:
    """The teacher's weights, in the dtype of the base and on the same mesh."""
    return load_model(files, recipe.model.dtype, recipe.mesh.sizes()) if files else None
