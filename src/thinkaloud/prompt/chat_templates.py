"""Chat frames and the default texts, as data.

A frame is what a model's own chat format puts around one user message. It is kept in pieces, so that one table gives
both the prompt and the chat template that exports carry.
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
"""What follows the system text inside the user message; the one slot takes the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a chat format writes around a user message and before the model's reply.

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
        """All that stands before the user's text."""
        return self.preamble + self.user_open

    @property
    def suffix(self) -> str:
        """All that stands between the user's text and the reply."""
        return self.user_close + self.model_open


_CHATML = {
    "user_open": "<|im_start|>user\n",
    "user_close": "<|im_end|>\n",
    "model_open": "<|im_start|>assistant\n",
    "model_close": "<|im_end|>\n",
}

_GEMMA = Frame(
    name="gemma",
    preamble="<bos>",
    user_open="<start_of_turn>user\n",
    user_close="<end_of_turn>\n",
    model_open="<start_of_turn>model\n",
    model_close="<end_of_turn>\n",
    special=("<bos>", "<start_of_turn>", "<end_of_turn>"),
    stop=("<end_of_turn>", "<eos>"),
)

FRAMES = {
    "gemma": _GEMMA,
    # A base model never saw <end_of_turn>: its row in the head is untrained, and LoRA leaves the head alone, so a
    # reply that had to end on it would never end. <eos> ended the texts it was trained on.
    "gemma_base": replace(
        _GEMMA,
        name="gemma_base",
        model_close="<eos>\n",
        special=(*_GEMMA.special, "<eos>"),
        stop=("<eos>", "<end_of_turn>"),
    ),
    "smollm2": Frame(
        name="smollm2",
        preamble="<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n",
        special=("<|im_start|>", "<|im_end|>"),
        stop=("<|im_end|>", "<|endoftext|>"),
        **_CHATML,
    ),
    "chatml": Frame(
        name="chatml",
        preamble="",
        special=("<|im_start|>", "<|im_end|>"),
        stop=("<|im_end|>", "<|endoftext|>"),
        **_CHATML,
    ),
}
"""Known frames. To add one: write down what the model's own chat template prints for one user message."""


def chat_frame(name: str, variant: Variant = "default") -> Frame:
    """The frame called `name`.

    Args:
        name: a key of `FRAMES`.
        variant: `"original"` ends the prompt at the model's role name, without the line feed that follows it in the
            chat format: the original write-up's verbatim prompt.

    Raises:
        UserError: the name is unknown.
    """
    if name not in FRAMES:
        raise UserError(f"expected a chat frame, found {name!r}{nearest(name, FRAMES)}")
    known = FRAMES[name]
    if variant == "default":
        return known
    return replace(known, model_open=known.model_open.rstrip("\n"))


def chat_template(frame: Frame, before: str, after: str) -> str:
    """A Jinja chat template that turns one bare user message into the prompt of a contract.

    Every user message becomes a task, `before` and `after` around it; replies are closed as the chat format closes
    them; a system message is refused, for the contract holds the only one. Texts are written as string literals, so
    neither `trim_blocks` nor a brace in them changes a character.

    Args:
        frame: the chat frame.
        before: what the user's text begins with, up to the question.
        after: what follows the question.

    Returns:
        The template, for a tokenizer's `chat_template` field.
    """
    return (
        "{{ " + _literal(frame.preamble) + " }}"
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %}"
        "{{ "
        + _literal(frame.user_open + before)
        + " + message['content'] + "
        + _literal(after + frame.user_close)
        + " }}"
        "{% elif message['role'] == 'assistant' %}"
        "{{ " + _literal(frame.model_open) + " + message['content'] + " + _literal(frame.model_close) + " }}"
        "{% else %}"
        "{{ raise_exception('this model takes user and assistant messages only') }}"
        "{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ " + _literal(frame.model_open) + " }}{% endif %}"
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + "'"
