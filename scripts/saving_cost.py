"""Measures the cost of checkpoints and of records: seconds of the main thread per checkpoint and per GRPO step.

    python scripts/saving_cost.py --millions 4 --rounds 20 --step-seconds 25

The records of a step are its completions (Parquet), its row (metrics.jsonl, the display, TensorBoard) and the health
checks. Prints one JSON object; with `--step-seconds` also the shares of a run's time, with checkpoints at the default
interval.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.checkpoint.saver import Saver
from thinkaloud.config.recipe import CheckpointConfig
from thinkaloud.domains import BUILTIN
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.storage.run_directory import create
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.health import Health
from thinkaloud.tracking.recorder import Recorder
from thinkaloud.tracking.sinks import TensorBoard
from thinkaloud.train.schedule import make_optimizer

DOMAINS = tuple(BUILTIN)
RATES = {"n": 8, "reward": 0.5, "format_rate": 0.9, "accuracy": 0.5, "truncated_rate": 0.1, "zero_std_fraction": 0.2}
NAMES = ("loss", "kl", "ratio", "clip_fraction", "entropy", "grad_norm", "learning_rate")
ROW = {"stage": "grpo", **RATES, **dict.fromkeys(NAMES, 0.1), "domains": dict.fromkeys(DOMAINS, RATES)}


def sampled(prompts: int, size: int, num_tokens: int) -> list[RolloutGroup]:
    """The completions of a step of this size; each text is about as long as its tokens."""
    score = Score(reward=0.2, status=Status.WRONG, components={"format": 0.2}, explanation="expected 7, found 8")
    completions = tuple(
        Completion(
            text=" ".join(f"w{i * j % 997}" for i in range(num_tokens)),
            token_ids=tuple(i * j % 49_000 for i in range(num_tokens)),
            logprobs=tuple(-1 / (i + j) for i in range(num_tokens)),
        )
        for j in range(1, size + 1)
    )
    return [
        RolloutGroup(
            task=Task(
                id=f"{i:016x}", domain=DOMAINS[i % len(DOMAINS)], source="here", question="Why? " * 40, answer="7"
            ),
            prompt_ids=(),
            completions=completions,
            scores=(score,) * size,
        )
        for i in range(prompts)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, default=4.0, help="parameters of the adapter")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=4, help="prompts per step")
    parser.add_argument("--group", type=int, default=6, help="completions per prompt")
    parser.add_argument("--tokens", type=int, default=128, help="tokens per completion")
    parser.add_argument("--step-seconds", type=float, help="seconds per step of a run, for the shares")
    options = parser.parse_args()
    size = int(options.millions * 1e6 / 2)
    rng = np.random.default_rng(0)  # values of 1 would compress
    adapter = {"q": {name: jnp.asarray(rng.standard_normal((1, size, 1), np.float32)) for name in ("a", "b")}}
    state = make_optimizer(b1=0.9, b2=0.99, weight_decay=0.1, max_grad_norm=0.1).init(adapter)
    state = jax.tree.map(lambda leaf: adapter["q"]["a"] + 0 if leaf.shape == (1, size, 1) else leaf, state)
    groups = sampled(options.prompts, options.group, options.tokens)
    with tempfile.TemporaryDirectory() as folder:
        run, health = create(Path(folder) / "run", "", {}), Health()
        recorder = Recorder(run, Display(io.StringIO()), [TensorBoard(run.path)])
        saver = Saver(run.checkpoints, keep=2, before=recorder.flush_to_disk)
        blocked, whole, recorded = [], [], []
        for step in range(1, options.rounds + 1):
            row = {**ROW, "step": step}
            began = time.perf_counter()
            recorder.rollouts(step, groups)
            recorder.step(row)
            for event in health.update(row):
                recorder.event(event, health.raised)
            recorded.append(time.perf_counter() - began)
            began = time.perf_counter()
            saver.save("grpo", step, adapter, state, {})
            blocked.append(time.perf_counter() - began)
            saver.wait()
            whole.append(time.perf_counter() - began)
        assert not saver.failures()
    found = {
        "adapter_megabytes": round(sum(leaf.nbytes for leaf in jax.tree.leaves(adapter)) / 1e6, 1),
        "save_blocks_seconds": round(median(blocked), 4),
        "save_takes_seconds": round(median(whole), 4),
        "telemetry_seconds_a_step": round(median(recorded), 5),
    }
    if options.step_seconds:
        between = CheckpointConfig().every_steps * options.step_seconds
        found["save_blocks_share"] = round(median(blocked) / between, 6)
        found["save_takes_share"] = round(median(whole) / between, 6)
        found["telemetry_share"] = round(median(recorded) / options.step_seconds, 6)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
