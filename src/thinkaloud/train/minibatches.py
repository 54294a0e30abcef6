"""Lays out groups of completions for the device, in minibatches and micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.config import Recipe
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import Packed, pack
from thinkaloud.model.sharding import mesh_of, padded_rows, place_rows, row_shards
from thinkaloud.records import RolloutGroup
from thinkaloud.rewards.scoring import is_masked
from thinkaloud.rollout.policy import Policy
from thinkaloud.session.footprint import footprint_of
from thinkaloud.train.learner import PerToken, reference_logprobs, rows_to_targets
from thinkaloud.train.loss import token_weights
from thinkaloud.train.microbatch import split_rows, update_budget_bytes


@dataclass(slots=True)
class MicroBatch:
    """Some groups of an update in the packed layout, with the loss's inputs for each token."""

    packed: Packed
    per_token: PerToken


MiniBatch = list[MicroBatch]
"""One optimizer update; empty if no group has a gradient."""


class Minibatches:
    """Lays out the groups of a step for the device; see `GrpoTrainer` for the arguments."""

    def __init__(self, policy: Policy, reference: Adapter, recipe: Recipe, teacher: Model | None = None) -> None:
        self._policy, self._recipe, self._teacher = policy, recipe, teacher
        self._every_group = recipe.grpo.beta > 0 or teacher is not None  # or only those with signal
        # With an adapter that is still zero, the reference pass runs the base alone.
        changes = any(bool(jnp.any(pair["b"] != 0)) for pair in reference.values())
        self._reference: Adapter = reference if changes else {}
        # The first minibatch moves the policy, so that later ones need its log-probabilities from before; those of vLLM
        # are of the distribution after top-k and top-p, and of another program.
        self._computes_old = recipe.rollout.engine == "vllm" and recipe.grpo.minibatches > 1
        self._mask_truncated = recipe.rewards.truncated == "mask"
        mesh = mesh_of(policy.model.params)
        self._footprint = footprint_of(
            recipe, policy.model.config, jax.default_backend(), mesh, teacher.config if teacher else None
        )
        self._shards = row_shards(mesh)
        self._budget_bytes = update_budget_bytes(self._footprint, shards=self._shards)

    def build(self, groups: Sequence[RolloutGroup], adapter: Adapter) -> list[MiniBatch]:
        """The minibatches of a step. Groups without a gradient are left out, but count in the means of the loss.

        Args:
            adapter: Before the step.
        """
        config = self._recipe.grpo
        split = np.array_split(np.arange(len(groups)), config.minibatches)
        return [self._minibatch([groups[row] for row in rows], adapter) for rows in split]

    def _minibatch(self, groups: Sequence[RolloutGroup], adapter: Adapter) -> MiniBatch:
        members = [self._trained_ids(group) for group in groups]
        num_rows = sum(ids is not None for group in members for ids in group)
        num_tokens = sum(len(ids) for group in members for ids in group if ids is not None)
        kept = [
            (group, own)
            for group, own in zip(groups, members, strict=True)
            if any(ids is not None for ids in own) and (self._every_group or group.has_signal)
        ]
        kept.sort(key=lambda chosen: len(chosen[0].prompt_ids))  # attention pads a micro-batch to its longest prompt
        if not kept:
            return []
        lengths = [len(group.prompt_ids) + sum(len(c.token_ids) for c in group.completions) for group, _ in kept]
        attended = len(kept[-1][0].prompt_ids) + self._recipe.rollout.max_new_tokens
        split = split_rows(
            lengths,
            self._footprint,
            self._budget_bytes,
            attended=attended,
            per_octave=self._policy.buckets.per_octave,
            shards=self._shards,
        )
        return [self._micro_batch([kept[i] for i in rows], adapter, num_rows, num_tokens) for rows in split]

    def _trained_ids(self, group: RolloutGroup) -> list[tuple[int, ...] | None]:
        """The token ids of each completion; None for one that is masked out."""
        return [
            None if is_masked(score, self._mask_truncated) else completion.token_ids
            for completion, score in zip(group.completions, group.scores, strict=True)
        ]

    def _micro_batch(
        self,
        chosen: list[tuple[RolloutGroup, list[tuple[int, ...] | None]]],
        adapter: Adapter,
        num_rows: int,
        num_tokens: int,
    ) -> MicroBatch:
        """Pack some groups; empty ones make their number a power of two, so that few shapes are compiled.

        Args:
            chosen: Groups with the token ids of their members.
            num_rows, num_tokens: Of the whole minibatch, for the means of the loss.
        """
        rollout, model = self._recipe.rollout, self._policy.model
        mesh = mesh_of(model.params)
        buckets = self._policy.buckets
        members = [[ids or () for ids in own] for _, own in chosen]
        prompts = [group.prompt_ids for group, _ in chosen]
        prefix = buckets.prefix_of(prompts)
        padding = padded_rows(len(chosen), mesh) - len(chosen)
        packed = pack(
            [*prompts, *[prompts[0][: prefix + 1]] * padding],
            [*members, *[[()] * len(members[0])] * padding],
            prompt_bucket=buckets.prompt,
            completion_bucket=rollout.max_new_tokens,
            prefix_length=prefix,
            per_octave=buckets.per_octave,
            row_shares=buckets.row_shares,
        )
        weights = token_weights(
            np.asarray([len(ids) for own in members for ids in own]),
            self._recipe.grpo.loss,
            num_rows=num_rows,
            num_tokens=num_tokens,
            max_new_tokens=rollout.max_new_tokens,
        )
        completions = [
            completion for group, own in chosen for completion, ids in zip(group.completions, own, strict=True) if ids
        ]
        count = int(packed.target_valid.sum())
        old, sampled = np.zeros((2, *packed.targets.shape), np.float32)
        old[:count] = [value for c in completions for value in c.logprobs]
        sampled[:count] = [value for c in completions for value in c.sampled_logprobs or c.logprobs]
        packed = replace(packed, mesh=mesh, full_rematerialization=self._footprint.full_rematerialization)
        placed = place_rows(packed, mesh)
        frozen = partial(reference_logprobs, packed=placed, temperature=rollout.temperature)
        if self._computes_old:
            old = frozen(model.params, adapter, config=model.config, scale=self._policy.scale)
        reference = teacher = old
        if self._recipe.grpo.beta > 0:
            reference = frozen(model.params, self._reference, config=model.config, scale=self._policy.scale)
        if self._teacher is not None:
            teacher = frozen(self._teacher.params, {}, config=self._teacher.config, scale=1.0)
        advantages = np.asarray([value for group, _ in chosen for value in group.advantages])
        per_token = PerToken(
            old, sampled, reference, teacher, rows_to_targets(advantages, packed), rows_to_targets(weights, packed)
        )
        return MicroBatch(placed, place_rows(per_token, mesh))
