"""`rollouts`: the completions of training."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, RunPath, app, print_json


@app.command()
def rollouts(
    run: RunPath,
    domain: Annotated[str | None, typer.Option(help="Only this domain.")] = None,
    status: Annotated[str | None, typer.Option(help="Only this status, such as correct or bad_format.")] = None,
    step: Annotated[int | None, typer.Option(help="Only this step; -1 is the newest.")] = None,
    sort: Annotated[str, typer.Option(help="step (oldest first), reward (best first) or length (longest first).")] = (
        "step"
    ),
    ascending: Annotated[bool, typer.Option("--ascending", help="Worst, shortest or newest first.")] = (False),
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show completions of training with their scores; with --json one object per line.

    Example: thinkaloud rollouts runs/first --domain math --sort reward --limit 5
    """
    from thinkaloud.errors import UserError
    from thinkaloud.storage.run_directory import RunDir
    from thinkaloud.tracking.rollout_reader import RolloutFilter, find_rollouts, visible

    if sort not in ("step", "reward", "length"):
        raise UserError(f"--sort {sort}: expected step, reward or length")
    if not run.is_dir():
        raise UserError(f"expected a run directory made by `thinkaloud train`, found none at {run}")
    criteria = RolloutFilter(domain, status, step, sort, ascending, limit)  # type: ignore[arg-type]
    rows, bad = find_rollouts(RunDir(run).rollouts, criteria)
    for name in bad:
        print(f"{name} is damaged and skipped", file=sys.stderr)
    for row in rows:
        if as_json:
            print_json(row)
            continue
        head = f"step {row['step']} | {row['domain']} | {row['status']} | reward {row['reward']:.3f} | "
        head += f"{row['num_tokens']} tokens, ended by {row['finish']}"
        parts = {"question": row["question"], "gold": row["gold"], "completion": row["text"], "why": row["explanation"]}
        print(visible(head))
        for name, text in parts.items():
            if text:
                print(f"  {name}:")
                print("\n".join(f"    {line}" for line in visible(text).split("\n")))
        print()
    if not rows:
        print("no completions match", file=sys.stderr)
