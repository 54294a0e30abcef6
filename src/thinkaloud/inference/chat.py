"""Chat with a model of a run through its own prompt contract. Questions are independent, as in training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from thinkaloud.errors import UserError, nearest
from thinkaloud.evaluate.rows import STAGES
from thinkaloud.model.lora import Adapter
from thinkaloud.records import Finish, Task, task_id
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed
from thinkaloud.session.device import announce_devices
from thinkaloud.session.run import open_run, stage_adapter
from thinkaloud.session.session import Session
from thinkaloud.storage.unicode import printable

_SHOWN_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion with its parts; `reason` names the broken rule where the format is invalid."""

    text: str
    reasoning: str | None
    answer: str | None
    reason: str | None
    finish: str
    num_tokens: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _repr_html_(self) -> str:
        """`readable` as escaped HTML, with characters that could hide or reorder text written out."""
        shown = printable(self.readable(), _SHOWN_CHARS)
        return str(Markup('<pre style="white-space: pre-wrap">{}</pre>').format(shown))

    def readable(self) -> str:
        """Reasoning and answer as text; the raw completion where the format is invalid."""
        if self.answer is None:
            return f"{self.text}\n[format: {self.reason}]\n"
        return f"reasoning: {self.reasoning}\nanswer: {self.answer}\n"


@dataclass(frozen=True, slots=True)
class Chat:
    """One stage of a run, loaded and ready to answer."""

    session: Session
    policy: Policy
    adapter: Adapter

    def ask(
        self, question: str, *, temperature: float, samples: int, max_new_tokens: int | None, seed: int
    ) -> list[Reply]:
        """Answers to one question.

        Args:
            temperature: 0 is greedy.
            samples: How many completions.
            max_new_tokens: Limit per completion; the recipe's when None.
            seed: Of the sampling noise.

        Raises:
            UserError: The temperature is not finite, or prompt and answer exceed the model's context.
        """
        if not math.isfinite(temperature):
            raise UserError(f"expected a temperature of 0 or more, such as 0.7, found {temperature}")
        limit = max_new_tokens or self.session.recipe.rollout.max_new_tokens
        context = self.policy.model.config.max_position
        prompt = len(self.policy.contract.encode(question))
        if prompt + limit > context:
            raise UserError(
                f"the prompt has {prompt} tokens and the answer may have {limit}, but the model attends to {context} "
                "in all; shorten the question, or lower --max-new-tokens"
            )
        task = Task(id=task_id("", question), domain="", source="chat", question=question, answer="")
        (group,) = self.policy.sample(
            self.adapter,
            [task],
            group_size=samples,
            max_new_tokens=limit,
            sampling=Sampling(temperature=temperature, top_k=0, top_p=1.0),
            seed=derive_seed(seed, "chat", question),
        )
        replies = []
        for completion in group.completions:
            parsed = self.policy.contract.parse(completion.text, truncated=completion.finish is Finish.LENGTH)
            reason = str(parsed.reason) if parsed.reason else None
            replies.append(
                Reply(
                    completion.text,
                    parsed.reasoning,
                    parsed.answer,
                    reason,
                    str(completion.finish),
                    len(completion.token_ids),
                )
            )
        return replies


def open_chat(
    path: Path, *, stage: str, allow_contract_mismatch: bool, note: Callable[[str], None] = lambda line: None
) -> Chat:
    """Load a stage of a run. `note` receives a line about the device.

    Raises:
        UserError: No such stage, no run there, or the run has not reached it.
    """
    if stage not in STAGES:
        raise UserError(f"unknown stage {stage!r}{nearest(stage, STAGES)}")
    session, run = open_run(path, allow_contract_mismatch=allow_contract_mismatch)
    announce_devices(session.recipe, note)
    policy = session.load_policy()
    return Chat(session, policy, stage_adapter(session, run, policy, stage))
