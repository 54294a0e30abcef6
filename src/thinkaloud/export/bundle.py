"""What is exported: the weights of a stage in float32 on the host, its adapter, and its prompt contract.

No task pool is built and no device is used: an export needs only the run directory and the base model's files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError, nearest
from thinkaloud.evaluate.rows import STAGES
from thinkaloud.fetch.models import ModelFiles
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.model.merge import join_adapters, merge_in_place
from thinkaloud.model.peft_reader import read_peft
from thinkaloud.model.weights import load_checkpoint, load_config
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.prompt.tokenizer import Tokenizer
from thinkaloud.session.run import saved_adapter
from thinkaloud.storage.run_directory import RunDir

Params = dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """One stage of a run. `adapter` holds numpy arrays, laid out as `model/lora.py` says, and is empty for the base.

    The base is the recipe's model, with `model.adapter` merged in where the recipe names one.
    """

    run: RunDir
    stage: str
    recipe: Recipe
    files: ModelFiles
    config: ModelConfig
    contract: PromptContract
    adapter: Adapter

    @property
    def scale(self) -> float:
        """LoRA's alpha / rank."""
        return self.recipe.lora.alpha / self.recipe.lora.rank

    @property
    def tokenizer(self) -> Tokenizer:
        """The base model's tokenizer."""
        assert isinstance(self.contract.tokenizer, Tokenizer)
        return self.contract.tokenizer

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """The ids of `bos`, `eos`, `pad` and `unk`, as far as the tokenizer has them."""
        fields = json.loads(self.tokenizer_files["tokenizer_config.json"])
        found = {}
        for role in ("bos", "eos", "pad", "unk"):
            token = fields.get(f"{role}_token")
            token = token.get("content") if isinstance(token, dict) else token
            index = self.tokenizer.token_id(token) if isinstance(token, str) else None
            if index is not None:
                found[role] = index
        return found

    @cached_property
    def tokenizer_files(self) -> dict[str, str]:
        """The tokenizer's files, name to text, with the contract inside the chat template."""
        return self.tokenizer.files(chat_template=self.contract.chat_template())

    @cached_property
    def onto_stock(self) -> tuple[Adapter, float]:
        """The adapter for the stock base, and its alpha: the run's adapter, joined with `model.adapter` where set.

        Raises:
            UserError: The files of `model.adapter` are damaged.
        """
        if self.files.adapter is None:
            return self.adapter, self.recipe.lora.alpha
        joined = join_adapters([(read_peft(self.files.adapter, self.config), 1.0), (self.adapter, self.scale)])
        return joined, float(next(iter(joined.values()))["a"].shape[-1])

    def contract_text(self) -> str:
        """`contract.json`, part of every export."""
        return json.dumps(self.contract.record(), indent=1, ensure_ascii=False) + "\n"

    def merged(self) -> Params:
        """The base's weights with the adapter added, float32 NumPy arrays; reads the files on every call.

        Raises:
            UserError: The base model's files are damaged.
        """
        _, params = load_checkpoint(self.files, np.float32)
        return merge_in_place(params, self.adapter, self.scale)


def open_bundle(path: Path, stage: str, *, allow_contract_mismatch: bool = False) -> Bundle:
    """Read a stage of a run.

    Args:
        path: The run directory.
        stage: `base`, `cold_start` or `trained`.
        allow_contract_mismatch: Continue although the current tokenizer produces other prompts than in training.

    Raises:
        UserError: No run there, no such stage, or the run has not reached it.
        ContractMismatch: The current tokenizer does not produce the prompts that the run was trained with.
    """
    if stage not in STAGES:
        raise UserError(f"unknown stage {stage!r}{nearest(stage, STAGES)}")
    run = RunDir(path)
    recipe = parse_recipe(run.read_json("resolved.json"), where=str(path / "resolved.json"))
    files, built = open_contract(recipe)
    contract = PromptContract.load(run.contract, built.tokenizer, verify=not allow_contract_mismatch)
    config = load_config(files)
    adapter: Adapter = {}
    if stage != "base":
        like = init_adapter(config, recipe.lora.rank, recipe.lora.targets, seed=0)
        adapter = jax.tree.map(np.asarray, saved_adapter(run, stage, like, recipe))
    return Bundle(run, stage, recipe, files, config, contract, adapter)
