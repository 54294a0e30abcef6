"""The clipped objective, the KL penalty, and the weights of token losses.

For token t of completion i, with r = exp(log p - log p_old):

    loss_t = -min(r A_i, clip(r, 1 - epsilon, 1 + epsilon_high) A_i) + beta k3_t
    k3_t   = exp(log p_ref - log p) - (log p_ref - log p) - 1          (never negative, with its gradient)

With `clip = "cispo"` (arXiv 2506.13585, equations 4 and 5), loss_t = -stop_gradient(min(r, 1 + epsilon_high)) A_i
log p. An entropy bonus subtracts entropy_weight H_t.

The sampler's distribution q differs from p_old where top-k or top-p cut it, or where the sampler rounds differently.
The policy's term of each token (not k3, not the bonus) is therefore multiplied by the truncated importance weight
min(importance_cap, p_old / q), a constant (Ionides 2008; per token as in F. Yao et al., "Your efficient RL framework
secretly brings you off-policy RL training", 2025).

With a teacher q, each token's advantage is A_i + teacher_weight (log q - log p_old), or the second term alone: the
gradient of the reverse KL divergence KL(p, q) of the next token's distribution, by the sampled token (GKD, arXiv
2306.13649, on the student's samples).

GRPO: arXiv 2402.03300, equations 3 and 4; upper clip: DAPO, arXiv 2503.14476; sequence ratio: GSPO, arXiv 2507.18071,
equation 7 (the exponential of the mean log-ratio, clipped as a whole); constant length: Dr. GRPO, arXiv 2503.20783.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from thinkaloud.config.recipe import GrpoConfig
from thinkaloud.config.teacher import TeacherConfig

LARGEST_LOG_RATIO = np.float32(20.0)
"""Log-ratios are clipped here, so that a ratio stays finite; far outside any clip bound."""


class Objective(NamedTuple):
    """The recipe's parameters of the loss; hashable, so that it can be a static argument of jit."""

    beta: float
    epsilon: float
    epsilon_high: float
    ratio: Literal["token", "sequence"]
    clip: Literal["ppo", "cispo"] = "ppo"
    entropy_bonus: bool = False
    importance_cap: float = 0.0
    teacher_weight: float = 0.0
    use_reward: bool = True


def objective_of(config: GrpoConfig, teacher: TeacherConfig = TeacherConfig()) -> Objective:  # noqa: B008 - frozen
    """The objective that the recipe names."""
    high = config.epsilon if config.epsilon_high is None else config.epsilon_high
    return Objective(
        beta=config.beta,
        epsilon=config.epsilon,
        epsilon_high=high,
        ratio=config.ratio,
        clip=config.clip,
        entropy_bonus=config.entropy_floor > 0,
        importance_cap=config.importance_cap,
        teacher_weight=teacher.weight,
        use_reward=teacher.reward,
    )


class Sums(NamedTuple):
    """Sums over tokens, to be divided by `tokens` after the last micro-batch; `ratio_off` is a maximum."""

    loss: Float[Array, ""]
    kl: Float[Array, ""]
    ratio: Float[Array, ""]
    ratio_off: Float[Array, ""]
    clipped: Float[Array, ""]
    entropy: Float[Array, ""]
    mismatch: Float[Array, ""]
    capped: Float[Array, ""]
    teacher_kl: Float[Array, ""]
    tokens: Float[Array, ""]


def next_entropy_weight(weight: float, entropy: float | None, config: GrpoConfig) -> float:
    """The weight of the entropy bonus in the next step, from this step's entropy in nats per token.

    It is never negative, and stays as it is where the entropy is unknown (a step without signal).
    """
    if entropy is None or not config.entropy_floor:
        return weight
    change = config.entropy_step if entropy < config.entropy_floor else -config.entropy_step
    return max(0.0, weight + change)


def token_weights(
    lengths: Int[np.ndarray, " rows"],
    kind: Literal["sequence_mean", "token_mean", "constant_length"],
    *,
    num_rows: int,
    num_tokens: int,
    max_new_tokens: int,
) -> Float[np.ndarray, " rows"]:
    """The weight of each token of each row in the sum that is the loss.

    Args:
        lengths: Tokens of each row.
        num_rows, num_tokens: Of the whole update: all its micro-batches, including groups without signal.
        max_new_tokens: The constant of `constant_length`.
    """
    if kind == "sequence_mean":
        return 1.0 / (np.maximum(lengths, 1) * num_rows)
    if kind == "token_mean":
        return np.full(lengths.shape, 1.0 / max(1, num_tokens))
    return np.full(lengths.shape, 1.0 / (max_new_tokens * num_rows))


def k3(logprobs: Float[Array, " tokens"], reference: Float[Array, " tokens"]) -> Float[Array, " tokens"]:
    """The non-negative, unbiased estimator of KL(policy, reference) (J. Schulman, "Approximating KL divergence")."""
    difference = jnp.clip(reference - logprobs, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    return jnp.expm1(difference) - difference


def grpo_loss(
    logprobs: Float[Array, " tokens"],
    old: Float[Array, " tokens"],
    reference: Float[Array, " tokens"],
    entropies: Float[Array, " tokens"],
    advantages: Float[Array, " tokens"],
    weights: Float[Array, " tokens"],
    valid: Bool[Array, " tokens"],
    rows: Int[Array, " tokens"],
    num_rows: int,
    objective: Objective,
    entropy_weight: Float[Any, ""] | float = 0.0,
    sampled: Float[Array, " tokens"] | None = None,
    teacher: Float[Array, " tokens"] | None = None,
) -> tuple[Float[Array, ""], Sums]:
    """Loss and metrics of one micro-batch.

    Args:
        logprobs: Of the policy being trained; the only input with a gradient, besides entropies with a bonus.
        old: Of the policy that sampled.
        reference: Of the reference policy; ignored if beta is 0.
        entropies: Of the policy's distribution at each token: a metric, and the bonus.
        advantages: Of the token's completion.
        weights: From `token_weights`, zero for completions left out.
        valid: False for padding.
        rows: The completion that a token belongs to, below `num_rows`.
        entropy_weight: Of the bonus, if the objective has one.
        sampled: Log-probabilities of the distribution that the tokens were drawn from; `old` when None.
        teacher: Of the teacher; needed if the objective gives it a weight.
    """
    teacher_kl = jnp.zeros_like(logprobs)
    if objective.teacher_weight > 0 and teacher is not None:
        teacher_kl = jax.lax.stop_gradient(jnp.clip(old - teacher, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO))
        rewarded = advantages if objective.use_reward else jnp.zeros_like(advantages)
        advantages = rewarded - np.float32(objective.teacher_weight) * teacher_kl
    log_ratio = jnp.clip(jnp.where(valid, logprobs - old, 0.0), -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    if objective.ratio == "sequence":
        member = (rows[:, None] == jnp.arange(num_rows)[None]) & valid[:, None]
        member = member.astype(jnp.float32)
        means = (log_ratio @ member) / jnp.maximum(member.sum(0), 1.0)
        log_ratio = means[rows]
    ratio = jnp.exp(log_ratio)
    low, high = np.float32(1 - objective.epsilon), np.float32(1 + objective.epsilon_high)
    if objective.clip == "cispo":
        loss = -jax.lax.stop_gradient(jnp.minimum(ratio, high)) * advantages * logprobs
    else:
        loss = -jnp.minimum(ratio * advantages, jnp.clip(ratio, low, high) * advantages)
    mismatch = capped = jnp.zeros_like(loss)
    if sampled is not None:
        mismatch = k3(sampled, old)
        importance = jax.lax.stop_gradient(jnp.exp(jnp.clip(old - sampled, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)))
        if objective.importance_cap > 0:
            cap = np.float32(objective.importance_cap)
            loss, capped = loss * jnp.minimum(importance, cap), (importance > cap).astype(jnp.float32)
    kl = jnp.zeros_like(loss)
    if objective.beta > 0:
        kl = k3(logprobs, reference)
        loss = loss + np.float32(objective.beta) * kl
    if objective.entropy_bonus:
        loss = loss - entropy_weight * entropies
    total = jnp.sum(jnp.where(valid, loss * weights, 0.0))

    def count(values: Array) -> Array:
        return jax.lax.stop_gradient(jnp.sum(jnp.where(valid, values, 0.0)))

    clipped = (ratio > high) & (advantages > 0)
    if objective.clip == "cispo":
        clipped = ratio > high
    else:
        clipped = clipped | ((ratio < low) & (advantages < 0))
    return total, Sums(
        loss=jax.lax.stop_gradient(total),
        kl=count(kl),
        ratio=count(ratio),
        ratio_off=jax.lax.stop_gradient(jnp.max(jnp.where(valid, jnp.abs(ratio - 1), 0.0))),
        clipped=count(clipped.astype(jnp.float32)),
        entropy=count(entropies),
        mismatch=count(mismatch),
        capped=count(capped),
        teacher_kl=count(teacher_kl),
        tokens=count(jnp.ones_like(ratio)),
    )
