"""From a recipe to the prompt contract: the model's files, their tokenizer, the chat frame. No JAX."""

from __future__ import annotations

from collections.abc import Callable

from thinkaloud.config import Recipe
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import load_tokenizer


def open_contract(recipe: Recipe, progress: Callable[[str], None] | None = None) -> tuple[ModelFiles, PromptContract]:
    """The model's files and the contract that the recipe builds from their tokenizer; fetches what is missing.

    Raises:
        UserError: The model cannot be had, or its chat frame is not known.
    """
    files = resolve_model(recipe.model.source, adapter=recipe.model.adapter, progress=progress)
    frame = files.frame if recipe.model.frame == "auto" else recipe.model.frame
    if not frame:
        raise UserError(
            f"the chat frame of {files.name!r} is not known; set model.frame in the recipe to gemma, gemma_base, "
            "smollm2 or chatml"
        )
    contract = PromptContract.build(
        load_tokenizer(files),
        frame=frame,
        variant=recipe.prompt.variant,
        outside_text=recipe.prompt.outside_text,
    )
    return files, contract
