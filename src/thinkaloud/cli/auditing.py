"""`audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, app, print_json, print_table
from thinkaloud.errors import UserError


@app.command()
def audit(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="Not needed for --rewards.", show_default=False)
    ] = None,
    rewards: Annotated[bool, typer.Option("--rewards", help="The reward bench: which hacks win.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check what can be known before training. Exit code 1 where something must be mended first.

    Example: thinkaloud audit --rewards
    """
    if not rewards:
        raise UserError("expected --rewards, found nothing to audit; run: thinkaloud audit --rewards")
    from thinkaloud.rewards.audit import audit_rewards, losing_lines, rewards_table
    from thinkaloud.sandbox.verdict import SandboxUnavailable

    try:
        found = audit_rewards()
    except SandboxUnavailable as error:
        raise UserError(str(error)) from error
    if as_json:
        print_json(found)
    else:
        print_table(rewards_table(found))
        for line in losing_lines(found):
            print(f"LOST  {line}")
    if not found["passed"]:
        raise typer.Exit(1)
