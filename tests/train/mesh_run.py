"""A program: a few GRPO steps and a cold start of a small random model on a mesh; prints the results.

mesh_run.py OUT MESH PROMPTS [COORDINATOR NUM_PROCESSES PROCESS_ID]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any


def main(out: str, mesh: str, prompts: str, *processes: str) -> None:
    import jax

    sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a program: for tests/support
    from support.scorers import grouped
    from thinkaloud.config.load import parse_recipe
    from thinkaloud.config.mesh import parse_mesh
    from thinkaloud.data import Pool
    from thinkaloud.distributed.agreement import is_first, share
    from thinkaloud.distributed.processes import connect, disconnect
    from thinkaloud.model.config import tiny_config
    from thinkaloud.model.load import Model
    from thinkaloud.model.lora import TARGETS, init_adapter
    from thinkaloud.model.random_weights import random_params
    from thinkaloud.model.sharding import fetch, mesh_of, open_mesh, place
    from thinkaloud.prompt.contract import PromptContract
    from thinkaloud.prompt.tokenizer import byte_tokenizer
    from thinkaloud.records import Completion, Score, Status, Task, task_id
    from thinkaloud.rollout.policy import Policy
    from thinkaloud.rollout.sampling import GREEDY
    from thinkaloud.train.cold_start import cold_start
    from thinkaloud.train.grpo_step import GrpoTrainer

    if processes:
        connect(processes[0], int(processes[1]), int(processes[2]), {}, heartbeat_seconds=30)
    sizes = parse_mesh(mesh) if mesh != "auto" else {}
    config = replace(tiny_config(), num_layers=2, sliding_layers=(True, False), num_kv_heads=2)
    params = place(random_params(config, 0), open_mesh(sizes, config), config)
    contract = PromptContract.build(byte_tokenizer(), template="gemma", system="S")
    policy = Policy(Model(config, params), contract, 2.0)
    count = int(prompts)
    tasks = [
        Task(id=task_id("math", q), domain="math", source="test", question=q, answer="7", rationale="It is seven.")
        for q in ("ab", "a longer question", "c", "dd", "e f g", "h", "iii", "What is 2 + 5?")[:count]
    ]
    recipe = parse_recipe(
        {
            "name": "mesh",
            "model": {"source": "tiny", "dtype": "float32"},
            "lora": {"rank": 2, "alpha": 4.0},
            "cold_start": {"max_steps": 2, "batch_size": count, "probe_from": 2, "probe_tasks": count},
            "rollout": {
                "prompts_per_step": count,
                "group_size": 2,
                "max_new_tokens": 6,
                "temperature": 0.8,
                "top_p": 0.95,
                "top_k": 20,
            },
            "grpo": {"inner_iterations": 2, "beta": 0.1, "learning_rate": 0.003, "minibatches": 2},
        }
    )

    @grouped
    def score(some: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
        def own(rows: range) -> list[Score]:
            return [
                Score(reward=(sum(completions[i].token_ids) % 97) / 97, status=Status.WRONG, explanation=some[i].id)
                for i in rows
            ]

        return share(len(completions), own, Score)

    adapter: Any = place(init_adapter(config, 2, TARGETS, 3), mesh_of(params), config)
    found: dict[str, Any] = {"losses": [], "tokens": [], "devices": len(params["layers"]["q"].devices())}
    for cold in cold_start(policy, adapter, recipe, Pool.of(tasks, ["math"])):
        adapter = cold.adapter
        found["losses"].append(cold.metrics["loss"])
    trainer = GrpoTrainer(policy, jax.tree.map(lambda x: x + 0, adapter), recipe, score)
    state = trainer.start(adapter)
    for _ in range(2):
        result = trainer.step(state, tasks)
        state = result.state
        found["losses"] += [result.metrics[name] for name in ("loss", "kl", "grad_norm", "ratio_mean", "entropy")]
        found["tokens"] += [list(c.token_ids) for group in result.groups for c in group.completions]
    greedy = policy.sample(state.adapter, tasks, group_size=1, max_new_tokens=6, sampling=GREEDY, seed=0)
    found["greedy"] = [list(group.completions[0].token_ids) for group in greedy]
    leaves = [leaf.ravel().tolist() for leaf in jax.tree.leaves(fetch(state.adapter))]
    found["adapter"] = [number for leaf in leaves for number in leaf]
    if is_first():
        Path(out).write_text(json.dumps(found))
    disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:])
