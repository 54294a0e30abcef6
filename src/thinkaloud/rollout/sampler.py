"""What samples completions: the interface, and its JAX implementation, which is the default.

`rollout/vllm` has the other one. A policy (`policy.py`) encodes tasks, asks its sampler, and reads the completions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, Protocol, TypedDict, Unpack, runtime_checkable

from thinkaloud.errors import UserError
from thinkaloud.model.footprint import Footprint
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Buckets
from thinkaloud.rollout.generate import Sampled, generate
from thinkaloud.rollout.sampling import Sampling


class SamplerFailed(UserError):
    """The sampler cannot go on, but nothing is wrong with the state of the run, which can be saved."""


class Options(TypedDict):
    """What a sampler is asked for, beside the prompts; see the arguments of `generate`."""

    group_size: int
    max_new_tokens: int
    sampling: Sampling
    stop_ids: Sequence[int]
    seed: int
    batch_prompts: NotRequired[int | None]
    progress: NotRequired[Callable[[int, int], None] | None]


@runtime_checkable
class Sampler(Protocol):
    """Samples completions of prompts from a base model with the adapter that it was given last."""

    def sync(self, adapter: Adapter) -> None:
        """Use this adapter from now on; {} for the base model itself."""

    def sample(self, prompts: Sequence[Sequence[int]], **options: Unpack[Options]) -> list[list[Sampled]]:
        """Sample `group_size` completions of each prompt.

        Every completion has its own noise, which depends only on `seed`, its prompt's place and its own in the group.
        """


@dataclass(slots=True)
class JaxSampler:
    """Samples on this process's devices, with `generate`."""

    model: Model
    scale: float
    """LoRA's alpha / rank."""
    buckets: Buckets = Buckets()  # noqa: RUF009 - frozen
    footprint: Footprint | None = None
    """See `generate`."""
    adapter: Adapter = field(default_factory=dict)

    def sync(self, adapter: Adapter) -> None:
        self.adapter = adapter

    def sample(self, prompts: Sequence[Sequence[int]], **options: Unpack[Options]) -> list[list[Sampled]]:
        return generate(
            self.model,
            self.adapter,
            prompts,
            scale=self.scale,
            buckets=self.buckets,
            footprint=self.footprint,
            **options,
        )
