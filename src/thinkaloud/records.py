"""The records that are passed from stage to stage.

`Task` comes from `data/`, `Completion` from `rollout/`, `Score` from `rewards/`. `RolloutGroup` holds all of them for
one task; it is passed from sampling to the loss, the rollout files and the metrics.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

SPLITS = ("train", "validation", "test")


class Finish(StrEnum):
    """Why a completion ended: at a stop token, or at the token limit."""

    STOP = "stop"
    LENGTH = "length"


class Status(StrEnum):
    """The result of scoring a completion; the glossary (docs/glossary.md) defines each."""

    CORRECT = "correct"
    WRONG = "wrong"
    GRADED = "graded"
    NO_ANSWER = "no_answer"
    BAD_FORMAT = "bad_format"
    TRUNCATED = "truncated"
    UNSCORABLE = "unscorable"
    SANDBOX_ERROR = "sandbox_error"

    @property
    def masked(self) -> bool:
        """True if no reward could be formed: the completion is left out of the loss, never rewarded 0."""
        return self in (Status.UNSCORABLE, Status.SANDBOX_ERROR)

    @property
    def breaks_format(self) -> bool:
        """True if the completion does not have the contract's format, or was cut off before it had."""
        return self in (Status.BAD_FORMAT, Status.TRUNCATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task, as shown to the model (`question`) and as checked (`answer`, `tests`, `choices`)."""

    id: str
    domain: str
    source: str
    question: str
    answer: str
    rationale: str = ""
    tests: tuple[str, ...] = ()
    setup: str = ""
    choices: tuple[str, ...] = ()
    license: str = ""
    split: str = "train"
    key: str = field(default="", compare=False, repr=False)
    """The question without instructions and options; if empty, `question`. It identifies duplicates, splits and overlap
    with evaluation sets while a pool is built, and is not stored."""
    note: str = field(default="", compare=False, repr=False)
    """What was changed as the row was read, for the account. Used while a pool is built, and not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled answer.

    Attributes:
        text: The decoded tokens without the end-of-turn token.
        token_ids: The sampled tokens; the last one is the end-of-turn token if `finish` is `stop`.
        logprobs: Log-probability (nats) of each token under the sampling policy at the sampling temperature.
        sampled_logprobs: The same under the distribution that was sampled from, after top-k and top-p.
        adapter: The name that a vLLM server gave for the adapter it sampled with; empty for the JAX sampler.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    sampled_logprobs: tuple[float, ...] = ()
    finish: Finish = Finish.STOP
    adapter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The reward of a completion with its explanation. `reward` is in [0, 1]; `reason` names the broken format rule."""

    reward: float
    status: Status
    reason: str | None = None
    components: dict[str, float] = field(default_factory=dict)
    explanation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """One task and the completions sampled for it.

    Attributes:
        prompt_ids: The token ids that the completions were sampled from, and that are trained on.
        completions: The members of the group.
        scores: One per completion; empty before scoring.
        advantages: One per completion; empty before they are computed, zero where the group has no signal.
    """

    task: Task
    prompt_ids: tuple[int, ...]
    completions: tuple[Completion, ...]
    scores: tuple[Score, ...] = ()
    advantages: tuple[float, ...] = ()

    @property
    def has_signal(self) -> bool:
        """Whether the group has a gradient: some of its rewards differ."""
        return any(self.advantages)


def task_id(domain: str, question: str, choices: tuple[str, ...] = ()) -> str:
    """Content hash of a task: 16 hex digits over the domain, the NFC question and its choices."""
    text = "\x1f".join([domain, unicodedata.normalize("NFC", question), *choices])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
