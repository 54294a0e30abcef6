"""Self-checks after the first GRPO step of a run: faults that would let a whole night pass without learning.

Each check has one cause to name. A fault in prompts, verifiers or adapters is a defect of the setup or of this program;
a first step without any reward is a matter of the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from thinkaloud.domains import Registry
from thinkaloud.errors import UserError
from thinkaloud.model.lora import Adapter
from thinkaloud.records import Finish, RolloutGroup
from thinkaloud.rewards.gold import gold_completion
from thinkaloud.rewards.scoring import GroupScorer
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling

FULL_MARKS = 1.0 - 1e-9
MOST_MISMATCH = 0.5
"""Rounding gives about 0.001, top-p = 0.5 up to 0.2, other weights several nats."""


def check_first_step(
    policy: Policy,
    registry: Registry,
    score: GroupScorer,
    groups: Sequence[RolloutGroup],
    adapter: Adapter,
    *,
    updated: bool,
    mismatch: float | None = None,
) -> None:
    """Check the first step of a run.

    Args:
        score: The scorer that GRPO uses.
        groups: All groups sampled in it, scored.
        adapter: After the step.
        updated: Whether the step had a gradient.
        mismatch: The metric `mismatch_kl`.

    Raises:
        UserError: A check failed; its message names the cause.
    """
    check_prompts(policy, groups)
    if policy.sampler is not None:
        check_same_base(mismatch)
    check_rewards(groups)
    check_golds(registry, score, groups)
    if updated:
        check_adapter(policy, adapter, groups[0])


def check_prompts(policy: Policy, groups: Sequence[RolloutGroup]) -> None:
    """The ids that were sampled from are those that the contract gives for the task."""
    for group in groups:
        expected = tuple(policy.contract.encode(group.task.question))
        if group.prompt_ids != expected:
            raise UserError(
                f"self-check: the prompt of task {group.task.id} was sampled from {len(group.prompt_ids)} token ids, "
                f"the contract gives {len(expected)} others; the model would be trained on a prompt that is not served"
            )


def check_same_base(mismatch: float | None) -> None:
    """The sampler's log-probabilities are about those of the base that is trained."""
    if mismatch is not None and mismatch > MOST_MISMATCH:
        raise UserError(
            f"self-check: mismatch_kl is {mismatch:.2f} nats per token in the first step, expected at most "
            f"{MOST_MISMATCH:g}: the server samples from other weights; give vllm.urls servers of the recipe's model"
        )


def check_rewards(groups: Sequence[RolloutGroup]) -> None:
    """Some completion earned something."""
    scores = [score for group in groups for score in group.scores if not score.status.masked]
    if not scores:
        raise UserError("self-check: no completion of the first step could be scored; run `thinkaloud sandbox`")
    if any(score.reward > 0 for score in scores):
        return
    cut = sum(completion.finish is Finish.LENGTH for group in groups for completion in group.completions)
    remedy = (
        "raise rollout.max_new_tokens"
        if cut > len(scores) / 2
        else "use a longer cold start (cold_start.max_steps), or lower rollout.temperature"
    )
    raise UserError(
        f"self-check: all {len(scores)} completions of the first step earned 0 ({cut} were cut off at the token limit, "
        f"the others broke the format), so GRPO would see no gradient; {remedy}, or set grpo.self_checks = false"
    )


def check_golds(registry: Registry, score: GroupScorer, groups: Sequence[RolloutGroup]) -> None:
    """The gold answers of the step's tasks earn full marks."""
    tasks = {group.task.id: group for group in groups if registry.needs_gold(group.task.domain)}
    golds = [
        RolloutGroup(task=one.task, prompt_ids=one.prompt_ids, completions=(gold_completion(one.task),))
        for one in tasks.values()
    ]
    for group in score(golds) if golds else []:
        earned = group.scores[0]
        if not earned.status.masked and earned.reward < FULL_MARKS:
            raise UserError(
                f"self-check: the gold answer of {group.task.domain} task {group.task.id} ({group.task.source}) earned "
                f"{earned.reward:.2f} of 1 ({earned.explanation or earned.status}); its verifier or the pool has "
                "changed: build the pool again with --out"
            )


def check_adapter(policy: Policy, adapter: Adapter, group: RolloutGroup) -> None:
    """The update moved the adapter, and the sampler applies it.

    The sampler is asked with B enlarged to a greatest entry of 1: the first update of a low learning rate is less than
    what bfloat16 resolves.
    """
    largest = max(float(jnp.max(jnp.abs(pair["b"]))) for pair in adapter.values())
    if largest == 0:
        raise UserError("self-check: LoRA's B is still zero after the first update; raise grpo.learning_rate")
    enlarged = {name: {**pair, "b": pair["b"] / largest} for name, pair in adapter.items()}
    first = [
        policy.sample(
            used,
            [group.task],
            group_size=1,
            max_new_tokens=1,
            sampling=Sampling(temperature=1.0, top_k=0, top_p=1.0),
            seed=0,
        )[0].completions[0]
        for used in (enlarged, {})
    ]
    if (first[0].token_ids, first[0].logprobs) == (first[1].token_ids, first[1].logprobs):
        raise UserError(
            "self-check: the sampler gives the same log-probability with and without the adapter, so it would never "
            "sample what is learned; report this, and set grpo.self_checks = false only to look further"
        )
