"""The output of `thinkaloud prompt`: the exact prompt of a recipe or a run, with invisible characters shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinkaloud.config import load_recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError
from thinkaloud.prompt.contract import PromptContract, PromptView
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.storage.run_directory import RunDir


def describe_prompt(source: Path, question: str, overrides: Sequence[str] = ()) -> PromptView:
    """The prompt of one question under a recipe's contract, or under the contract of a run."""
    if source.is_dir():
        if overrides:
            raise UserError(f"--set changes a recipe, and {source} is a run with its prompt saved; name the recipe")
        run = RunDir(source)
        recipe = parse_recipe(run.read_json("resolved.json"), where=str(source / "resolved.json"))
        _, built = open_contract(recipe)
        return PromptContract.load(run.contract, built.tokenizer).describe(question)
    _, contract = open_contract(load_recipe(source, overrides))
    return contract.describe(question)


def as_dict(view: PromptView) -> dict[str, Any]:
    """The view as plain data."""
    return dataclasses.asdict(view)


def as_text(view: PromptView) -> str:
    """The view as text."""
    tokens = " ".join(f"{token.id}[{token.piece}]" for token in view.tokens)
    stop = " ".join(f"{token.id}[{token.piece}]" for token in view.stop)
    return "\n".join(
        [
            f"contract: {view.contract}",
            f"fingerprint: {view.fingerprint}",
            "",
            view.visible,
            "",
            f"{len(view.tokens)} tokens: {tokens}",
            f"stop tokens: {stop}",
        ]
    )
