"""A batch of prompts decoded a few tokens at a time, so that they can be sent as they come.

Weights are made ready once, when the server starts. Sizes are rounded up (rows and slots to powers of two, prompts to
multiples of 128), so that few programs are compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import pack, round_up
from thinkaloud.model.precision import weights_dtype
from thinkaloud.rollout.decode import decode, decoding_weights, empty_cache, prefill, start
from thinkaloud.rollout.generate import PROMPT_BUCKET
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling, key_of


@dataclass(frozen=True, slots=True)
class Progress:
    """Tokens so far, int32 [prompts, choices, tokens]; those after a row's stop token mean nothing."""

    tokens: np.ndarray
    done: np.ndarray
    """Bool [prompts, choices]: the row has sampled a stop token."""


class Stepper:
    """A policy with its weights made ready for decoding."""

    def __init__(self, policy: Policy, adapter: Adapter) -> None:
        self.policy = policy
        self.adapter = adapter
        self._weights = decoding_weights(policy.model.params, adapter, policy.model.config, policy.scale)

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
        """Decode until every row is done or has `limit` tokens; closing the iterator ends it early.

        Args:
            prompts: token ids, one prompt at least.
            choices: completions of each.
            limit: tokens a completion, the end-of-turn token included.
            tokens_at_once: between two reports.
        """
        model, stop_ids = self.policy.model, tuple(sorted(self.policy.contract.stop_ids))
        key, count = key_of(seed), len(prompts)
        filled, slots = power_of_two(count), power_of_two(limit)
        padded = [*prompts, *[[0]] * (filled - count)]
        length = round_up(max(map(len, prompts)), PROMPT_BUCKET)
        # whatever is asked, few shapes
        packed = pack(padded, [[]] * filled, token_bucket=256, prompt_bucket=length, prefix_length=0)
        logits, prompt_cache = prefill(model.params, self.adapter, packed, model.config, self.policy.scale)
        state = start(
            logits,
            jnp.asarray(np.arange(filled) < count),
            jnp.asarray(packed.prompt_lengths),
            jnp.asarray(np.arange(filled * choices).reshape(filled, choices), jnp.int32),
            key,
            slots=slots,
            sampling=sampling,
            stop_ids=stop_ids,
        )
        cache = empty_cache(model.config, filled, choices, slots, weights_dtype(model.params))
        reached = 1
        while True:
            reached = min(reached + tokens_at_once, limit)
            cache, state = decode(
                model.params,
                self._weights,
                cache,
                state,
                prompt_cache,
                key,
                jnp.asarray(reached, jnp.int32),
                jnp.asarray(0, jnp.int32),
                config=model.config,
                scale=self.policy.scale,
                sampling=sampling,
                stop_ids=stop_ids,
            )
            step, tokens, done = jax.device_get((state.step, state.tokens, state.done))
            yield Progress(tokens[:count, :, : int(step) + 1], done[:count])
            if done[:count].all() or int(step) + 1 >= limit:
                return


def power_of_two(count: int) -> int:
    """The smallest power of two that is not less."""
    return 1 << (count - 1).bit_length()
