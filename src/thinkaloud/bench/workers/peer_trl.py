"""TRL's `GRPOTrainer` with transformers' own generation, on one device.

The settings are the fastest: all completions in one micro-batch, no gradient checkpointing, no pass for old
log-probabilities. A least number of new tokens forbids an end-of-turn token, so every completion has full length.
The job's options: `vllm` samples with vLLM in this process, `liger` takes Liger's kernels, `compile` torch.compile.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from . import block

PROJECTIONS = {name: f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")}


def main() -> None:
    job = block.read_job()
    tokenizer = AutoTokenizer.from_pretrained(job["weights"])
    model = AutoModelForCausalLM.from_pretrained(job["weights"], dtype=getattr(torch, job["dtype"]))
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(job, model, tokenizer, folder)
        block.report_ready(version=trl.__version__, dtype=job["dtype"])
        trainer.train()
    block.report_end(torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None)


def _trainer(job: dict[str, Any], model: Any, tokenizer: Any, folder: str) -> Any:
    batches = job["batches"]
    count = len(batches[0]["prompts"]) * job["group_size"]
    rollout, grpo, lora = job["rollout"], job["grpo"], job["lora"]
    ids = block.prompt_ids(job)
    options = job["options"]
    least = "min_tokens" if "vllm" in options else "min_new_tokens"
    spent: dict[str, Any] = {}

    class Trainer(trl.GRPOTrainer):
        """Uses the given prompt ids, and measures the time of rollouts."""

        def _tokenize_prompts(self, prompts: list[str]) -> Any:
            return [ids[prompt] for prompt in prompts], None, {}

        def _generate(self, prompts: list[str]) -> Any:
            began = time.perf_counter()
            found = super()._generate(prompts)
            spent["rollout"] = time.perf_counter() - began
            spent["lengths"] = [len(completion) for completion in found[1]]
            return found

    class Clock(TrainerCallback):
        """Reports each rollout with the optimizer steps made on it."""

        began, updates, first = 0.0, 0, None

        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if self.first is None:
                self.first = _adapter(more["model"])
            if self.updates == 0:
                self.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.updates += 1
            if self.updates < grpo["inner_iterations"]:
                return
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds = time.perf_counter() - self.began
            self.updates = 0
            block.report_step(
                seconds=seconds,
                rollout=spent["rollout"],
                update=seconds - spent["rollout"],
                lengths=spent["lengths"],
                adapter_change=float((_adapter(more["model"]) - self.first).norm()),
            )

    settings = trl.GRPOConfig(
        output_dir=folder,
        max_steps=job["steps"] * grpo["inner_iterations"],
        per_device_train_batch_size=count,
        steps_per_generation=1,
        num_generations=job["group_size"],
        num_iterations=grpo["inner_iterations"],
        max_completion_length=job["new_tokens"],
        generation_kwargs={least: job["new_tokens"]},
        use_vllm="vllm" in options,
        vllm_mode="colocate",
        use_liger_kernel="liger" in options,
        torch_compile="compile" in options,
        temperature=rollout["temperature"],
        top_p=rollout["top_p"],
        top_k=rollout["top_k"],
        beta=grpo["beta"],
        epsilon=grpo["epsilon"],
        loss_type="grpo",
        scale_rewards="group" if grpo["scale_by_std"] else "none",
        learning_rate=grpo["learning_rate"],
        lr_scheduler_type="constant",
        adam_beta1=grpo["adam_b1"],
        adam_beta2=grpo["adam_b2"],
        weight_decay=grpo["weight_decay"],
        max_grad_norm=grpo["max_grad_norm"],
        bf16=job["dtype"] == "bfloat16",
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        shuffle_dataset=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=job["seed"],
    )
    adapter = LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        target_modules=[PROJECTIONS[target] for target in lora["targets"]],
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    return Trainer(
        model=model,
        processing_class=tokenizer,
        args=settings,
        reward_funcs=lambda prompts, completions, **columns: block.rewards(len(completions), job["group_size"]),
        train_dataset=Dataset.from_dict(
            {"prompt": [text for batch in block.of_each_step(job, batches) for text in batch["texts"]]}
        ),
        peft_config=adapter,
        callbacks=[Clock()],
    )


def _adapter(model: Any) -> Any:
    """All LoRA weights in one float32 vector."""
    trained = [weight.detach().float().flatten() for weight in model.parameters() if weight.requires_grad]
    return torch.cat(trained).clone()


if __name__ == "__main__":
    main()
