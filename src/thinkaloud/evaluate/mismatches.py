"""The prompts of the contract experiment: the matched contract, and common mistakes of inference code.

Each mismatch changes how a contract renders. Completions are still parsed by the run's own rules, because a caller with
a wrong prompt reads the answer as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from thinkaloud.prompt.chat_templates import CHAT_TEMPLATES, QUESTION_SLOT
from thinkaloud.prompt.contract import PROBE_QUESTIONS, PromptContract
from thinkaloud.prompt.diff import diff_texts, visible

MATCHED = "matched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One mistake; `change` returns the contract that renders it."""

    name: str
    description: str
    change: Callable[[PromptContract], PromptContract]


def _text(change: Callable[[str], str]) -> Callable[[PromptContract], PromptContract]:
    """A change to the user's text: system text and task template."""
    return lambda contract: replace(
        contract, system=change(contract.system), task_template=change(contract.task_template)
    )


def _model_open(change: Callable[[str], str]) -> Callable[[PromptContract], PromptContract]:
    """A change to the text between the user's text and the reply."""
    return lambda contract: replace(
        contract, template=replace(contract.template, model_open=change(contract.template.model_open))
    )


def _other_frame(contract: PromptContract) -> PromptContract:
    """Another family's chat template, as plain text where this tokenizer lacks its special tokens."""
    own = contract.template
    other = CHAT_TEMPLATES["gemma" if own.user_open.startswith("<|im_start|>") else "chatml"]
    special = tuple(token for token in other.special if contract.tokenizer.token_id(token) is not None)
    template = replace(other, special=special or own.special, stop=own.stop)
    return replace(contract, template=template)


def _no_frame(contract: PromptContract) -> PromptContract:
    """The text alone, as a completion prompt."""
    return replace(
        contract, template=replace(contract.template, preamble="", user_open="", user_close="\n", model_open="")
    )


def _other_tags(text: str) -> str:
    return text.replace("reasoning>", "think>").replace("answer>", "final>")


MISMATCHES = (
    Mismatch(
        name="no_line_feed",
        description="no line feed after the model's turn begins",
        change=_model_open(lambda text: text.rstrip("\n")),
    ),
    Mismatch(
        name="doubled_space",
        description="the first space of the system text doubled",
        change=lambda contract: replace(contract, system=contract.system.replace(" ", "  ", 1)),
    ),
    Mismatch(
        name="indented",
        description="the template's lines indented by four spaces",
        change=lambda contract: replace(
            contract, task_template=re.sub(r"\n(?=[^\n])", "\n    ", contract.task_template)
        ),
    ),
    Mismatch(
        name="crlf",
        description="CR LF in place of line feeds in the template",
        change=_text(lambda text: text.replace("\n", "\r\n")),
    ),
    Mismatch(
        name="no_blank_lines",
        description="blank lines of the template missing",
        change=_text(lambda text: re.sub(r"\n{2,}", "\n", text)),
    ),
    Mismatch(
        name="no_task_word",
        description="no `Task:` before the question",
        change=_text(lambda text: text.replace(f"Task: {QUESTION_SLOT}", QUESTION_SLOT)),
    ),
    Mismatch(
        name="no_system_text",
        description="no system text",
        change=lambda contract: replace(contract, system="", task_template=contract.task_template.lstrip("\n")),
    ),
    Mismatch(
        name="tabs",
        description="a tab in place of the space before the question",
        change=_text(lambda text: text.replace(f" {QUESTION_SLOT}", f"\t{QUESTION_SLOT}")),
    ),
    Mismatch(
        name="trailing_space",
        description="a space after the question",
        change=_text(lambda text: text.replace(QUESTION_SLOT, f"{QUESTION_SLOT} ")),
    ),
    Mismatch(
        name="space_before_reply",
        description="a space after the model's turn begins",
        change=_model_open(lambda text: f"{text} "),
    ),
    Mismatch(
        name="other_tags",
        description="other tag names asked for: `<think>`, `<final>`",
        change=_text(_other_tags),
    ),
    Mismatch(name="no_frame", description="no chat template", change=_no_frame),
    Mismatch(name="other_frame", description="another model family's chat template", change=_other_frame),
)
"""In the order of tables and charts. To add one: a name, a short description, and the change."""


def variants(contract: PromptContract) -> dict[str, PromptContract]:
    """The matched contract and every mismatch that changes this contract's prompt, by name."""
    matched = contract.render(PROBE_QUESTIONS[0])
    found = {MATCHED: contract}
    for mismatch in MISMATCHES:
        changed = mismatch.change(contract)
        if changed.render(PROBE_QUESTIONS[0]) != matched:
            found[mismatch.name] = changed
    return found


def description(name: str) -> str:
    """The short description of a variant."""
    return next((known.description for known in MISMATCHES if known.name == name), "the prompt of training")


def first_difference(matched: PromptContract, other: PromptContract, num_context: int = 3) -> dict[str, Any] | None:
    """Where the token ids of one probe prompt first differ.

    Returns:
        `position` (all tokens before it agree), `expected` and `found`: up to `num_context` tokens from there as
        `{"id", "piece"}`, invisible characters shown; `num_expected` and `num_found`, the prompts' lengths in tokens;
        and `text`, the lines of a diff. None where the ids are the same.
    """
    question = PROBE_QUESTIONS[0]
    expected, found = matched.encode(question), other.encode(question)
    if expected == found:
        return None
    shorter = min(len(expected), len(found))
    at = next((i for i in range(shorter) if expected[i] != found[i]), shorter)

    def pieces(ids: list[int]) -> list[dict[str, Any]]:
        decode = matched.tokenizer.decode
        return [
            {"id": token, "piece": visible(decode([token], keep_special=True), break_lines=False)}
            for token in ids[at : at + num_context]
        ]

    return {
        "position": at,
        "expected": pieces(expected),
        "found": pieces(found),
        "num_expected": len(expected),
        "num_found": len(found),
        "text": diff_texts(matched.render(question), other.render(question)),
    }
