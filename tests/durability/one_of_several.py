"""Run as a program: `thinkaloud train` of a tiny random model that is paid by a hash, as one process of several.

one_of_several.py DEED ARGUMENTS...: what befalls it in a GRPO step of its own: `none`, or `kill` or `term` and the
0-based step, as `kill:3`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a program: for tests/support

from support.scorers import score_by_hash
from thinkaloud import cli


def befall(deed: str) -> None:
    from thinkaloud.session import scorer
    from thinkaloud.train.grpo_step import GrpoTrainer
    from thinkaloud.train.trainer import TrainState

    scorer.score_groups = lambda groups, **_: score_by_hash(groups)
    name, _, at = deed.partition(":")
    real = GrpoTrainer.step

    def step(self: GrpoTrainer, state: TrainState, tasks: Any) -> Any:
        if name != "none" and state.step == int(at):
            os.kill(os.getpid(), signal.SIGKILL if name == "kill" else signal.SIGTERM)
        return real(self, state, tasks)

    GrpoTrainer.step = step  # type: ignore[method-assign]


def main(deed: str, *arguments: str) -> None:
    from thinkaloud.cli import processes as together

    join = together._join

    def join_and_befall(*given: Any) -> None:
        join(*given)
        befall(deed)

    together._join = join_and_befall
    if "--coordinator" not in arguments:
        from thinkaloud.pipeline import train as pipeline

        pipeline.build_report = lambda path: path  # the run to compare with: nobody reads its report
        befall(deed)
    sys.argv = ["thinkaloud", "train", str(Path(__file__).parents[2] / "recipes" / "tiny.toml"), *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
