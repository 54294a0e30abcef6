"""The GRPO stage through Tunix: the interface of `train.grpo.Grpo`, with Tunix's learner and cluster behind it.

Each step is one `GRPOLearner.train` on one batch: Tunix samples, asks for rewards, computes reference and old
log-probabilities, gradients and updates. Before it the adapter and the optimizer's state go in, after it they come
out, in our layout; so saving, resuming, deadlines and restarts are those of our own engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
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
from thinkaloud.model.packed import round_up
from thinkaloud.prompt.tokenizer import Tokenizer
from thinkaloud.records import Completion, Finish, Score, Task
from thinkaloud.rollout.generate import PROMPT_BUCKET
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import key_of
from thinkaloud.seeding import derive_seed
from thinkaloud.train.advantage import Advantages, group_advantages
from thinkaloud.train.grpo import Groups, Grpo, Scorer, StepResult, outcome_metrics
from thinkaloud.train.loss import token_weights
from thinkaloud.train.tunix.learner import LOSS, METRICS, STOCK_METRICS, Config, Example, Hooks, Learner
from thinkaloud.train.tunix.lora import adapted, put_adapter, take_adapter
from thinkaloud.train.tunix.model import build_model, open_mesh
from thinkaloud.train.tunix.optimizer import put_state, rated, set_rate, take_state
from thinkaloud.train.tunix.rollout import NO_TOKEN, Cluster, Rollout, Tokens

AGGREGATION = {
    "sequence_mean": "sequence-mean-token-mean",
    "token_mean": "token-mean",
    "constant_length": "sequence-mean-token-scale",
}
"""What Tunix's own loss calls `grpo.loss`."""


class TunixGrpo(Grpo):
    """The stage; see `Grpo` for arguments and attributes.

    With `tunix.faithful` everything that Tunix 0.1.7 does wrong is left as it is: see `docs/tunix.md`.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Adapter,
        recipe: Recipe,
        score: Scorer,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(policy, reference, recipe, score, between)
        self.faithful = recipe.tunix.faithful
        self._tokens = Tokens(policy.contract, _stock_pad(policy) if self.faithful else NO_TOKEN)
        self._step = self._updates = self._calls = self._passes = 0
        self._score_seconds = 0.0
        self._groups: Groups = []
        self._scores: list[list[Score]] = []
        self._mesh = open_mesh(recipe.mesh.sizes())
        absl.logging.set_verbosity(absl.logging.ERROR)  # Tunix warns of what we chose, such as a CPU
        self.cluster = self._open_cluster()
        self.learner = self._open_learner()
        trainer = self.cluster.actor_trainer
        trainer.config.max_steps = None  # ours to say; and Tunix draws no progress bar
        trainer.with_rl_metrics_to_log(STOCK_METRICS if self.faithful else METRICS)
        trainer.with_training_hooks(Hooks(self._before_pass))
        if isinstance(self.cluster.rollout, Rollout):
            self.cluster.rollout.next_key = self._next_key

    # --- setting Tunix up ---------------------------------------------------------------------------------------

    def _open_cluster(self) -> Cluster:
        recipe, config, mesh, roles = self.recipe, self.policy.model.config, self._mesh, rl_cluster.Role
        base = build_model(self.policy.model, mesh, faithful=self.faithful)

        def model(adapter: Adapter) -> Any:
            return adapted(base, config, adapter, self.policy.scale, mesh, faithful=self.faithful)

        batch = recipe.rollout.prompts_per_step // recipe.grpo.minibatches
        micro = recipe.tunix.micro_batch_prompts or None
        own = not self.faithful and recipe.tunix.rollout == "vanilla"
        return Cluster(
            faithful=self.faithful,
            actor=model(self.reference),
            reference=model(self.reference) if recipe.grpo.beta else None,
            tokenizer=self._tokens,
            cluster_config=rl_cluster.ClusterConfig(
                role_to_mesh=dict.fromkeys((roles.ACTOR, roles.REFERENCE, roles.ROLLOUT), mesh),
                rollout_engine=Rollout if own else recipe.tunix.rollout,
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
        names: dict[str, str] = {"loss_agg_mode": AGGREGATION[grpo.loss]}
        if not self.faithful:
            names |= {"policy_loss_fn": LOSS, "advantage_estimator": f"{LOSS}-{id(self)}"}
            function_registry.register_advantage_estimator(names["advantage_estimator"])(self._advantages)
        elif not grpo.scale_by_std:
            names["advantage_estimator"] = "drgrpo"
        batch = self.recipe.rollout.prompts_per_step // grpo.minibatches
        config = Config(
            num_generations=self.recipe.rollout.group_size,
            num_iterations=grpo.inner_iterations,
            beta=grpo.beta,
            epsilon=grpo.epsilon,
            loss_algo="gspo-token" if grpo.ratio == "sequence" else "grpo",
            objective=self.objective,
            micro_batches=batch // tunix.micro_batch_prompts if tunix.micro_batch_prompts else 1,
            **names,
        )
        setattr(config, "epsilon_high", self.objective.epsilon_high)  # noqa: B010 - Tunix looks for it; it is no field
        return Learner(
            rl_cluster=self.cluster,
            algo_config=config,
            reward_fns=self._rewards,
            complete=(lambda example: example) if self.faithful else self._complete,
        )

    # --- one step -----------------------------------------------------------------------------------------------

    def step(self, adapter: Adapter, state: Any, tasks: Sequence[Task], step: int) -> StepResult:
        """Run 0-based `step` on its tasks, as `Grpo.step` does."""
        began = time.perf_counter()
        config, cluster = self.policy.model.config, self.cluster
        self._begin(tasks, step)
        self.put(adapter, state)
        self.learner.train([{"prompts": np.array([str(place) for place in range(len(tasks))])}])
        adapter = take_adapter(cluster.actor_trainer.model, config, adapter)
        state = take_state(cluster.actor_trainer, config, state)
        ended = time.perf_counter()
        advantages = self._grouped(self._scores)
        metrics = {
            "stage": "grpo",
            "step": step + 1,
            **self._told(step),
            **outcome_metrics(tasks, self._groups, self._scores, advantages),
        }
        metrics["tokens"] = {
            "prompt": sum(len(self.policy.contract.encode(task.question)) for task in tasks),
            "completion": sum(len(c.token_ids) for group in self._groups for c in group),
        }
        metrics["seconds"] = {
            "rollout": cluster.rollout_seconds,
            "score": self._score_seconds,
            "update": ended - began - cluster.rollout_seconds - self._score_seconds,
            "total": ended - began,
            "idle_share": self._score_seconds / max(ended - began, 1e-9),  # Tunix waits for its reward function
        }
        return StepResult(adapter, state, metrics, self._groups, self._scores)

    def batch(self, tasks: Sequence[Task], step: int) -> Any:
        """What Tunix would learn from in a step (its `TrainExample`), without the update; one mini-batch."""
        self._begin(tasks, step)
        group = self.recipe.rollout.group_size
        prompts = [str(place) for place in range(len(tasks)) for _ in range(group)]
        learner = self.learner
        learner._rollout_micro_batch_size = learner._compute_logps_micro_batch_size = len(tasks)
        return learner._generate_and_compute_advantage({"prompts": prompts})

    def _begin(self, tasks: Sequence[Task], step: int) -> None:
        self._step, self._updates, self._calls, self._passes = step, step * self.updates_per_step, 0, 0
        self._groups, self._scores, self._tokens.tasks = [], [], tasks
        self.cluster.rollout_seconds = self._score_seconds = 0.0
        longest = max(len(self.policy.contract.encode(task.question)) for task in tasks)
        self.cluster.get_rollout_config(rl_cluster.Mode.TRAIN).max_prompt_length = round_up(longest, PROMPT_BUCKET)

    def put(self, adapter: Adapter, state: Any) -> None:
        """Let Tunix go on from this adapter and this state of our optimizer."""
        trainer, config = self.cluster.actor_trainer, self.policy.model.config
        put_adapter(trainer.model, config, adapter, faithful=self.faithful)
        put_state(trainer, config, state, faithful=self.faithful)
        if self.learner.should_sync_weights:
            self.cluster.sync_weights()

    # --- what Tunix asks for ------------------------------------------------------------------------------------

    def _next_key(self) -> Any:
        labels = ("rollout", self._step, self.attempt, self._calls)
        self._calls += 1
        return key_of(derive_seed(self.recipe.seed, "tunix", *labels))

    def _rewards(self, prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        """Tunix's reward function; `completions` are taken from the cluster's output, with their tokens."""
        began = time.perf_counter()
        self.between()
        size = self.recipe.rollout.group_size
        tasks = [self._tokens.tasks[int(place)] for place in prompts]
        flat = [self._completion(task, row) for row, task in enumerate(tasks)]
        scores = self.score(tasks, flat)
        self._groups += [flat[i : i + size] for i in range(0, len(flat), size)]
        self._scores += [scores[i : i + size] for i in range(0, len(scores), size)]
        self._score_seconds += time.perf_counter() - began
        self.between()
        return [score.reward for score in scores]

    def _completion(self, task: Task, row: int) -> Completion:
        output, limit = self.cluster.output, self.recipe.rollout.max_new_tokens
        ids = tuple(int(i) for i in output.tokens[row] if i >= 0)
        logprobs = () if output.logprobs is None else tuple(map(float, output.logprobs[row]))[: len(ids)]
        ended = bool(ids) and ids[-1] in self.policy.contract.stop_ids
        said = ids[:-1] if ended else ids
        stopped = ended or len(ids) < limit  # Tunix's own rollout cuts the end-of-turn token off
        return Completion(
            task_id=task.id,
            text=self.policy.contract.tokenizer.decode(said, keep_special=True),
            token_ids=ids,
            logprobs=logprobs,
            finish=Finish.STOP if stopped else Finish.LENGTH,
        )

    def _grouped(self, scores: list[list[Score]]) -> Advantages:
        rewards = np.asarray([[score.reward for score in group] for group in scores])
        return group_advantages(rewards, self._masked(scores), scale_by_std=self.recipe.grpo.scale_by_std)

    def _latest(self, rows: int) -> list[list[Score]]:
        """The scores of the newest `rows` completions."""
        return self._scores[-(rows // self.recipe.rollout.group_size) :]

    def _advantages(self, rewards: Any, num_generations: int) -> np.ndarray:
        """Tunix's advantage estimator: `advantage.group_advantages`, which knows of masked completions."""
        del num_generations
        return self._grouped(self._latest(len(rewards))).values.reshape(-1).astype(np.float32)

    def _complete(self, example: Any) -> Example:
        """Tunix's batch with masked completions left out, the weight of every token, and the sampler's own numbers."""
        masked = self._masked(self._latest(len(example.advantages))).reshape(-1)
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
        micro_batches = self.learner.algo_config.micro_batches
        set_rate(trainer, self.learning_rate(self._updates + self._passes // micro_batches))
        self._passes += 1

    # --- what Tunix tells ---------------------------------------------------------------------------------------

    def _told(self, step: int) -> dict[str, Any]:
        """The step's numbers from Tunix's metrics logger, under our names; None for what it does not tell."""
        count, iterations = self.updates_per_step, self.recipe.grpo.inner_iterations

        def history(name: str) -> np.ndarray:
            logger = self.cluster.actor_trainer.metrics_logger
            return np.asarray(logger.get_metric_history("actor", name, Mode.TRAIN)[-count:], np.float64)

        norms = history("grad_norm")
        finite = norms[np.isfinite(norms)]
        common = {
            "grad_norm": float(finite.mean()) if len(finite) else None,
            "learning_rate": self.learning_rate(step * count),
            "skipped_updates": int(len(norms) - len(finite)),
        }
        if self.faithful:
            told = {
                "loss": history("loss").sum() / iterations,
                "kl": history("kl").mean() if self.objective.beta else None,
                "ratio_mean": history("is_ratio/mean")[0],
                "ratio_max": history("is_ratio/max")[0],
                "clip_fraction": history("pg_clipfrac").mean(),
                "entropy": history("entropy")[0],
            }
        else:
            tokens, sampled = history("tokens"), self.cluster.output.logprobs is not None
            first = np.arange(count) % iterations == 0  # Tunix repeats a mini-batch before it takes the next one
            mean = {name: history(name) for name in ("kl", "ratio", "clipped", "entropy")}
            some, of_first = max(tokens.sum(), 1), max(tokens[first].sum(), 1)
            told = {
                "loss": history("loss").sum() / iterations,
                "kl": mean["kl"].sum() / some if self.objective.beta else None,
                "ratio_mean": mean["ratio"][first].sum() / of_first if sampled else None,
                "ratio_max": 1 + history("ratio_off")[first].max() if sampled else None,
                "clip_fraction": mean["clipped"].sum() / some,
                "entropy": mean["entropy"][first].sum() / of_first,
            }
        known = {
            name: None if value is None or not np.isfinite(value) else float(value) for name, value in told.items()
        }
        return {**known, **common}


def rollout_config(recipe: Recipe, stop_ids: Sequence[int]) -> RolloutConfig:
    """Tunix's rollout settings of a recipe; those of vLLM and SGLang are passed on from `tunix.options`.

    Raises:
        UserError: Tunix has no such option, or it follows from another part of the recipe.
    """
    rollout = recipe.rollout
    ours = {
        "max_tokens_to_generate": rollout.max_new_tokens,
        "max_prompt_length": rollout.max_prompt_tokens,
        "kv_cache_size": round_up(rollout.max_prompt_tokens, PROMPT_BUCKET) + rollout.max_new_tokens,
        "temperature": rollout.temperature,
        "top_p": rollout.top_p,
        "top_k": rollout.top_k or None,
        "eos_tokens": list(stop_ids),
    }
    known = {field.name for field in fields(RolloutConfig)} - ours.keys()
    for name in recipe.tunix.options:
        if name in ours:
            raise UserError(f"tunix.options.{name} follows from [rollout]; change it there")
        if name not in known:
            raise UserError(f"tunix.options.{name}: Tunix's RolloutConfig has no such field{nearest(name, known)}")
    return RolloutConfig(**ours, **recipe.tunix.options)


def _stock_pad(policy: Policy) -> int:
    """The padding as Tunix's adapter takes it from a tokenizer: its own, or else its end of a sequence."""
    tokenizer = policy.contract.tokenizer
    assert isinstance(tokenizer, Tokenizer)
    index = tokenizer.token_id(tokenizer.pad or tokenizer.eos or "")
    return policy.contract.stop_ids[0] if index is None else index
