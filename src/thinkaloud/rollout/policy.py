"""A model together with its prompt contract: questions in, completions out, as text and as tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinkaloud.distributed.team import share
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Completion, Finish, Task
from thinkaloud.rollout.generate import Sampled, generate
from thinkaloud.rollout.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Policy:
    """A base model, its contract, and the scale (alpha / rank) at which adapters are applied to it.

    With `ignore_stop` every completion runs to its full length: for measurements.
    """

    model: Model
    contract: PromptContract
    scale: float
    ignore_stop: bool = False

    def complete(
        self,
        adapter: Adapter,
        tasks: Sequence[Task],
        *,
        group_size: int,
        max_new_tokens: int,
        sampling: Sampling,
        seed: int,
        batch_prompts: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Completion]]:
        """`group_size` completions of each task; see `generate` for the arguments. Processes share the tasks out."""

        def decode_rows(rows: range) -> list[list[Sampled]]:
            return generate(
                self.model,
                adapter,
                [self.contract.encode(tasks[row].question) for row in rows],
                group_size=group_size,
                max_new_tokens=max_new_tokens,
                sampling=sampling,
                stop_ids=() if self.ignore_stop else self.contract.stop_ids,
                seed=seed,
                scale=self.scale,
                batch_prompts=batch_prompts,
                first_row=rows.start,
                progress=progress,
            )

        groups = share(len(tasks), lambda rows: decode_rows(rows) if rows else [])
        return [
            [self._completion(task, sampled) for sampled in group] for task, group in zip(tasks, groups, strict=True)
        ]

    def _completion(self, task: Task, sampled: Sampled) -> Completion:
        said = sampled.token_ids[:-1] if sampled.finish is Finish.STOP else sampled.token_ids
        return Completion(
            task_id=task.id,
            text=self.contract.tokenizer.decode(said, keep_special=True),
            token_ids=sampled.token_ids,
            logprobs=sampled.logprobs,
            finish=sampled.finish,
        )
