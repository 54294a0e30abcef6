"""`audit`: pre-flight checks."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import (
    AsJson,
    DataDir,
    Device,
    Overrides,
    app,
    open_display,
    print_json,
    print_table,
    with_data_dir,
)
from thinkaloud.errors import UserError


@app.command()
def audit(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="Not needed for --rewards.", show_default=False)
    ] = None,
    rewards: Annotated[bool, typer.Option("--rewards", help="Only the reward bench.")] = False,
    pool: Annotated[
        Path | None, typer.Option(help="A pool that `thinkaloud data` built from this recipe; built now if absent.")
    ] = None,
    with_model: Annotated[
        bool, typer.Option("--model/--no-model", help="Load the weights, sample the base model and time steps.")
    ] = True,
    samples: Annotated[int, typer.Option(min=2, help="Completions of the base model per domain.")] = 8,
    deadline: Annotated[
        str | None, typer.Option(help="Time for the whole run, such as 9h or 2h30m; prints how many steps fit.")
    ] = None,
    rates_from: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Also try three learning rates for a few GRPO steps each, from the cold start of this run.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Run pre-flight checks. Exit code 1 if a check fails that the run depends on.

    Example: thinkaloud audit starter --deadline 2h
    """
    if rewards:
        _audit_rewards(as_json)
        return
    if recipe is None:
        raise UserError("expected a recipe, found none; run thinkaloud audit starter, or audit --rewards")
    from thinkaloud.audit.findings import Level, findings_table, worst
    from thinkaloud.audit.run import audit_all
    from thinkaloud.config import load_recipe
    from thinkaloud.durations import seconds_until

    if rates_from and not with_model:
        raise UserError("--rates-from trains the model: leave out --no-model")
    loaded = load_recipe(recipe, with_data_dir(overrides, data_dir))
    seconds = None if deadline is None else seconds_until(deadline, datetime.datetime.now())
    with open_display() as display:
        findings = audit_all(
            loaded,
            pool=pool,
            samples=samples,
            deadline_seconds=seconds,
            with_model=with_model,
            display=display,
            rates_from=rates_from,
        )
    level = worst(findings)
    if as_json:
        print_json({"level": str(level), "findings": [finding.as_dict() for finding in findings]})
    else:
        print_table(findings_table(findings))
        print(f"audit: {level}")
    if level is Level.STOP:
        raise typer.Exit(1)


def _audit_rewards(as_json: bool) -> None:
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
