"""Tunix's sampler and cluster with corrections of 0.1.7.

`RLCluster` takes a class as its rollout engine. `Rollout` is Tunix's vanilla rollout with new noise in every call, and
with the end-of-turn token kept at the end of a completion. `Cluster` computes the old policy's log-probabilities at the
sampling temperature.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tunix.generate import sampler
from tunix.rl import common, rl_cluster
from tunix.rl import utils as rl_utils
from tunix.rl.rollout import base_rollout, vanilla_rollout

from thinkaloud.prompt.contract import PromptContract

NO_TOKEN = -1
"""The padding: an id outside every vocabulary, so that Tunix's mask `token != pad` is a mask by length."""


class Tokens:
    """Tunix's tokenizer interface. The text of a prompt is its index within the step."""

    def __init__(self, contract: PromptContract, pad: int) -> None:
        self._contract, self._pad = contract, pad
        self.prompts: Sequence[Sequence[int]] = ()

    def encode(self, text: str) -> list[int]:
        return list(self.prompts[int(text)])

    def decode(self, ids: list[int]) -> str:
        return self._contract.tokenizer.decode([i for i in ids if i >= 0], keep_special=True)

    def bos_id(self) -> int:
        return 0  # unused: the contract's prompts start with theirs

    def eos_id(self) -> int:
        return self._contract.stop_ids[0]

    def pad_id(self) -> int:
        return self._pad


class Sampler(sampler.Sampler):
    """Tunix's sampler, which also keeps the decoded buffers of its last call."""

    _compiled_decode_fn: Callable[..., Any]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._decode: Callable[..., Any] = self._compiled_decode_fn
        self._compiled_decode_fn = self._decode_and_keep

    def _decode_and_keep(self, *arguments: Any) -> Any:
        state = self._decode(*arguments)
        self._kept = jax.device_get((state.token_buffer, state.logprobs_buffer))
        return state

    def decoded(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and log-probabilities [rows, prompt + completion] of the last call, including end-of-turn tokens."""
        kept, self._kept = self._kept, None
        return kept


class Rollout(vanilla_rollout.VanillaRollout):
    """The vanilla rollout; `RLCluster` creates it as its `rollout_engine`.

    Attributes:
        next_key: Returns the key of the noise of each call; set before the first call.
    """

    next_key: Callable[[], Any]

    def __init__(
        self, rollout_actor: Any, tokenizer: Any, mesh: Any, rollout_config: base_rollout.RolloutConfig
    ) -> None:
        del mesh  # the model's arrays are already on it
        config = rollout_actor.config
        cache = sampler.CacheConfig(
            rollout_config.kv_cache_size, config.num_layers, config.num_kv_heads, config.head_dim
        )
        self._sampler = Sampler(rollout_actor, tokenizer, cache)

    def generate(self, prompts: list[str], rollout_config: Any, **options: Any) -> Any:
        seeded = dataclasses.replace(rollout_config, seed=self.next_key(), return_logprobs=True)
        output = super().generate(prompts, seeded, **options)
        tokens, logprobs = self._sampler.decoded()
        first = output.left_padded_prompt_tokens.shape[1]
        for row, completion in enumerate(output.tokens):
            end = first + min(len(completion) + 1, rollout_config.max_tokens_to_generate)
            output.tokens[row] = tokens[row, first:end]
            output.logprobs[row] = logprobs[row, first:end]
        return output


class Cluster(rl_cluster.RLCluster):
    """Tunix's cluster.

    Attributes:
        output: The result of the last `generate`.
        rollout_seconds: Time spent in `generate` since this was last set.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.output: Any = None
        self.rollout_seconds = 0.0

    def generate(self, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        self.output = super().generate(*arguments, **options)
        self.rollout_seconds += time.perf_counter() - began
        return self.output

    def get_old_per_token_logps(
        self, prompt_tokens: Any, completion_tokens: Any, micro_batch_size: int | None = None
    ) -> Any:
        """Log-probabilities of the policy before the updates of this step, at the sampling temperature."""
        rows = prompt_tokens.shape[0]
        graph, state = nnx.split(self.actor_trainer.model)
        with self.r2m[rl_cluster.Role.ACTOR]:
            parts = [
                common.compute_per_token_logps(
                    graph,
                    state,
                    prompt_tokens=prompt_tokens[chosen],
                    completion_tokens=completion_tokens[chosen],
                    pad_id=self.rollout.pad_id(),
                    eos_id=self.rollout.eos_id(),
                    temperature=self.get_rollout_config(rl_cluster.Mode.TRAIN).temperature,
                )
                for chosen in rl_utils.chunk_slices_by_size(stop=rows, step=micro_batch_size or rows)
            ]
        return jnp.concatenate(parts, axis=0)
