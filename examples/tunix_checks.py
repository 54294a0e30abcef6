"""What Tunix 0.1.7 does wrong, and what `--engine tunix` makes of it: measured side by side, on tiny random models.

    pip install '.[tunix]'            # in a clone of the repository; or take the Python of `make peers`
    python examples/tunix_checks.py

Every number is taken from Tunix's own objects (its batch, its model, its optimizer, its loss), not from our metrics.
`docs/tunix.md` says where each fault lies in Tunix's source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tunix.rl import common, function_registry
from tunix.rl.trainer import Trainer
from tunix.sft.peft_trainer import TrainingConfig

from thinkaloud.checkpoint.files import newest, save
from thinkaloud.config.load import parse_recipe
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.hf_config import read_hf_config
from thinkaloud.model.load import Model
from thinkaloud.model.lora import init_adapter
from thinkaloud.model.packed import pack
from thinkaloud.model.random_weights import random_params
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.train.learner import reference_logprobs
from thinkaloud.train.tunix.engine import TunixGrpo

TASKS = tuple(
    Task(id=f"t{i}", domain="math", source="own", question=f"What is {i} + 4?", answer=str(i + 4), split="train")
    for i in range(4)
)
TEMPERATURE = 0.7


def llama_config() -> ModelConfig:
    """A Llama as small as the tiny Gemma, turning by a base that is not Tunix's 1,000,000."""
    return read_hf_config(
        {
            "model_type": "llama",
            "vocab_size": tiny_config().vocab_size,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000.0,
            "tie_word_embeddings": True,
            "max_position_embeddings": 4096,
        }
    )


def open_stage(
    config: ModelConfig, *, faithful: bool, dtype: str = "float32", micro_batch_prompts: int = 0
) -> TunixGrpo:
    """The stage on random weights, its adapter the reference's; rewards follow the place in the group."""
    recipe = parse_recipe(
        {
            "name": "checks",
            "model": {"source": "tiny"},
            "engine": "tunix",
            "tunix": {"faithful": faithful, "micro_batch_prompts": micro_batch_prompts},
            "lora": {"rank": 2, "alpha": 4.0},
            "rollout": {
                "prompts_per_step": len(TASKS),
                "group_size": 4,
                "max_prompt_tokens": 512,
                "max_new_tokens": 32,
                "temperature": TEMPERATURE,
                "top_p": 1.0,
                "top_k": 0,
            },
            "grpo": {"inner_iterations": 2, "learning_rate": 1e-3, "beta": 0.04},
        }
    )
    _, contract = open_contract(recipe)
    params = jax.tree.map(lambda array: jnp.asarray(array, dtype), random_params(config, seed=0))
    policy = Policy(Model(config, params), contract, recipe.lora.alpha / recipe.lora.rank)
    adapter = init_adapter(config, recipe.lora.rank, recipe.lora.targets, seed=1)
    return TunixGrpo(policy, adapter, recipe, by_place)


def by_place(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    """Rewards that give every group a signal, whatever was said."""
    return [
        Score(reward=(i % 4) / 3, status=Status.GRADED, components={}, explanation="") for i in range(len(completions))
    ]


def moved(stage: TunixGrpo, size: float = 0.05) -> Any:
    """The reference's adapter with noise on B: another policy."""
    rng = np.random.default_rng(2)
    return {
        target: {"a": jnp.copy(pair["a"]), "b": jnp.asarray(rng.normal(0.0, size, pair["b"].shape), jnp.float32)}
        for target, pair in stage.reference.items()
    }


def logprobs(stage: TunixGrpo, batch: Any) -> np.ndarray:
    """Of the batch's tokens, under Tunix's model as it is, at the rollout's temperature."""
    graph, state = nnx.split(stage.cluster.actor_trainer.model)
    rollout = stage.cluster.rollout
    found = common.compute_per_token_logps(
        graph,
        state,
        prompt_tokens=batch.prompt_ids,
        completion_tokens=batch.completion_ids,
        pad_id=rollout.pad_id(),
        eos_id=rollout.eos_id(),
        temperature=TEMPERATURE,
    )
    return np.asarray(found)


# --- the checks: each returns what was measured and whether it is right ---------------------------------------------


def noise(faithful: bool) -> tuple[str, bool]:
    """Two rollouts of one policy must not be the same."""
    stage = open_stage(tiny_config(), faithful=faithful)
    first, second = (np.asarray(stage.batch(TASKS, step).completion_ids) for step in (0, 1))
    same = float((first == second).all(axis=1).mean())
    return f"{same:.0%} of the completions are those of the step before", same == 0


def end_of_turn(faithful: bool) -> tuple[str, bool]:
    """A completion that ended must have its end-of-turn token among the tokens of the loss."""
    stage = open_stage(tiny_config(), faithful=faithful)
    stops, ended, trained = stage.policy.contract.stop_ids, 0, 0
    for step in range(4):
        if faithful:  # another policy each time: its noise is always the same
            stage.put(moved(stage, 0.1 * (step + 1)), stage.optimizer.init(stage.reference))
        batch = stage.batch(TASKS, step)
        mask = np.asarray(batch.completion_mask).astype(bool)
        trained += int((np.isin(np.asarray(batch.completion_ids), stops) & mask).sum())
        ended += sum(c.finish.value == "stop" for group in stage._groups for c in group)
    return f"{trained} of {ended} ends of turn are in the loss", trained == ended > 0


def ratio(faithful: bool) -> tuple[str, bool]:
    """At the first update after a rollout the importance ratio is 1, at any temperature."""
    stage = open_stage(tiny_config(), faithful=faithful)
    batch = stage.batch(TASKS, 0)
    off = np.abs(np.exp(logprobs(stage, batch) - np.asarray(batch.old_per_token_logps)) - 1)
    largest = float(off[np.asarray(batch.completion_mask).astype(bool)].max())
    return f"up to {largest:.2g} from 1 at temperature {TEMPERATURE}", largest < 1e-3


def dtype(faithful: bool) -> tuple[str, bool]:
    """Adapter and Adam's moments are float32 on a bfloat16 base."""
    stage = open_stage(tiny_config(), faithful=faithful, dtype="bfloat16")
    trainer = stage.cluster.actor_trainer
    parts = {
        "adapter": nnx.state(trainer.model, nnx.LoRAParam),
        "moments": next(part for part in trainer.optimizer.opt_state.inner if hasattr(part, "mu")).mu,
    }
    found = {name: {str(leaf.dtype) for leaf in jax.tree.leaves(tree)} for name, tree in parts.items()}
    said = ", ".join(f"{name} {'/'.join(sorted(kinds))}" for name, kinds in found.items())
    return said, all(kinds == {"float32"} for kinds in found.values())


def kl(faithful: bool) -> tuple[str, bool]:
    """The KL's part of the loss is not negative, also where the policy has left the reference."""
    stage = open_stage(tiny_config(), faithful=faithful)
    batch = stage.batch(TASKS, 0)
    stage.put(moved(stage), stage.optimizer.init(stage.reference))
    batch = replace(batch, advantages=jnp.zeros_like(batch.advantages))  # the rest of the loss is 0 then
    own, rollout = stage.learner.algo_config, stage.cluster.rollout
    loss = function_registry.get_policy_loss_fn(own.policy_loss_fn)
    value, _ = loss(
        stage.cluster.actor_trainer.model, batch, algo_config=own, pad_id=rollout.pad_id(), eos_id=rollout.eos_id()
    )
    return f"{float(value) / own.beta:+.3g} nats a token", float(value) > 0


def last_save(faithful: bool) -> tuple[str, bool]:
    """A run that has ended is gone on with from the step it had reached."""
    stage, steps = open_stage(tiny_config(), faithful=faithful), 3
    with TemporaryDirectory() as place:
        if faithful:
            trainer = _trainer_that_saves(stage, place, steps)
            trainer._train_steps = steps
            trainer.close()
            found = _trainer_that_saves(stage, place, steps).restored_global_step()
        else:
            save(Path(place), "grpo", steps, stage.reference, stage.optimizer.init(stage.reference))
            saved = newest(Path(place))
            found = saved.step if saved else 0
    return f"goes on from step {found} of {steps}", found == steps


def _trainer_that_saves(stage: TunixGrpo, place: str, steps: int) -> Any:
    """Tunix's trainer with checkpoints of its own, as `RLCluster` makes it."""
    return Trainer(
        model=stage.cluster.actor_trainer.model,
        optimizer=stage.optimizer,
        training_config=TrainingConfig(eval_every_n_steps=1, checkpoint_root_directory=place),
        custom_checkpoint_metadata_fn=lambda: {"global_step": steps},
    )


def rotary_base(faithful: bool) -> tuple[str, bool]:
    """A Llama's log-probabilities are those of our own forward pass, which is held to Hugging Face's."""
    return _agreement(llama_config(), faithful)


def gemma(faithful: bool) -> tuple[str, bool]:
    """The same for Gemma 3, past the sliding window; Tunix has no fault here."""
    return _agreement(tiny_config(), faithful)


def _agreement(config: ModelConfig, faithful: bool) -> tuple[str, bool]:
    stage = open_stage(config, faithful=faithful)
    stage.put(adapter := moved(stage), stage.optimizer.init(stage.reference))
    batch = stage.batch(TASKS, 0)
    mask = np.asarray(batch.completion_mask).astype(bool)
    members = [
        [[int(i) for i in batch.completion_ids[row][mask[row]]] for row in range(4 * place, 4 * place + 4)]
        for place in range(len(TASKS))
    ]
    prompts = [stage.policy.contract.encode(task.question) for task in TASKS]
    packed = pack(prompts, members, completion_bucket=32)
    ours = reference_logprobs(
        stage.policy.model.params,
        adapter,
        packed,
        config=config,
        scale=stage.policy.scale,
        temperature=TEMPERATURE,
    )
    theirs = logprobs(stage, batch)[mask]
    apart = float(np.abs(np.asarray(ours)[packed.target_valid] - theirs).max())
    return f"up to {apart:.2g} nats apart", apart < 1e-3


@dataclass(frozen=True)
class Row:
    """What a check found in Tunix as it is, and mended."""

    name: str
    faithful: tuple[str, bool]
    mended: tuple[str, bool]


CHECKS: dict[str, Callable[[bool], tuple[str, bool]]] = {
    "sampling noise": noise,
    "end of turn": end_of_turn,
    "importance ratio": ratio,
    "float32 state": dtype,
    "KL": kl,
    "rotary base (Llama)": rotary_base,
    "the last save": last_save,
    "log-probabilities (Gemma)": gemma,
}


def measure(name: str) -> Row:
    """One check in both modes."""
    return Row(name, CHECKS[name](True), CHECKS[name](False))


def main() -> None:
    print(f"{'':26}{'Tunix 0.1.7 as it is (--engine-faithful)':60}--engine tunix")
    for name in CHECKS:
        row = measure(name)
        cells = [f"{'ok  ' if good else 'FAIL'} {said}" for said, good in (row.faithful, row.mended)]
        print(f"{name:26}{cells[0]:60}{cells[1]}", flush=True)


if __name__ == "__main__":
    main()
