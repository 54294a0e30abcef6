"""Tunix's `GRPOLearner` with its own ("vanilla") rollout, on one device.

Policy and reference share the base weights. All completions form one micro-batch; prompts are padded to the longest.
The end-of-turn token is an id outside the vocabulary, so every completion has full length.
"""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import qwix
from flax import nnx
from jax.sharding import AxisType, Mesh
from tokenizers import Tokenizer
from tunix.models.gemma3 import model as gemma3
from tunix.models.gemma3 import params_safetensors as gemma3_params
from tunix.models.llama3 import model as llama3
from tunix.models.llama3 import params as llama3_params
from tunix.rl import rl_cluster as clusters
from tunix.rl.grpo.grpo_learner import GRPOConfig, GRPOLearner
from tunix.rl.rollout.base_rollout import RolloutConfig

from . import block

MODULES = {
    "llama": {name: f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")},
    "gemma3": {
        **dict.fromkeys("qkv", "q_einsum|.*kv_einsum|.*qkv_einsum"),
        "o": "attn_vec_einsum",
        **{name: f"{name}_proj" for name in ("gate", "up", "down")},
    },
}
"""Names of the projections in Tunix's models; in Gemma, queries, keys and values cannot be selected one by one."""
PAD = 0
NO_TOKEN = -1


class Tokens:
    """Tunix's tokenizer interface over the prompt ids of the job."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._ids = block.prompt_ids(job)
        self._tokenizer = Tokenizer.from_file(str(Path(job["weights"]) / "tokenizer.json"))
        assert not any(PAD in ids for ids in self._ids.values()), (
            f"a prompt contains token {PAD}, which Tunix would mask"
        )

    def encode(self, text: str) -> list[int]:
        return list(self._ids[text])

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids)

    def bos_id(self) -> int:
        return 0  # unused: the prompts start with theirs

    def eos_id(self) -> int:
        return NO_TOKEN

    def pad_id(self) -> int:
        return PAD


class Clock:
    """Measures each step: from one call of the cluster's `generate` to the next."""

    def __init__(self, cluster: Any) -> None:
        self._cluster, self._generate = cluster, cluster.generate
        self._began = self._rollout = 0.0
        self._lengths: list[int] | None = None
        self._first = self._adapter()
        cluster.generate = self._timed

    def _timed(self, *args: Any, **options: Any) -> Any:
        self.finish_step()
        self._began = time.perf_counter()
        output = self._generate(*args, **options)
        self._rollout = time.perf_counter() - self._began
        self._lengths = [len(tokens) for tokens in output.tokens]
        return output

    def finish_step(self) -> None:
        """Wait for pending computations, and report the step, if there was one."""
        adapter = self._adapter()
        seconds = time.perf_counter() - self._began
        if self._lengths is not None:
            block.report_step(
                seconds=seconds,
                rollout=self._rollout,
                update=seconds - self._rollout,
                lengths=self._lengths,
                adapter_change=float(np.linalg.norm(adapter - self._first)),
            )

    def _adapter(self) -> Any:
        state = nnx.state(self._cluster.actor_trainer.model, nnx.LoRAParam)
        return np.concatenate([np.asarray(x, np.float32).ravel() for x in jax.tree.leaves(state)])


def main() -> None:
    job = block.read_job()
    mesh = jax.make_mesh((1, 1), ("fsdp", "tp"), axis_types=(AxisType.Auto,) * 2)
    base = _load(job, mesh)
    names = dict.fromkeys(MODULES[job["family"]][target] for target in job["lora"]["targets"])
    provider = qwix.LoraProvider(
        module_path="|".join(f".*{name}" for name in names), rank=job["lora"]["rank"], alpha=job["lora"]["alpha"]
    )
    with mesh:
        actor = qwix.apply_lora_to_model(base, provider, **base.get_model_input())
    cluster = clusters.RLCluster(
        actor=actor, reference=base, tokenizer=Tokens(job), cluster_config=_cluster_config(job, mesh)
    )
    grpo = job["grpo"]
    learner = GRPOLearner(
        rl_cluster=cluster,
        algo_config=GRPOConfig(
            num_generations=job["group_size"],
            num_iterations=grpo["inner_iterations"],
            beta=grpo["beta"],
            epsilon=grpo["epsilon"],
        ),
        reward_fns=lambda prompts, completions, **columns: block.rewards(len(completions), job["group_size"]),
    )
    clock = Clock(cluster)
    block.report_ready(version=version("google-tunix"), dtype=job["dtype"])
    with mesh:
        learner.train([{"prompts": np.array(batch["texts"])} for batch in block.of_each_step(job, job["batches"])])
    clock.finish_step()
    stats = jax.local_devices()[0].memory_stats() or {}
    block.report_end(stats.get("peak_bytes_in_use"))


def _load(job: dict[str, Any], mesh: Mesh) -> Any:
    fields = json.loads((Path(job["weights"]) / "config.json").read_text(encoding="utf-8"))
    common = {
        "num_layers": fields["num_hidden_layers"],
        "embed_dim": fields["hidden_size"],
        "hidden_dim": fields["intermediate_size"],
        "num_heads": fields["num_attention_heads"],
        "num_kv_heads": fields["num_key_value_heads"],
        "head_dim": fields["head_dim"],
    }
    dtype = jnp.dtype(job["dtype"])
    if job["family"] == "llama":
        config = llama3.ModelConfig(
            **common,
            vocab_size=fields["vocab_size"],
            rope_theta=int(fields["rope_theta"]),
            norm_eps=fields["rms_norm_eps"],
            weight_tying=fields["tie_word_embeddings"],
        )
        return llama3_params.create_model_from_safe_tensors(job["weights"], config, mesh, dtype=dtype)
    if job["family"] == "gemma3":
        gemma = gemma3.ModelConfig(
            **common,
            num_embed=fields["vocab_size"],
            sliding_window_size=fields["sliding_window"],
            local_base_frequency=int(fields["rope_local_base_freq"]),
            global_base_frequency=int(fields["rope_theta"]),
            param_dtype=dtype,
        )
        return gemma3_params.create_model_from_safe_tensors(job["weights"], gemma, mesh, dtype=dtype)
    raise SystemExit(f"expected a model of the family llama or gemma3, found {job['family']!r}")


def _cluster_config(job: dict[str, Any], mesh: Mesh) -> Any:
    rollout, grpo = job["rollout"], job["grpo"]
    count, longest = len(job["batches"][0]["prompts"]), max(map(len, block.prompt_ids(job).values()))
    optimizer = optax.chain(
        optax.clip_by_global_norm(grpo["max_grad_norm"]),
        optax.adamw(grpo["learning_rate"], b1=grpo["adam_b1"], b2=grpo["adam_b2"], weight_decay=grpo["weight_decay"]),
    )
    return clusters.ClusterConfig(
        role_to_mesh=dict.fromkeys((clusters.Role.ACTOR, clusters.Role.REFERENCE, clusters.Role.ROLLOUT), mesh),
        rollout_engine="vanilla",
        training_config=clusters.RLTrainingConfig(
            actor_optimizer=optimizer,
            eval_every_n_steps=10**9,
            max_steps=job["steps"] * grpo["inner_iterations"],
            mini_batch_size=count,
            train_micro_batch_size=count,
        ),
        rollout_config=RolloutConfig(
            max_tokens_to_generate=job["new_tokens"],
            max_prompt_length=longest,
            kv_cache_size=longest + job["new_tokens"],
            temperature=rollout["temperature"],
            top_p=rollout["top_p"],
            top_k=rollout["top_k"] or None,
            eos_tokens=[NO_TOKEN],
        ),
    )


if __name__ == "__main__":
    main()
