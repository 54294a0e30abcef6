"""A server that forks trainers, which tests kill. All imports are done before the forks.

Run as `python killable.py`; each line of stdin is a JSON object {"out", "resume"}. It prints the process id of the
trainer, and then its exit code (negative for a signal). The model is a tiny random one with rewards by a hash of the
tokens, so that every group has signal. No report is built: it is derived from the files that tests compare.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from pathlib import Path

import datasketch  # noqa: F401  imported here once, because trainers import them late and slowly
import pyarrow.parquet  # noqa: F401
import tensorboardX.event_file_writer  # noqa: F401
import tokenizers  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a program: for tests/support

from support.scorers import open_hash_scorer
from support.short_sources import short_sources
from thinkaloud.config import parse_recipe_text
from thinkaloud.pipeline import opening
from thinkaloud.pipeline import train as pipeline
from thinkaloud.tracking.display import Display

OVERRIDES = (
    "data.domains=['math', 'science']",
    "data.validation_share=0.25",
    "data.test_share=0.25",
    "cold_start.max_steps=3",
    "cold_start.batch_size=2",
    "cold_start.probe_from=2",
    "cold_start.probe_tasks=2",
    "cold_start.stop_at_format_rate=1.0",
    "rollout.max_new_tokens=64",
    "grpo.max_steps=6",
    "grpo.beta=0.0",
    "checkpoint.every_steps=2",
    "checkpoint.validate_every=3",
    "checkpoint.validate_tasks=1",
    "evaluate.tasks_per_domain=1",
    "evaluate.stages=['base', 'trained']",
    "evaluate.readings=[]",
)
TEXT = (Path(__file__).parents[2] / "recipes" / "tiny.toml").read_text(encoding="utf-8")


def train(out: Path, resume: bool) -> None:
    """Run a trainer to its end."""
    opening.open_scorer = open_hash_scorer  # type: ignore[assignment]
    pipeline.build_report = lambda path: None  # type: ignore[assignment, return-value]
    sources = [f"data.sources.{name}={source}" for name, source in short_sources(out).items()]
    recipe = parse_recipe_text(TEXT, [*OVERRIDES, *sources])
    options = opening.TrainOptions(recipe=recipe, recipe_text=TEXT, out=out, resume=resume)
    pipeline.train(options, Display(io.StringIO()))


def serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                train(Path(order["out"]), order["resume"])
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    serve()
