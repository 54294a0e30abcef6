"""A model with its prompt contract: samples groups of completions for tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinkaloud.model.footprint import Footprint
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Buckets
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Completion, Finish, RolloutGroup, Task
from thinkaloud.rollout.generate import Sampled
from thinkaloud.rollout.sampler import JaxSampler, Sampler
from thinkaloud.rollout.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Policy:
    """A base model, its prompt contract, the LoRA scale (alpha / rank), and the sizes that batches are padded to.

    With `ignore_stop`, completions do not end at a stop token: for benchmarks. `prompt` replaces the contract's prompt
    of a task; completions are still read by the contract. `sampler` is a `JaxSampler` of the model when None;
    `footprint` limits how many prompts that one decodes at once.
    """

    model: Model
    contract: PromptContract
    scale: float
    buckets: Buckets = Buckets()  # noqa: RUF009 - frozen
    ignore_stop: bool = False
    prompt: Callable[[Task], list[int]] | None = None
    sampler: Sampler | None = None
    footprint: Footprint | None = None

    def encode(self, task: Task) -> list[int]:
        """The token ids of a task's prompt."""
        return self.prompt(task) if self.prompt else self.contract.encode(task.question)

    def sample(
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
    ) -> list[RolloutGroup]:
        """Sample `group_size` completions of each task; see `generate` for the arguments."""
        prompts = [tuple(self.encode(task)) for task in tasks]
        sampler = self.sampler or JaxSampler(self.model, self.scale, self.buckets, self.footprint)
        sampler.sync(adapter)
        sampled = sampler.sample(
            prompts,
            group_size=group_size,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
            stop_ids=() if self.ignore_stop else self.contract.stop_ids,
            seed=seed,
            batch_prompts=batch_prompts,
            progress=progress,
        )
        return [
            RolloutGroup(task=task, prompt_ids=prompt, completions=tuple(map(self._completion, members)))
            for task, prompt, members in zip(tasks, prompts, sampled, strict=True)
        ]

    def _completion(self, sampled: Sampled) -> Completion:
        ids = sampled.token_ids[:-1] if sampled.finish is Finish.STOP else sampled.token_ids
        return Completion(
            text=self.contract.tokenizer.decode(ids, keep_special=True),
            token_ids=sampled.token_ids,
            logprobs=sampled.logprobs,
            sampled_logprobs=sampled.sampled_logprobs,
            finish=sampled.finish,
            adapter=sampled.adapter,
        )
