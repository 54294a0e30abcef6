"""From a recipe to the prompt contract: model files, tokenizer, chat template. Does not import JAX."""

from __future__ import annotations

from collections.abc import Callable

from thinkaloud.config import Recipe
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import load_tokenizer


def open_contract(recipe: Recipe, progress: Callable[[str], None] | None = None) -> tuple[ModelFiles, PromptContract]:
    """The model's files and the contract that the recipe builds from their tokenizer; missing files are fetched.

    Raises:
        UserError: The model cannot be fetched, or its chat template is not known.
    """
    files = resolve_model(recipe.model.source, adapter=recipe.model.adapter, progress=progress)
    template = files.chat_template if recipe.model.frame == "auto" else recipe.model.frame
    if not template:
        raise UserError(
            f"the chat template of {files.name!r} is not known; set model.frame in the recipe to gemma, gemma_base, "
            "smollm2 or chatml"
        )
    contract = PromptContract.build(
        load_tokenizer(files),
        template=template,
        variant=recipe.prompt.variant,
        outside_text=recipe.prompt.outside_text,
    )
    return files, contract
