"""The mean reward of human-written answers in the heuristic domains: what a new guard costs honest texts.

    python scripts/creative_pay.py ROWS_DIR [--limit 500]

ROWS_DIR holds the data sets as NAME/SPLIT.jsonl (writingprompts, dolly15k, xsum). Prints a JSON object: for each
domain and source the number of answers, their mean reward, and the share that earns less than 0.6.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from thinkaloud.config import SourceConfig
from thinkaloud.data.read import open_source
from thinkaloud.domains import BUILTIN
from thinkaloud.records import Completion, Task
from thinkaloud.rewards import score_batch

REASONING = (
    "First I note what is asked for and who will read it. Then I choose the points that matter, put them into an order "
    "that is easy to follow, and check that nothing is missing or said twice."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--limit", type=int, default=500, help="answers per domain and source")
    options = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    for name in ("writingprompts", "dolly15k", "xsum"):
        tasks: dict[str, list[Task]] = defaultdict(list)
        for task in open_source(name, SourceConfig(), options.rows).rows():
            if isinstance(task, Task) and not BUILTIN.is_verifiable(task.domain):
                tasks[task.domain].append(task)
        for domain, own in tasks.items():
            chosen = own[: options.limit]
            texts = [f"<reasoning>{REASONING}</reasoning><answer>{task.answer}</answer>" for task in chosen]
            scores = score_batch(chosen, [Completion(text=text) for text in texts])
            found[f"{domain}/{name}"] = [score.reward for score in scores]
    summary = {
        name: {
            "answers": len(rewards),
            "mean_reward": round(fmean(rewards), 4),
            "below_0.6": round(sum(reward < 0.6 for reward in rewards) / len(rewards), 4),
        }
        for name, rewards in found.items()
    }
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
