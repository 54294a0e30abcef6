"""GRPO with TRL's `GRPOTrainer`: thinkaloud's pool, prompt contract and rewards, TRL's engine.

    pip install . trl torch           # in a clone of the repository; or use the Python of `make peers`
    python examples/trl_grpo.py recipes/starter.toml --model HuggingFaceTB/SmolLM2-135M-Instruct --steps 20

The rewards are `thinkaloud.rewards.reward_fn`. The contract becomes the tokenizer's chat template, so that the ids are
those that thinkaloud trains on (with plain text, Gemma's tokenizer would add a second begin-of-sequence token).
Sampling, group size, clipping and KL are the recipe's.

TRL cannot leave an unscorable completion out of the loss; it gets the mean of its group instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from thinkaloud import api
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.rewards import reward_fn


def trainer_of(recipe_path: Path, model: str, *, steps: int, out: Path, overrides: tuple[str, ...] = ()) -> GRPOTrainer:
    """A trainer that is ready to `train()`.

    Args:
        recipe_path: Tasks, prompt, and the settings of rollout and GRPO.
        model: The recipe's model in Hugging Face's format: a folder or a hub id.
        steps: Optimizer updates.
        out: TRL's output folder.
        overrides: Fields of the recipe to change.
    """
    recipe = api.load_recipe(recipe_path, *overrides)
    _, contract = open_contract(recipe)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = contract.chat_template()
    tokenizer.eos_token = contract.stop[0]
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    policy.generation_config.eos_token_id = list(contract.stop_ids)
    rollout, grpo = recipe.rollout, recipe.grpo
    settings = GRPOConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=rollout.prompts_per_step * rollout.group_size,
        num_generations=rollout.group_size,
        max_completion_length=rollout.max_new_tokens,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        num_iterations=grpo.inner_iterations,
        beta=grpo.beta,
        epsilon=grpo.epsilon,
        learning_rate=grpo.learning_rate,
        max_grad_norm=grpo.max_grad_norm,
        loss_type="grpo",
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        seed=recipe.seed,
    )
    return GRPOTrainer(
        model=policy,
        reward_funcs=reward_fn,
        args=settings,
        train_dataset=api.dataset(recipe, "train"),
        processing_class=tokenizer,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--model", required=True, help="the recipe's model as a folder or hub id")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/trl"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    trainer = trainer_of(given.recipe, given.model, steps=given.steps, out=given.out, overrides=tuple(given.set))
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
