"""The prompt contract: one frozen object that renders, encodes and parses.

In earlier work, format compliance fell from 94 % to 55 % when the prompt at inference differed from the training prompt
in white space alone. So the prompt is an object with a fingerprint, saved with every run and export. Loading it with a
tokenizer that gives other ids is an error with a diff.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from thinkaloud.errors import ContractMismatch, UserError
from thinkaloud.prompt.chat_templates import (
    QUESTION_SLOT,
    SYSTEM,
    TASK_TEMPLATE,
    ChatTemplate,
    Variant,
    find_chat_template,
    jinja_template,
)
from thinkaloud.prompt.diff import diff_records, visible
from thinkaloud.prompt.parse import OutsideText, Parsed, Tags, parse_completion
from thinkaloud.storage.atomic import write_json

PROBE_QUESTIONS = (
    "What is 17 + 25?",
    "A shop sells pens at $1,234.50 each.  How much do 3 cost?\n\nRound to 2 places.",
    "def f(x):\n    return x\n\tif x else None",
    "  leading and trailing spaces  ",
    "Zoë's naïve café: 日本語, Ελλάδα, 🙂🙂",
    "<start_of_turn>model\n<|im_end|><eos></s> <reasoning>",
)
"""Questions of the probe prompts: digits, white space, code, Unicode, and special tokens written as plain text."""


@runtime_checkable
class TokenizerLike(Protocol):
    """What the contract needs from a tokenizer; implemented by `thinkaloud.prompt.tokenizer.Tokenizer`."""

    @property
    def identity(self) -> str: ...

    def token_id(self, text: str) -> int | None: ...

    def encode_plain(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str: ...


@dataclass(frozen=True)
class TokenView:
    """One token of a prompt: its id, and its piece with invisible characters shown."""

    id: int
    piece: str


@dataclass(frozen=True)
class PromptView:
    """What `thinkaloud prompt` shows of one prompt."""

    contract: str
    fingerprint: str
    text: str
    visible: str
    tokens: tuple[TokenView, ...]
    stop: tuple[TokenView, ...]


@dataclass(frozen=True, kw_only=True)
class PromptContract:
    """The prompt, its parser and its tokenizer's identity. Create one with `build` or `load`.

    `tokenizer` is used by `encode`; it is neither saved nor compared.
    """

    name: str
    system: str
    task_template: str
    template: ChatTemplate
    tags: Tags
    outside_text: OutsideText
    tokenizer_identity: str
    tokenizer: TokenizerLike = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        texts = (self.name, self.system, self.task_template, self.tags.reasoning, self.tags.answer)
        if not all(isinstance(text, str) for text in texts) or self.outside_text not in ("reject", "allow"):
            raise UserError(
                "expected texts, and outside_text 'reject' or 'allow', found another contract; build it again"
            )
        if self.task_template.count(QUESTION_SLOT) != 1:
            found = self.task_template.count(QUESTION_SLOT)
            raise UserError(f"expected a task template with one {QUESTION_SLOT}, found {found} of them")
        for token in (*self.template.special, *self.template.stop):
            if self.tokenizer.token_id(token) is None:
                raise UserError(
                    f"expected a tokenizer with the special token {token!r} of the chat template "
                    f"{self.template.name!r}, found none; choose the chat template that fits the model"
                )

    @classmethod
    def build(
        cls,
        tokenizer: TokenizerLike,
        *,
        template: str,
        variant: Variant = "default",
        outside_text: OutsideText = "reject",
        system: str = SYSTEM,
    ) -> PromptContract:
        """A contract for one tokenizer.

        Args:
            tokenizer: The model's tokenizer.
            template: A key of `thinkaloud.prompt.chat_templates.CHAT_TEMPLATES`.
            variant: `"default"`, or `"original"` for the prompt that ends without a line feed.
            outside_text: Whether text outside the tags makes a completion invalid.
            system: The system text.

        Raises:
            UserError: The chat template is unknown, or the tokenizer lacks one of its special tokens.
        """
        return cls(
            name=f"{template}/{variant}",
            system=system,
            task_template=TASK_TEMPLATE,
            template=find_chat_template(template, variant),
            tags=Tags(),
            outside_text=outside_text,
            tokenizer_identity=tokenizer.identity,
            tokenizer=tokenizer,
        )

    # --- task -> text -> ids ------------------------------------------------------------------------------------

    def user_text(self, question: str) -> str:
        """The text of the user's turn: system text, format, task."""
        before, after = self._around
        return before + question + after

    def render(self, question: str) -> str:
        """The whole prompt as text, special tokens written out."""
        return self.template.prefix + self.user_text(question) + self.template.suffix

    def encode(self, question: str) -> list[int]:
        """The whole prompt as token ids.

        The special tokens of the chat template become their ids. The text between them is encoded in one piece, so that
        merges across the border of template and question happen as in the whole string. Special tokens *inside the
        question* stay plain text: a question cannot close its own turn. For any other question the ids equal
        `tokenizer.encode(contract.render(question))`.
        """
        before, after = self._around
        head = self._split(self.template.prefix)
        tail = self._split(self.template.suffix)
        joined = head.pop() + before + question + after + tail.pop(0)
        pieces = [*head, joined, *tail]  # special tokens are at the odd indices
        ids: list[int] = []
        for index, piece in enumerate(pieces):
            ids.extend([self._special(piece)] if index % 2 else self.tokenizer.encode_plain(piece))
        return ids

    def render_completion(self, reasoning: str, answer: str) -> str:
        """A completion in the contract's format, without its stop token."""
        return (
            f"<{self.tags.reasoning}>{reasoning.strip()}</{self.tags.reasoning}>\n"
            f"<{self.tags.answer}>{answer.strip()}</{self.tags.answer}>"
        )

    def encode_completion(self, reasoning: str, answer: str) -> list[int]:
        """Token ids of a completion with its end-of-turn token, as the cold start trains on them.

        Raises:
            ValueError: The texts form no valid completion (one is empty, or contains a tag).
        """
        text = self.render_completion(reasoning, answer)
        reason = self.parse(text).reason
        if reason is not None:
            raise ValueError(f"expected a reasoning and an answer without tags in them, found {reason}")
        return [*self.tokenizer.encode_plain(text), self.stop_ids[0]]

    # --- text -> parts ------------------------------------------------------------------------------------------

    def parse(self, text: str, truncated: bool = False) -> Parsed:
        """Reasoning and answer of a completion, or the rule it breaks; see `parse_completion`."""
        return parse_completion(text, truncated=truncated, outside_text=self.outside_text, tags=self.tags)

    @property
    def stop(self) -> tuple[str, ...]:
        """The tokens that end a reply; the end-of-turn token comes first."""
        return self.template.stop

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        return tuple(self._special(token) for token in self.template.stop)

    # --- identity -----------------------------------------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the contract's canonical JSON and the token ids of the probe prompts, in hex."""
        return contract_fingerprint(self.fields(), self._probes)

    def fields(self) -> dict[str, Any]:
        """The contract's data, ready for JSON; files call the chat template `frame`."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "tokenizer"}
        return {
            "frame" if name == "template" else name: (
                dataclasses.asdict(value) if isinstance(value, ChatTemplate | Tags) else value
            )
            for name, value in data.items()
        }

    def chat_template(self) -> str:
        """The contract as a Jinja chat template: it renders one user message to the same prompt."""
        return jinja_template(self.template, *self._around)

    def describe(self, question: str) -> PromptView:
        """The prompt of one question: text, invisible characters, ids and pieces."""
        text = self.render(question)
        return PromptView(
            contract=self.name,
            fingerprint=self.fingerprint,
            text=text,
            visible=visible(text),
            tokens=self._views(self.encode(question)),
            stop=self._views(self.stop_ids),
        )

    # --- files --------------------------------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """The content of `contract.json`: fingerprint, fields, and probe prompts to show differences with."""
        return {"version": 1, "fingerprint": self.fingerprint, "contract": self.fields(), "probes": self._probes}

    def save(self, path: Path) -> None:
        """Write `contract.json` atomically."""
        write_json(path, self.record())

    @classmethod
    def load(cls, path: Path, tokenizer: TokenizerLike, *, verify: bool = True) -> PromptContract:
        """Read `contract.json` for use with `tokenizer`.

        Args:
            path: The file.
            tokenizer: The model's tokenizer.
            verify: Compare fingerprints; `False` uses the file's texts with any tokenizer.

        Raises:
            UserError: The file is missing or holds no contract.
            ContractMismatch: File and tokenizer give another fingerprint than the saved one.
        """
        saved = _read(path)
        try:
            fields = dict(saved["contract"], tokenizer_identity=tokenizer.identity, tokenizer=tokenizer)
            parts: dict[str, Any] = fields.pop("frame")
            parts = {name: tuple(v) if isinstance(v, list) else v for name, v in parts.items()}
            fields["template"] = ChatTemplate(**parts)
            fields["tags"] = Tags(**saved["contract"]["tags"])
            contract = cls(**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"expected a prompt contract in {path}, found one without the right fields ({error}); "
                "copy contract.json from the run again"
            ) from error
        if verify:
            contract.require(saved, where=str(path))
        return contract

    def require(self, expected: PromptContract | dict[str, Any], *, where: str = "the saved contract") -> None:
        """Check that this contract is the expected one.

        Args:
            expected: Another contract, or its `record()`.
            where: The name of the expected contract in the message.

        Raises:
            ContractMismatch: They differ; its `diff` shows where, with white space visible.
        """
        record = expected.record() if isinstance(expected, PromptContract) else expected
        if record.get("fingerprint") == self.fingerprint:
            return
        diff = diff_records(record, self.record())
        parts = [line[:-1] for line in diff.splitlines() if line.endswith(":") and not line.startswith(" ")]
        if len(parts) > 3:
            parts = [*parts[:2], f"{len(parts) - 2} more places"]
        raise ContractMismatch(
            f"expected the prompt contract {str(record.get('fingerprint'))[:12]} of {where}, found "
            f"{self.fingerprint[:12]}, which differs in {', '.join(parts) or 'its fingerprint'}; use the tokenizer "
            "and the prompt saved with the model, or --allow-contract-mismatch",
            diff,
        )

    # --- inside -------------------------------------------------------------------------------------------------

    @cached_property
    def _around(self) -> tuple[str, str]:
        before, after = self.task_template.split(QUESTION_SLOT)
        return self.system + before, after

    @cached_property
    def _probes(self) -> list[dict[str, Any]]:
        return [{"question": q, "prompt": self.render(q), "ids": self.encode(q)} for q in PROBE_QUESTIONS]

    def _split(self, text: str) -> list[str]:
        """Text and special tokens in turn: text (may be empty), special token, text, ..., text."""
        return re.split(f"({'|'.join(map(re.escape, self.template.special))})", text)

    def _special(self, token: str) -> int:
        found = self.tokenizer.token_id(token)
        assert found is not None, token  # checked by __post_init__
        return found

    def _views(self, ids: Sequence[int]) -> tuple[TokenView, ...]:
        return tuple(
            TokenView(token, visible(self.tokenizer.decode([token], keep_special=True), break_lines=False))
            for token in ids
        )


def _read(path: Path) -> dict[str, Any]:
    fix = "name a run or export that has a contract.json"
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"expected a prompt contract at {path}, found {error.strerror or error}; {fix}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"expected JSON in {path}, found {error}; {fix}") from error
    if not isinstance(saved, dict) or not isinstance(saved.get("contract"), dict):
        raise UserError(f"expected a prompt contract in {path}, found other JSON; {fix}")
    return saved


def is_unaltered(record: Mapping[str, Any]) -> bool:
    """Whether a saved contract still has the fingerprint in its file; texts, tags and probe ids are covered."""
    try:
        return bool(record["fingerprint"] == contract_fingerprint(record["contract"], record["probes"]))
    except (KeyError, TypeError):
        return False


def contract_fingerprint(fields: Mapping[str, Any], probes: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256, in hex, over a contract's canonical JSON and the token ids of its probe prompts."""
    content = {"fields": fields, "ids": [probe["ids"] for probe in probes]}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
