"""Runs one block of steps of one engine in a subprocess, and checks what it reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "workers"
LIMIT_SECONDS = 7200.0
"""A block that takes longer is killed."""

_START = (
    "import runpy, sys; sys.path.append({place!r}); runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


class BlockFailed(Exception):
    """A worker ended before its block was done; the message contains the last line of its log."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one process reported: `ready`, every step, `end`."""

    ready: dict[str, Any]
    steps: list[dict[str, Any]]
    peak_memory_bytes: int


def run_worker(
    module: str, python: str, job: Path, *, compile_cache: Path, on_step: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """Run a worker and read its events.

    Args:
        module: A module of the package `workers`.
        python: The interpreter of the engine's environment.
        job: The file that the worker reads.
        compile_cache: Where JAX engines keep compiled programs between blocks.
        on_step: Called with the number of steps done.

    Raises:
        BlockFailed: It did not finish.
    """
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(compile_cache),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if python != sys.executable:  # another environment: PYTHONPATH is meant for this one
        environment.pop("PYTHONPATH", None)
    log = job.with_suffix(".log")
    code = _START.format(place=str(WORKERS.parent), module=f"workers.{module}")
    command = [python, "-W", "ignore", "-c", code, str(job)]
    events: list[dict[str, Any]] = []
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                events.append(json.loads(line))
                if on_step and events[-1]["event"] == "step":
                    on_step(sum(event["event"] == "step" for event in events))
            code_of_exit = process.wait(LIMIT_SECONDS)
        finally:
            process.kill()
    if code_of_exit or not events or events[-1]["event"] != "end":
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise BlockFailed(f"exit code {code_of_exit}: {lines[-1][:300] if lines else 'no output'}")
    return events


def run_block(
    module: str, python: str, job: Path, *, compile_cache: Path, on_step: Callable[[int], None] | None = None
) -> Block:
    """Run a block of GRPO steps; see `run_worker`.

    Raises:
        BlockFailed: It did not finish, or did not do the work that it was given.
    """
    events = run_worker(module, python, job, compile_cache=compile_cache, on_step=on_step)
    work = json.loads(job.read_text(encoding="utf-8"))
    steps = [event for event in events if event["event"] == "step"]
    wanted = [work["new_tokens"]] * (len(work["batches"][0]["prompts"]) * work["group_size"])
    for step in steps:
        if step["lengths"] != wanted:
            raise BlockFailed(f"expected {len(wanted)} completions of {wanted[0]} tokens, found {step['lengths']}")
    if len(steps) != work["steps"]:
        raise BlockFailed(f"expected {work['steps']} steps, found {len(steps)}")
    return Block(events[0], steps, events[-1]["peak_memory_bytes"])
