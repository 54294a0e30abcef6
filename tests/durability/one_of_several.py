"""A program: `thinkaloud train` of a tiny random model with rewards by a hash, as one process of several.

Usage: one_of_several.py FAULT ARGUMENTS...; FAULT is `none`, or a signal (`kill`, `term`) with the 0-based GRPO step at
which the process sends it to itself, such as `kill:3`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a program: for tests/support

from support.scorers import score_by_hash
from thinkaloud import cli


def inject(fault: str) -> None:
    from thinkaloud.session import scorer
    from thinkaloud.train.grpo_step import GrpoTrainer
    from thinkaloud.train.trainer import TrainState

    scorer.score_groups = lambda groups, **_: score_by_hash(groups)
    name, _, at = fault.partition(":")
    real = GrpoTrainer.step

    def step(self: GrpoTrainer, state: TrainState, tasks: Any, *rest: Any) -> Any:
        if name != "none" and state.step == int(at):
            os.kill(os.getpid(), signal.SIGKILL if name == "kill" else signal.SIGTERM)
        return real(self, state, tasks, *rest)

    GrpoTrainer.step = step  # type: ignore[method-assign]


def main(fault: str, *arguments: str) -> None:
    from thinkaloud.cli import processes

    connected = processes.in_processes

    @contextmanager
    def connected_and_injected(*given: Any) -> Iterator[None]:
        with connected(*given):
            inject(fault)
            yield

    processes.in_processes = connected_and_injected
    if "--coordinator" not in arguments:
        from thinkaloud.pipeline import train as pipeline

        pipeline.build_report = lambda path: path  # the reference run needs no report
    sys.argv = ["thinkaloud", "train", str(Path(__file__).parents[2] / "recipes" / "tiny.toml"), *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
