"""Benchmarks the engine on an accelerator in the shape of Gemma 3 1B: speed, share of the roofline, memory, best batch.

    python scripts/bench_gpu.py --out gpu.json --peer trl

The weights are random, because speed does not depend on them, and are written once below --folder (4 GB); the tokenizer
is that of a real model with the same vocabulary. Each batch size is one `thinkaloud bench` of prompts x 8 completions
of 512 tokens in bfloat16, in rising order; the sweep ends at the first batch that does not fit. A peer runs once, on
the best batch. The results are written after every batch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinkaloud.bench.measure import parse_peer, run_bench
from thinkaloud.bench.process import BlockFailed
from thinkaloud.config import load_recipe
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.random_weights import random_params
from thinkaloud.model.save_hf import save_hf
from thinkaloud.model.weights import load_config
from thinkaloud.prompt.tokenizer import load_tokenizer

RECIPE = Path(__file__).parents[1] / "recipes" / "bench.toml"


def gemma3_1b(like: ModelConfig) -> ModelConfig:
    """The shape of Gemma 3 1B (config.json of gemma-3-1b-it), from the configuration of a smaller Gemma 3."""
    return replace(
        like,
        hidden_size=1152,
        intermediate_size=6912,
        num_layers=26,
        num_heads=4,
        num_kv_heads=1,
        head_dim=256,
        query_scale=256**-0.5,
        embedding_scale=1152**0.5,
        sliding_window=512,
        sliding_layers=tuple((layer + 1) % 6 != 0 for layer in range(26)),
    )


SHAPES: dict[str, Callable[[ModelConfig], ModelConfig]] = {"gemma3-1b": gemma3_1b, "same": lambda like: like}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the file of the results (JSON)")
    parser.add_argument("--folder", type=Path, default=Path("bench-gpu"), help="the folder for the weights")
    parser.add_argument("--tokenizer", default="gemma3-270m", help="the model whose tokenizer is used")
    parser.add_argument("--shape", choices=SHAPES, default="gemma3-1b", help="`same`: that of the tokenizer's model")
    parser.add_argument("--prompts", default="2,4,8,16,32", help="prompts per step to try, in rising order")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=512)
    parser.add_argument("--prompt-tokens", type=int, default=512, help="use the pool's prompts nearest to this length")
    parser.add_argument("--batches", type=int, default=3, help="steps with prompts of their own")
    parser.add_argument("--repeats", type=int, default=1, help="timed steps on each batch")
    parser.add_argument("--peer", action="append", default=[], help="as in `thinkaloud bench`, in bfloat16")
    parser.add_argument("--peers-python", type=Path, default=None)
    given = parser.parse_args()
    peers = [f"{parse_peer(peer).engine}=bfloat16" for peer in given.peer]

    weights = given.folder / given.shape
    if not weights.exists():
        files = resolve_model(given.tokenizer)
        config = SHAPES[given.shape](load_config(files))
        save_hf(config, random_params(config, 0), load_tokenizer(files).files(), weights)

    found: dict[str, Any] = {"shape": given.shape, "batches": []}

    def measure(prompts: int, peers: list[str]) -> dict[str, Any]:
        recipe = load_recipe(
            RECIPE,
            [
                f"model.source={weights}",
                "model.dtype=bfloat16",
                f"rollout.prompts_per_step={prompts}",
                f"rollout.group_size={given.group}",
                f"rollout.max_prompt_tokens={max(given.prompt_tokens, 512)}",
                f"rollout.max_new_tokens={given.new_tokens}",
            ],
        )
        return run_bench(
            recipe,
            peers,
            rounds=1,
            batches=given.batches,
            repeats=given.repeats,
            prompt_tokens=given.prompt_tokens,
            peers_python=given.peers_python,
            note=print,
        )

    for prompts in map(int, given.prompts.split(",")):
        try:
            result = measure(prompts, [])
        except BlockFailed as error:
            found["batches"].append({"prompts": prompts, "failed": str(error)})
            print(f"{prompts} prompts: {error}")
            break
        found["batches"].append({"prompts": prompts, "result": result})
        given.out.write_text(json.dumps(found, indent=1))
        own, share = result["results"][0], result["roofline"]["share"]
        print(
            f"{prompts} x {given.group}: step {own['step_seconds']['typical']:.2f} s, rollout "
            f"{own['rollout_tokens_per_second']:.0f} and update {own['update_tokens_per_second']:.0f} tokens/s, shares "
            f"{share['rollout']:.0%} and {share['update']:.0%}, peak {own['peak_memory_bytes'] / 1e9:.1f} GB"
        )
    done = [batch for batch in found["batches"] if "result" in batch]
    if done:
        rate = {batch["prompts"]: batch["prompts"] / _step(batch["result"]) for batch in done}
        found["best"] = max(rate, key=lambda prompts: rate[prompts])
        print(f"best batch: {found['best']} prompts")
        if peers:
            found["beside_peers"] = measure(found["best"], peers)
            print(json.dumps(found["beside_peers"]["ratios"]), json.dumps(found["beside_peers"]["skipped"]))
    given.out.write_text(json.dumps(found, indent=1))


def _step(result: dict[str, Any]) -> float:
    return float(result["results"][0]["step_seconds"]["typical"])


if __name__ == "__main__":
    main()
