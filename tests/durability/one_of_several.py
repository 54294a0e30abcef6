"""Run as a program: `thinkaloud train` of a tiny random model that is paid by a hash, as one process of several.

one_of_several.py DEED ARGUMENTS...: what befalls it in a GRPO step of its own: `none`, or `kill` or `term` and the
0-based step, as `kill:3`.
"""

from __future__ import annotations

import os
import signal
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinkaloud import cli
from thinkaloud.records import Completion, Score, Status, Task


def paid_by_hash(tasks: Sequence[Task], completions: Sequence[Completion], **_: Any) -> list[Score]:
    """So that every group has signal."""
    return [Score(reward=zlib.crc32(repr(c.token_ids).encode()) / 2**32, status=Status.GRADED) for c in completions]


def befall(deed: str) -> None:
    from thinkaloud.session import session
    from thinkaloud.train.grpo import Grpo

    session.score_batch = paid_by_hash  # type: ignore[assignment]
    name, _, at = deed.partition(":")
    real = Grpo.step

    def step(self: Grpo, adapter: Any, state: Any, tasks: Any, step: int) -> Any:
        if name != "none" and step == int(at):
            os.kill(os.getpid(), signal.SIGKILL if name == "kill" else signal.SIGTERM)
        return real(self, adapter, state, tasks, step)

    Grpo.step = step  # type: ignore[method-assign]


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
