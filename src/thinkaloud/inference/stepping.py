"""A batch of prompts decoded a few tokens at a time, so that partial completions can be sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import round_up
from thinkaloud.rollout.decode_batch import BatchShape, DecodeBatch, Decoder, power_of_two
from thinkaloud.rollout.generate import PROMPT_BUCKET
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY, Sampling


@dataclass(frozen=True, slots=True)
class Progress:
    tokens: np.ndarray
    done: np.ndarray


class Stepper:
    """A policy with its weights made ready for decoding."""

    def __init__(self, policy: Policy, adapter: Adapter) -> None:
        stop_ids = policy.contract.stop_ids
        self._decoder = Decoder.build(policy.model, adapter, policy.scale, sampling=GREEDY, stop_ids=stop_ids, seed=0)

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        choices: int,
        limit: int,
        sampling: Sampling,
        seed: int,
        tokens_at_once: int,
    ) -> Iterator[Progress]:
        length = round_up(max(map(len, prompts)), PROMPT_BUCKET)
        shape = BatchShape(
            group=choices,
            slots=power_of_two(limit),
            prompt_bucket=length,
            prompt_slots=length,
            token_bucket=256,
        )
        batch = DecodeBatch(self._decoder.seeded(seed, sampling), prompts, range(len(prompts)), shape)
        count, reached = len(prompts), 1
        while True:
            reached = min(reached + tokens_at_once, limit)
            now = batch.advance(reached)
            yield Progress(now.tokens[:count], now.done[:count])
            if now.done.all() or now.num_tokens >= limit:
                return
