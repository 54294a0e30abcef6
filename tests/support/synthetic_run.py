"""A made-up run directory with plausible numbers from a seeded generator, for tests of the report.

By hand: `PYTHONPATH=tests python tests/support/synthetic_run.py FOLDER` writes one.
"""

from __future__ import annotations

import json
import math
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.domains import DOMAINS, VERIFIABLE
from thinkaloud.domains import BUILTIN
from thinkaloud.evaluate.mismatches import description
from thinkaloud.evaluate.paired import compare
from thinkaloud.evaluate.rows import Row, write_rows
from thinkaloud.evaluate.summary import build_summary, summarize, write_summary
from thinkaloud.prompt.contract import contract_fingerprint
from thinkaloud.report.build import build_report

RECIPE = """# A made-up run.
name = "made-up"
model = "smollm2-135m"

[rollout]
prompts_per_step = 4
group_size = 8
"""

HOSTILE = (
    "<script>alert('owned')</script></textarea></pre></details><img src=x onerror=alert(1)>",
    "````\n# Not a heading\n```python\nimport os\n```\n<!-- comment -->",
    "zero\u200bwidth, right-to-left \u202eevil, null \x00, bell \x07, escape \x1b[31m, {{ 7 * 7 }} {% raw %}",
)


def make_run(folder: Path, *, steps: int = 30, tasks: int = 10, seed: int = 0) -> Path:
    """Write a whole run directory, report excluded, and return it."""
    draw, other = random.Random(seed), random.Random(seed + 1)
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    resolved = {
        "name": "made-up",
        "seed": 0,
        "model": {"source": "smollm2-135m", "dtype": "auto"},
        "data": {"sources": {"starter": {}}, "domains": list(DOMAINS), "generated": {"math": 100}},
        "mixture": {"exponent": 0.5},
        "lora": {"rank": 16, "alpha": 32.0},
        "cold_start": {"max_steps": 40, "batch_size": 8, "learning_rate": 1e-3, "stop_at_format_rate": 0.7},
        "rollout": {"prompts_per_step": 4, "group_size": 8, "temperature": 0.9, "max_new_tokens": 192},
        "grpo": {"max_steps": steps, "beta": 0.02, "epsilon": 0.2, "learning_rate": 3e-4, "inner_iterations": 2},
        "evaluate": {"split": "test", "tasks_per_domain": tasks},
    }
    (folder / "resolved.json").write_text(json.dumps(resolved))
    (folder / "contract.json").write_text(json.dumps(contract()))
    metrics = [cold_start_row(step, draw) for step in range(1, 25)] + [
        grpo_row(step, steps, draw) for step in range(1, steps + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
    stages = {
        "base": [made_row(domain, k, 0.02, draw) for domain in DOMAINS for k in range(tasks)],
        "base_plain": [made_row(domain, k, 0.0, other) for domain in VERIFIABLE for k in range(tasks)],
        "base_example": [made_row(domain, k, 0.5, other) for domain in VERIFIABLE for k in range(tasks)],
        "cold_start": [made_row(domain, k, 0.72, draw) for domain in DOMAINS for k in range(tasks)],
        "trained": [made_row(domain, k, 0.95, draw) for domain in DOMAINS for k in range(tasks)],
    }
    for name, rows in stages.items():
        write_rows(folder / "eval" / f"{name}.parquet", rows)
    write_summary(
        folder / "eval" / "summary.json",
        {**build_summary("test", stages, BUILTIN), "judge": {"model": f"made-up {HOSTILE[0]}"}},
    )
    counts = {name: {"train": 44, "validation": 10, "test": 10} for name in DOMAINS}
    (folder / "pool").mkdir()
    (folder / "pool" / "pool.json").write_text(json.dumps({"counts": counts, "dropped": {}}))
    write_contracts(folder / "eval" / "contracts", stages["trained"], draw)
    events = [
        {
            **{"state": "raised", "check": "entropy", "stage": "grpo", "step": 7},
            **{"message": f"entropy fell {HOSTILE[0]}", "remedy": "wait"},
        },
        {"severity": "error", "message": "no step given", "time": 3},
    ]
    (folder / "health.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    environment = {
        "machine": "x86_64 Linux",
        "cpu": "Example CPU @ 2.50GHz",
        "cores": 2,
        "memory_gb": 24.0,
        "python": "3.11.7",
        "jax": "0.10.2",
        "devices": ["cpu:0"],
        "thinkaloud": "0.1.0",
        "sandbox_level": "standard",
        "seconds": {"setup": 14.2, "cold_start": 121.0, "grpo": 371.5, "evaluation": 96.3, "report": 6.0},
        "peak_memory_gb": 4.31,
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder


def write_contracts(folder: Path, rows: list[Row], draw: random.Random) -> None:
    """The contract experiment of the made-up run: other prompts break some completions."""
    shares = {"matched": 0.0, "doubled_space": 0.1, "no_frame": 0.8}
    folder.mkdir()
    entries = []
    for name, share in shares.items():
        found = [
            replace(row, status="bad_format", reason="missing_answer", reward=0.0) if draw.random() < share else row
            for row in rows
        ]
        entry = {"name": name, "description": description(name), **summarize(found, BUILTIN)["overall"]}
        if name != "matched":
            tokens = [{"id": 7, "piece": "·"}]
            entry["first_difference"] = {"position": 15, "expected": tokens, "found": [], "num_expected": 40}
            entry["against_matched"] = compare(rows, found)
        entries.append(entry)
    experiment = {"split": "test", "stage": "trained", "n": len(rows), "variants": entries}
    (folder / "summary.json").write_text(json.dumps(experiment))


def contract() -> dict[str, Any]:
    """The shape of contract.json."""
    prompt = (
        "<|im_start|>user\nProvide your reasoning in <reasoning> tags, then your final answer in <answer> tags.\n\n"
        "Format:\n<reasoning>your step-by-step thinking</reasoning>\n<answer>your final answer</answer>\n\n"
        "Task: What is 17 + 25?<|im_end|>\n<|im_start|>assistant\n"
    )
    fields = {
        "name": "smollm2/default",
        "outside_text": "reject",
        "tags": {"reasoning": "reasoning", "answer": "answer"},
    }
    probes = [{"question": "What is 17 + 25?", "prompt": prompt, "ids": list(range(71))}]
    return {"version": 1, "fingerprint": contract_fingerprint(fields, probes), "contract": fields, "probes": probes}


def cold_start_row(step: int, draw: random.Random) -> dict[str, Any]:
    return {
        "stage": "cold_start",
        "step": step,
        "loss": 1.1 + 1.3 * math.exp(-step / 6) + draw.gauss(0, 0.06),
        "learning_rate": 1e-3 * min(1.0, step / 3),
        "grad_norm": 1.5 + draw.random(),
        "tokens": draw.randint(1500, 2300),
        "seconds": {"update": 4.6, "total": 5.0},
        "format_rate": min(0.75, 0.03 * step) if step % 4 == 0 else None,
    }


def grpo_row(step: int, steps: int, draw: random.Random) -> dict[str, Any]:
    done = step / steps
    domains = {}
    for position, name in enumerate(DOMAINS):
        if draw.random() < 0.3:
            continue
        graded = BUILTIN[name].kind == "heuristic"
        rate = min(1.0, max(0.0, 0.6 + 0.35 * done + draw.gauss(0, 0.1)))
        accuracy = None if graded else max(0.0, 0.05 * position + 0.3 * done + draw.gauss(0, 0.05))
        domains[name] = {
            "n": 8,
            "reward": rate * (0.2 + 0.8 * (0.6 if graded else accuracy or 0.0)),
            "format_rate": rate,
            "accuracy": accuracy,
            "truncated": 0.1 * (1 - done),
            "zero_std_fraction": draw.choice([0.0, 0.0, 1.0]),
        }
    rewards = [entry["reward"] for entry in domains.values()] or [0.3]
    return {
        "stage": "grpo",
        "step": step,
        "loss": 0.002 * draw.gauss(0, 1) + 0.004 * done,
        "kl": 0.05 * done + abs(draw.gauss(0, 0.004)),
        "ratio_mean": 1.0,
        "ratio_max": 1.3,
        "clip_fraction": 0.01,
        "entropy": 1.2 - 0.5 * done + draw.gauss(0, 0.04),
        "grad_norm": 0.4 + draw.random() * 0.3,
        "learning_rate": 3e-4 * min(1.0, step / 3) * (0.5 + 0.5 * math.cos(math.pi * done)),
        "reward": sum(rewards) / len(rewards),
        "reward_std": 0.2,
        "format_rate": min(1.0, 0.62 + 0.33 * done + draw.gauss(0, 0.05)),
        "accuracy": max(0.0, 0.1 + 0.2 * done + draw.gauss(0, 0.04)) if step % 7 else None,
        "truncated_rate": max(0.0, 0.12 * (1 - done)),
        "zero_std_fraction": draw.choice([0.0, 0.25, 0.5]),
        "tokens": {"prompt": 2400, "completion": draw.randint(2800, 3600)},
        "seconds": {"rollout": 8.1, "score": 0.2, "update": 3.9, "total": 12.4},
        "domains": domains,
    }


def made_row(domain: str, k: int, format_rate: float, draw: random.Random) -> Row:
    """One completion; the first three of each domain are hostile."""
    hostile = HOSTILE[(k + DOMAINS.index(domain)) % len(HOSTILE)] if k < len(HOSTILE) else ""
    question = f"Question {k} of {domain}: how many are {k} and {k + 2}? {hostile}"
    keeps = draw.random() < format_rate
    body = f"First {k}, then {k + 2}, which makes {2 * k + 2} in all. {hostile}"
    text = (
        f"<reasoning>{body}</reasoning>\n<answer>{2 * k + 2}</answer>"
        if keeps
        else f"The answer is {2 * k + 2}. {hostile}"
    )
    status, reward, reason, components = "bad_format", 0.0, "missing_reasoning", {"format": 0.0}
    finish = "stop"
    marks: dict[str, Any] = {}
    if keeps and BUILTIN[domain].kind == "heuristic":
        status, reward, reason = "graded", 0.2 + 0.8 * draw.uniform(0.4, 0.9), None
        components = {"format": 0.2, "length": 0.2, "diversity": 0.2, "relevance": reward - 0.6}
        mark = 1 + (k + DOMAINS.index(domain)) % 9
        marks = {"judge": "judged", "judge_reasoning": mark, "judge_answer": mark, "judge_overall": mark + 1}
        marks = {"judge": "failed"} if k == 9 else marks
    elif keeps:
        right = draw.random() < 0.35
        status, reward, reason = ("correct", 1.0, None) if right else ("wrong", 0.2, None)
        components = {"format": 0.2, "correctness": reward - 0.2}
    elif draw.random() < 0.3:
        status, reason, finish = "truncated", "truncated", "length"
    return Row(
        task_id=f"{domain}-{k}",
        domain=domain,
        source="starter",
        question=question,
        gold=str(2 * k + 2),
        text=text,
        finish=finish,
        num_tokens=draw.randint(30, 190),
        reward=reward,
        status=status,
        reason=reason,
        components=json.dumps(components),
        explanation=f"compared with {2 * k + 2}",
        **marks,
        **(guess(domain, k, status) if domain in VERIFIABLE else {}),
    )


def guess(domain: str, k: int, status: str) -> dict[str, Any]:
    """The answer that was read, and what guessing would reach."""
    right = status == "correct" or (status != "wrong" and (3 * k + len(domain)) % 10 < 3)
    chance = {"science": 0.25, "logic": 0.5}.get(domain)
    constant = {"science": "ABCD"[k % 4], "logic": "yes" if k % 3 else "no", "math": str(k)}.get(domain, "")
    return {"answer": str(2 * k + 2), "answer_correct": right, "chance": chance, "constant": constant}


if __name__ == "__main__":
    print(build_report(make_run(Path(sys.argv[1]))))
