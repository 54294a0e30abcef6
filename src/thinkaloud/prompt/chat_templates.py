"""Chat templates and the default texts, as data.

A chat template is the text that a model's chat format puts around one user message. It is stored in parts, so that one
table yields both the prompt and the Jinja template of exports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from thinkaloud.errors import UserError, nearest

Variant = Literal["default", "original"]

SYSTEM = "Provide your reasoning in <reasoning> tags, then your final answer in <answer> tags."

QUESTION_SLOT = "{question}"

TASK_TEMPLATE = """

Format:
<reasoning>your step-by-step thinking</reasoning>
<answer>your final answer</answer>

Task: {question}"""
"""The rest of the user message after the system text; the slot takes the question."""

ANSWER_PLACEHOLDER = "your final answer"
"""What stands between the answer tags of the template: a model that copies it has given no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """The text of a chat format around a user message and before the model's reply.

    `preamble` opens the conversation (begin-of-sequence token, a system block); `special` lists the special tokens that
    the other strings are written with; `stop` the tokens that end a reply, the end-of-turn token first.
    """

    name: str
    preamble: str
    user_open: str
    user_close: str
    model_open: str
    model_close: str
    special: tuple[str, ...]
    stop: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """Everything before the user's text."""
        return self.preamble + self.user_open

    @property
    def suffix(self) -> str:
        """Everything between the user's text and the reply."""
        return self.user_close + self.model_open


_CHATML = {
    "user_open": "<|im_start|>user\n",
    "user_close": "<|im_end|>\n",
    "model_open": "<|im_start|>assistant\n",
    "model_close": "<|im_end|>\n",
}

_GEMMA = ChatTemplate(
    name="gemma",
    preamble="<bos>",
    user_open="<start_of_turn>user\n",
    user_close="<end_of_turn>\n",
    model_open="<start_of_turn>model\n",
    model_close="<end_of_turn>\n",
    special=("<bos>", "<start_of_turn>", "<end_of_turn>"),
    stop=("<end_of_turn>", "<eos>"),
)

CHAT_TEMPLATES = {
    "gemma": _GEMMA,
    # A base model never saw <end_of_turn>: its row in the head is untrained, and LoRA does not train the head, so the
    # model would never write it. <eos> ended the texts it was trained on.
    "gemma_base": replace(
        _GEMMA,
        name="gemma_base",
        model_close="<eos>\n",
        special=(*_GEMMA.special, "<eos>"),
        stop=("<eos>", "<end_of_turn>"),
    ),
    "smollm2": ChatTemplate(
        name="smollm2",
        preamble="<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n",
        special=("<|im_start|>", "<|im_end|>"),
        stop=("<|im_end|>", "<|endoftext|>"),
        **_CHATML,
    ),
    "chatml": ChatTemplate(
        name="chatml",
        preamble="",
        special=("<|im_start|>", "<|im_end|>"),
        stop=("<|im_end|>", "<|endoftext|>"),
        **_CHATML,
    ),
}
"""Known chat templates. To add one, write down what the model's own Jinja template prints for one user message."""


def find_chat_template(name: str, variant: Variant = "default") -> ChatTemplate:
    """The chat template called `name`.

    Args:
        name: A key of `CHAT_TEMPLATES`.
        variant: `"original"` ends the prompt at the model's role name, without the line feed that follows it in the
            chat format, as in the prompt of the original write-up.

    Raises:
        UserError: The name is unknown.
    """
    if name not in CHAT_TEMPLATES:
        raise UserError(f"expected a chat template, found {name!r}{nearest(name, CHAT_TEMPLATES)}")
    known = CHAT_TEMPLATES[name]
    if variant == "default":
        return known
    return replace(known, model_open=known.model_open.rstrip("\n"))


def jinja_template(template: ChatTemplate, before: str, after: str) -> str:
    """A Jinja template that turns one user message into the prompt of a contract.

    Every user message becomes a task between `before` and `after`, and replies end as in the chat format. System
    messages are refused, because the contract holds the only one. Texts are written as string literals, so that
    neither `trim_blocks` nor braces change them.

    Args:
        template: The chat template.
        before: The user's text up to the question.
        after: The user's text after the question.

    Returns:
        The value for a tokenizer's `chat_template` field.
    """
    return (
        "{{ " + _literal(template.preamble) + " }}"
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %}"
        "{{ "
        + _literal(template.user_open + before)
        + " + message['content'] + "
        + _literal(after + template.user_close)
        + " }}"
        "{% elif message['role'] == 'assistant' %}"
        "{{ " + _literal(template.model_open) + " + message['content'] + " + _literal(template.model_close) + " }}"
        "{% else %}"
        "{{ raise_exception('this model takes user and assistant messages only') }}"
        "{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ " + _literal(template.model_open) + " }}{% endif %}"
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + "'"
