"""One batch of prompts while it is decoded: prefilled once, then advanced call by call.

`generate` decodes until enough rows are done and repacks the rest; the server decodes a few tokens per call and reads
partial completions. Both run the same programs. Noise depends only on (seed, row, position), so both sample the same
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np
from jaxtyping import Array

from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import PER_OCTAVE, pack, round_up
from thinkaloud.model.precision import weights_dtype
from thinkaloud.model.sharding import fetch, mesh_of, padded_rows, place_rows
from thinkaloud.rollout.decode import (
    DecodingWeights,
    decode,
    decoding_weights,
    empty_cache,
    fuses,
    lengthen,
    pack_rows,
    prefill,
    start,
    uses_kernel,
)
from thinkaloud.rollout.decode_kernel import BLOCK
from thinkaloud.rollout.sampling import Sampling, key_of


@dataclass(frozen=True, slots=True)
class Decoder:
    """A model with its adapter prepared for decoding, and how tokens are sampled from it."""

    model: Model
    adapter: Adapter
    scale: float
    """LoRA's alpha / rank."""
    weights: DecodingWeights
    sampling: Sampling
    stop_ids: tuple[int, ...]
    """Sorted."""
    key: Array
    """Of the noise."""

    @staticmethod
    def build(
        model: Model, adapter: Adapter, scale: float, *, sampling: Sampling, stop_ids: Sequence[int], seed: int
    ) -> Decoder:
        """Prepare the weights once; `seeded` reuses them for other sampling parameters."""
        weights = decoding_weights(model.params, adapter, model.config, scale, fuse=fuses(mesh_of(model.params)))
        return Decoder(model, adapter, scale, weights, sampling, tuple(sorted(stop_ids)), key_of(seed))

    def seeded(self, seed: int, sampling: Sampling) -> Decoder:
        """The same weights with another seed and other sampling parameters."""
        return replace(self, key=key_of(seed), sampling=sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchShape:
    """How a batch is padded. Every distinct shape compiles its own programs.

    Attributes:
        group: Completions per prompt.
        slots: Tokens per completion that the cache has room for.
        prompt_bucket: The prefill pads prompts, within attention alone, to a multiple of this many tokens.
        prompt_slots: The prompts' cache is padded to this many tokens.
        prefix: Leading tokens that all prompts share; they are prefilled once.
        token_bucket: All prompt tokens together are padded to a multiple of this; see `bucketed` when None.
        per_octave: See `bucketed`.
    """

    group: int
    slots: int
    prompt_bucket: int
    prompt_slots: int
    prefix: int = 0
    token_bucket: int | None = None
    per_octave: int = PER_OCTAVE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a batch after a decode call, on the host. Tokens after a row's stop token are meaningless."""

    num_tokens: int
    """Tokens that every row has so far."""
    tokens: np.ndarray
    """Int32 [prompts, group, num_tokens]."""
    logprobs: np.ndarray
    """Float32 [prompts, group, num_tokens], in nats."""
    sampled_logprobs: np.ndarray
    """The same after top-k and top-p."""
    done: np.ndarray
    """Bool [prompts, group]: the row has sampled a stop token, or is padding."""
    labels: np.ndarray
    """Int32 [prompts, group]: row * group + member."""


class DecodeBatch:
    """Prefills prompts and samples every completion's first token; `advance` samples the next ones.

    Args:
        decoder: Weights and sampling parameters.
        prompts: Token ids; one prompt at least. The batch is padded to a power of two prompts per device.
        rows: The number of each prompt within the whole rollout: it labels the noise.
        shape: How the batch is padded.

    Attributes:
        live: Bool [prompts, group] on the host: False for padding.
    """

    def __init__(
        self, decoder: Decoder, prompts: Sequence[Sequence[int]], rows: Sequence[int], shape: BatchShape
    ) -> None:
        model, mesh = decoder.model, mesh_of(decoder.model.params)
        count, filled = len(prompts), padded_rows(len(prompts), mesh)
        padding = filled - count
        packed = place_rows(
            pack(
                [*prompts, *[prompts[0][: shape.prefix + 1]] * padding],
                [[]] * filled,
                token_bucket=shape.token_bucket,
                prompt_bucket=shape.prompt_bucket,
                prefix_length=shape.prefix,
                per_octave=shape.per_octave,
            ),
            mesh,
        )
        logits, prompt_cache = prefill(model.params, decoder.adapter, packed, model.config, decoder.scale)
        prompt_cache = lengthen(prompt_cache, shape.prompt_slots)  # the shorter cache is freed here
        live = np.arange(filled) < count
        labels = np.asarray([*rows, *[0] * padding])[:, None] * shape.group + np.arange(shape.group)
        self.live = np.broadcast_to(live[:, None], labels.shape)
        self._decoder = decoder
        self._prompt_cache = prompt_cache
        self._state = start(
            logits,
            *place_rows((live, packed.prompt_lengths, labels.astype(np.int32)), mesh),
            decoder.key,
            slots=shape.slots,
            sampling=decoder.sampling,
            stop_ids=decoder.stop_ids,
        )
        self._kernel = shape.prompt_slots % BLOCK == 0 and uses_kernel(model.params, model.config, mesh)
        slots = round_up(shape.slots, BLOCK) if self._kernel else shape.slots
        sizes = (filled, shape.group, slots, weights_dtype(model.params))
        empty = partial(empty_cache, model.config, *sizes, kernel=self._kernel)
        self._cache = empty() if mesh is None else place_rows(jax.eval_shape(empty), mesh)

    def advance(self, limit: int, *, enough: int = 0) -> Snapshot:
        """Decode until rows have `limit` tokens, or until at most `enough` rows are live; then read the state."""
        decoder = self._decoder
        self._cache, self._state = decode(
            decoder.model.params,
            decoder.weights,
            self._cache,
            self._state,
            self._prompt_cache,
            decoder.key,
            np.int32(limit),
            np.int32(enough),
            config=decoder.model.config,
            scale=decoder.scale,
            sampling=decoder.sampling,
            stop_ids=decoder.stop_ids,
            kernel=self._kernel,
        )
        state = self._state
        step, tokens, logprobs, kept_mass, done, labels = fetch(
            (state.step, state.tokens, state.logprobs, state.kept_mass, state.done, state.rows)
        )
        reached = int(step) + 1
        tokens, logprobs, kept_mass = (x[:, :, :reached] for x in (tokens, logprobs, kept_mass))
        return Snapshot(reached, tokens, logprobs, logprobs - kept_mass, done, labels)

    def keep(self, cells: np.ndarray) -> None:
        """Drop all rows but these, and pad as before; each row becomes a group of its own.

        Args:
            cells: Int [rows], indices into the flattened [prompts, group].
        """
        mesh = mesh_of(self._decoder.model.params)
        filled = padded_rows(len(cells), mesh)
        live = np.arange(filled) < len(cells)
        packed = pack_rows(self._cache, self._state, self._prompt_cache, np.resize(cells, filled), live)
        self._cache, self._state, self._prompt_cache = place_rows(packed, mesh)
        self.live = live[:, None]
