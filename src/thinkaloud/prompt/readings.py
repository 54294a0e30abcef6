"""Other prompts for the same question: the model's plain chat form, and the contract after one worked example.

They ask the base model fairly: it was never trained on the contract. The contract itself does not change.
"""

from __future__ import annotations

from dataclasses import replace

from thinkaloud.prompt.chat_templates import CHAT_TEMPLATES, QUESTION_SLOT
from thinkaloud.prompt.contract import PromptContract


def plain_contract(contract: PromptContract) -> PromptContract:
    """A contract whose prompt is the question alone, as the user's message in the model's chat template."""
    own = contract.template
    return replace(
        contract,
        name=f"{own.name}/plain",
        system="",
        task_template=QUESTION_SLOT,
        template=CHAT_TEMPLATES.get(own.name, own),
    )


def contract_with_example(contract: PromptContract, question: str, reasoning: str, answer: str) -> PromptContract:
    """A contract whose prompt begins with one question and its well-formed reply, as a first turn of the chat.

    Raises:
        ValueError: The reply would not be well-formed, or a text holds a special token of the chat template.
    """
    template = contract.template
    reply = contract.render_completion(reasoning, answer)
    if reason := contract.parse(reply).reason:
        raise ValueError(f"expected a reasoning and an answer without tags in them, found {reason}")
    user = contract.user_text(question)
    if any(token in user + reply for token in template.special):
        raise ValueError("expected an example without special tokens of the chat template")
    turn = template.user_open + user + template.user_close + template.model_open + reply + template.model_close
    return replace(
        contract, name=f"{contract.name}/example", template=replace(template, preamble=template.preamble + turn)
    )
