"""A trainer that drives Tunix's learner and cluster.

Each step is one `GRPOLearner.train` on one batch: Tunix samples, calls the reward function, computes reference and old
log-probabilities, gradients and updates. Adapter and optimizer state are copied in before the step and out after it, so
that saving, resuming, deadlines and restarts are the same as with the package's own trainer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import absl.logging
import jax
import numpy as np
from tunix.rl import function_registry, rl_cluster
from tunix.rl.rollout.base_rollout import RolloutConfig
from tunix.sft.metrics_logger import Mode

from thinkaloud.config import Recipe
from thinkaloud.errors import UserError, nearest
from thinkaloud.model.lora import Adapter
from thinkaloud.model.packed import COARSE_PROMPT_BUCKET, round_up
from thinkaloud.records import Completion, Finish, RolloutGroup, Task
from thinkaloud.rewards.scoring import GroupScorer, is_masked
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import key_of
from thinkaloud.seeding import derive_seed
from thinkaloud.train.advantage import with_advantages
from thinkaloud.train.loss import token_weights
from thinkaloud.train.refill import Replacements
from thinkaloud.train.step_metrics import outcome_metrics
from thinkaloud.train.trainer import StepResult, Trainer, TrainState
from thinkaloud.train.tunix.learner import LOSS, METRICS, Config, Example, Hooks, Learner
from thinkaloud.train.tunix.lora import adapted, put_adapter, take_adapter
from thinkaloud.train.tunix.model import build_model, open_mesh
from thinkaloud.train.tunix.optimizer import put_state, rated, set_rate, take_state
from thinkaloud.train.tunix.rollout import NO_TOKEN, Cluster, Rollout, Tokens


class TunixTrainer(Trainer):
    """The trainer of `engine = "tunix"`; see `Trainer` for the arguments."""

    def __init__(
        self,
        policy: Policy,
        reference: Adapter,
        recipe: Recipe,
        score: GroupScorer,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(policy, reference, recipe, score, interrupt)
        self._tokens = Tokens(policy.contract, NO_TOKEN)
        self._state: TrainState | None = None
        self._calls = self._passes = 0
        self._score_seconds = 0.0
        self._groups: list[RolloutGroup] = []
        self._tasks: Sequence[Task] = ()
        self._mesh = open_mesh(recipe.mesh_sizes)
        absl.logging.set_verbosity(absl.logging.ERROR)  # Tunix warns about intended settings, such as a CPU
        self.cluster = self._open_cluster()
        self.learner = self._open_learner()
        trainer = self.cluster.actor_trainer
        trainer.config.max_steps = None  # no limit, and no progress bar
        trainer.with_rl_metrics_to_log(METRICS)
        trainer.with_training_hooks(Hooks(self._before_pass))
        if isinstance(self.cluster.rollout, Rollout):
            self.cluster.rollout.next_key = self._next_key

    # --- setting Tunix up ---------------------------------------------------------------------------------------

    def _open_cluster(self) -> Cluster:
        recipe, config, mesh, roles = self.recipe, self.policy.model.config, self._mesh, rl_cluster.Role
        base = build_model(self.policy.model, mesh)

        def model(adapter: Adapter) -> Any:
            return adapted(base, config, adapter, self.policy.scale, mesh)

        batch = recipe.rollout.prompts_per_step // recipe.grpo.minibatches
        micro = recipe.tunix.micro_batch_prompts or None
        return Cluster(
            actor=model(self.reference),
            reference=model(self.reference) if recipe.grpo.beta else None,
            tokenizer=self._tokens,
            cluster_config=rl_cluster.ClusterConfig(
                role_to_mesh=dict.fromkeys((roles.ACTOR, roles.REFERENCE, roles.ROLLOUT), mesh),
                rollout_engine=Rollout if recipe.tunix.rollout == "vanilla" else recipe.tunix.rollout,
                training_config=rl_cluster.RLTrainingConfig(
                    actor_optimizer=rated(self.optimizer),
                    eval_every_n_steps=2**31,
                    max_steps=2**31,
                    mini_batch_size=batch,
                    train_micro_batch_size=micro,
                    rollout_micro_batch_size=batch,
                    compute_logps_micro_batch_size=micro or batch,
                ),
                rollout_config=rollout_config(recipe, self.policy.contract.stop_ids),
            ),
        )

    def _open_learner(self) -> Learner:
        grpo, tunix = self.recipe.grpo, self.recipe.tunix
        estimator = f"{LOSS}-{id(self)}"
        function_registry.register_advantage_estimator(estimator)(self._advantages)
        batch = self.recipe.rollout.prompts_per_step // grpo.minibatches
        config = Config(
            num_generations=self.recipe.rollout.group_size,
            num_iterations=grpo.inner_iterations,
            beta=grpo.beta,
            epsilon=grpo.epsilon,
            loss_algo="gspo-token" if grpo.ratio == "sequence" else "grpo",
            objective=self.objective,
            micro_batches=batch // tunix.micro_batch_prompts if tunix.micro_batch_prompts else 1,
            policy_loss_fn=LOSS,
            advantage_estimator=estimator,
        )
        setattr(config, "epsilon_high", self.objective.epsilon_high)  # noqa: B010 - read by Tunix, but not a field
        return Learner(rl_cluster=self.cluster, algo_config=config, reward_fns=self._rewards, complete=self._complete)

    # --- one step -----------------------------------------------------------------------------------------------

    def step(self, state: TrainState, tasks: Sequence[Task], replacements: Replacements | None = None) -> StepResult:
        """Run the next step on `tasks`; Tunix replaces no groups. Consumes the buffers of `state`."""
        began = time.perf_counter()
        config, cluster = self.policy.model.config, self.cluster
        self._begin(state, tasks)
        self.put(state.adapter, state.optimizer_state)
        self.learner.train([{"prompts": np.array([str(place) for place in range(len(tasks))])}])
        after = replace(
            state,
            adapter=take_adapter(cluster.actor_trainer.model, config, state.adapter),
            optimizer_state=take_state(cluster.actor_trainer, config, state.optimizer_state),
            step=state.step + 1,
        )
        ended = time.perf_counter()
        seconds = {
            "rollout": cluster.rollout_seconds,
            "score": self._score_seconds,
            "update": ended - began - cluster.rollout_seconds - self._score_seconds,
            "total": ended - began,
            "idle_share": self._score_seconds / max(ended - began, 1e-9),  # Tunix waits for its reward function
        }
        learned, outcome = self._update_metrics(state), outcome_metrics(self._groups, self.registry)
        metrics = {"stage": "grpo", "step": after.step, **learned, **outcome, "seconds": seconds}
        return StepResult(after, self._groups, metrics)

    def batch(self, state: TrainState, tasks: Sequence[Task]) -> Any:
        """The `TrainExample` of a step of one minibatch, without the update."""
        self._begin(state, tasks)
        group = self.recipe.rollout.group_size
        prompts = [str(place) for place in range(len(tasks)) for _ in range(group)]
        learner = self.learner
        learner._rollout_micro_batch_size = learner._compute_logps_micro_batch_size = len(tasks)
        return learner._generate_and_compute_advantage({"prompts": prompts})

    def _begin(self, state: TrainState, tasks: Sequence[Task]) -> None:
        self._state, self._calls, self._passes, self._groups = state, 0, 0, []
        self.cluster.rollout_seconds = self._score_seconds = 0.0
        self._tokens.prompts = [tuple(self.policy.contract.encode(task.question)) for task in tasks]
        self._tasks = tasks
        longest = max(map(len, self._tokens.prompts))
        self.cluster.get_rollout_config(rl_cluster.Mode.TRAIN).max_prompt_length = round_up(
            longest, COARSE_PROMPT_BUCKET
        )

    def put(self, adapter: Adapter, optimizer_state: Any) -> None:
        """Make Tunix continue from this adapter and this optimizer state."""
        trainer, config = self.cluster.actor_trainer, self.policy.model.config
        put_adapter(trainer.model, config, adapter)
        put_state(trainer, config, optimizer_state)
        if self.learner.should_sync_weights:
            self.cluster.sync_weights()

    # --- what Tunix calls ---------------------------------------------------------------------------------------

    def _next_key(self) -> Any:
        assert self._state is not None
        labels = ("rollout", self._state.step, self._state.attempt, self._calls)
        self._calls += 1
        return key_of(derive_seed(self.recipe.seed, "tunix", *labels))

    def _rewards(self, prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        """Tunix's reward function; `completions` are taken from the cluster's output, with their tokens."""
        began = time.perf_counter()
        self.interrupt()
        size = self.recipe.rollout.group_size
        groups = [
            RolloutGroup(
                task=self._tasks[int(prompts[first])],
                prompt_ids=tuple(self._tokens.prompts[int(prompts[first])]),
                completions=tuple(self._completion(row) for row in range(first, first + size)),
            )
            for first in range(0, len(prompts), size)
        ]
        groups = with_advantages(
            self.score(groups),
            mask_truncated=self._mask_truncated,
            scale_by_std=self.recipe.grpo.scale_by_std,
        )
        self._groups += groups
        self._score_seconds += time.perf_counter() - began
        self.interrupt()
        return [score.reward for group in groups for score in group.scores]

    @property
    def _mask_truncated(self) -> bool:
        return self.recipe.rewards.truncated == "mask"

    def _completion(self, row: int) -> Completion:
        output, limit = self.cluster.output, self.recipe.rollout.max_new_tokens
        ids = tuple(int(i) for i in output.tokens[row] if i >= 0)
        logprobs = () if output.logprobs is None else tuple(map(float, output.logprobs[row]))[: len(ids)]
        ended = bool(ids) and ids[-1] in self.policy.contract.stop_ids
        stopped = ended or len(ids) < limit  # the rollouts of vLLM and SGLang cut the end-of-turn token off
        return Completion(
            text=self.policy.contract.tokenizer.decode(ids[:-1] if ended else ids, keep_special=True),
            token_ids=ids,
            logprobs=logprobs,
            finish=Finish.STOP if stopped else Finish.LENGTH,
        )

    def _latest(self, rows: int) -> list[RolloutGroup]:
        """The groups of the newest `rows` completions."""
        return self._groups[-(rows // self.recipe.rollout.group_size) :]

    def _advantages(self, rewards: Any, num_generations: int) -> np.ndarray:
        """Tunix's advantage estimator: the advantages of `train.advantage`, which leave masked completions out."""
        del num_generations
        groups = self._latest(len(rewards))
        return np.asarray([value for group in groups for value in group.advantages], np.float32)

    def _complete(self, example: Any) -> Example:
        """Add to Tunix's batch: the mask of completions, the weight of every token, the sampler's log-probabilities."""
        groups = self._latest(len(example.advantages))
        masked = np.asarray([is_masked(score, self._mask_truncated) for group in groups for score in group.scores])
        mask = np.asarray(example.completion_mask) & ~masked[:, None]
        lengths = mask.sum(axis=1)
        weights = token_weights(
            lengths,
            self.recipe.grpo.loss,
            num_rows=max(1, int((~masked).sum())),
            num_tokens=int(lengths.sum()),
            max_new_tokens=self.recipe.rollout.max_new_tokens,
        )
        sampled = None
        if self.cluster.output.logprobs is not None:
            sampled = np.zeros(mask.shape, np.float32)
            for row, values in enumerate(self.cluster.output.logprobs):
                sampled[row, : len(values)] = values
        values = {field.name: getattr(example, field.name) for field in fields(example)}
        return Example(
            **{**values, "completion_mask": jax.numpy.asarray(mask)},
            weights=jax.numpy.asarray(weights, jax.numpy.float32),
            sampled_logps=None if sampled is None else jax.numpy.asarray(sampled),
        )

    def _before_pass(self, trainer: Any) -> None:
        assert self._state is not None
        update = self._passes // self.learner.algo_config.micro_batches
        set_rate(trainer, self.learning_rate(self._state, update))
        self._passes += 1

    # --- what Tunix reports -------------------------------------------------------------------------------------

    def _update_metrics(self, state: TrainState) -> dict[str, Any]:
        """The metrics of the updates from Tunix's metrics logger, under our names; None if Tunix has no value."""
        count, iterations = self.updates_per_step, self.recipe.grpo.inner_iterations

        def history(name: str) -> np.ndarray:
            logger = self.cluster.actor_trainer.metrics_logger
            return np.asarray(logger.get_metric_history("actor", name, Mode.TRAIN)[-count:], np.float64)

        norms = history("grad_norm")
        finite = norms[np.isfinite(norms)]
        tokens, sampled = history("tokens"), self.cluster.output.logprobs is not None
        first = np.arange(count) % iterations == 0  # Tunix repeats a mini-batch before it takes the next one
        sums = {name: history(name) for name in ("kl", "ratio", "clipped", "entropy")}
        all_tokens, first_tokens = max(tokens.sum(), 1), max(tokens[first].sum(), 1)
        found = {
            "loss": history("loss").sum() / iterations,
            "kl": sums["kl"].sum() / all_tokens if self.objective.beta else None,
            "ratio_mean": sums["ratio"][first].sum() / first_tokens if sampled else None,
            "ratio_max": 1 + history("ratio_off")[first].max() if sampled else None,
            "clip_fraction": sums["clipped"].sum() / all_tokens,
            "entropy": sums["entropy"][first].sum() / first_tokens,
            "grad_norm": finite.mean() if len(finite) else None,
            "learning_rate": self.learning_rate(state, 0),
        }
        known = {
            name: None if value is None or not np.isfinite(value) else float(value) for name, value in found.items()
        }
        return {**known, "skipped_updates": int(len(norms) - len(finite))}


def rollout_config(recipe: Recipe, stop_ids: Sequence[int]) -> RolloutConfig:
    """Tunix's rollout settings of a recipe, including `tunix.options` (settings of vLLM and SGLang).

    Raises:
        UserError: Tunix has no such option, or another part of the recipe determines it.
    """
    rollout = recipe.rollout
    ours = {
        "max_tokens_to_generate": rollout.max_new_tokens,
        "max_prompt_length": rollout.max_prompt_tokens,
        "kv_cache_size": round_up(rollout.max_prompt_tokens, COARSE_PROMPT_BUCKET) + rollout.max_new_tokens,
        "temperature": rollout.temperature,
        "top_p": rollout.top_p,
        "top_k": rollout.top_k or None,
        "eos_tokens": list(stop_ids),
    }
    known = {field.name for field in fields(RolloutConfig)} - ours.keys()
    for name in recipe.tunix.options:
        if name in ours:
            raise UserError(f"tunix.options.{name} is determined by [rollout]; change it there")
        if name not in known:
            raise UserError(f"tunix.options.{name}: Tunix's RolloutConfig has no such field{nearest(name, known)}")
    return RolloutConfig(**ours, **recipe.tunix.options)
