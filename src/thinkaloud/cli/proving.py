"""`eval`, `report`: what a run is worth."""

from __future__ import annotations

from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, Mismatch, RunPath, app, open_display, print_json, print_table


@app.command(name="eval")
def evaluate(
    run: RunPath,
    split: Annotated[str | None, typer.Option(help="train, validation or test; the recipe's when absent.")] = None,
    stage: Annotated[list[str] | None, typer.Option(help="Only these: base, cold_start, trained.")] = None,
    tasks_per_domain: Annotated[int | None, typer.Option(min=1, help="The recipe's when absent.")] = None,
    allow_contract_mismatch: Mismatch = False,
    as_json: AsJson = False,
) -> None:
    """Greedy decoding on held-out tasks, per domain, with intervals; rewrites the run's evaluation and report.

    Example: thinkaloud eval runs/first --split validation --json
    """
    from thinkaloud import evaluating
    from thinkaloud.evaluate.summary import summary_table

    with open_display() as display:
        summary = evaluating.evaluate_run(
            run,
            split=split,
            stages=stage or [],
            tasks_per_domain=tasks_per_domain,
            allow_contract_mismatch=allow_contract_mismatch,
            display=display,
        )
    if as_json:
        print_json(summary)
    else:
        print_table(summary_table(summary))


@app.command()
def report(run: RunPath, as_json: AsJson = False) -> None:
    """Write report.html, writeup.md and figures/ from what the run directory holds.

    Example: thinkaloud report runs/first
    """
    from thinkaloud.report.build import build_report

    page = build_report(run)
    if as_json:
        print_json({"report": str(page), "writeup": str(run / "writeup.md"), "figures": str(run / "figures")})
    else:
        print(page)
