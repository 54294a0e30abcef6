"""`compare`: differences between runs; seeds of one recipe are one result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from thinkaloud.cli.app import AsJson, app, print_json, print_table


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...", help="Run directories, or folders of `train --seeds`; the reference first."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write compare.html, CSV and LaTeX tables, and learning curves."),
    ] = None,
    allow_different: Annotated[
        bool,
        typer.Option("--allow-different", help="Compare runs with another stage, split, set of tasks or token limit."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs: recipes, results by domain, tests on the tasks that both answered.

    Runs that differ only by their seed are one result, with intervals over seeds and tasks. A run with
    rewards.control is the control of the run that is the same otherwise.

    Example: thinkaloud compare runs/first runs/second --out comparison
    """
    from thinkaloud.report.comparison_files import compare_runs

    found = compare_runs(runs, out, allow_different=allow_different)
    if as_json:
        print_json(found)
    else:
        print_comparison(found)


def print_comparison(found: dict[str, Any]) -> None:
    """Print the tables and sentences of a comparison."""
    from rich import box
    from rich.table import Table

    from thinkaloud.report.comparison_page import sentences, tables

    for table in tables(found):
        shown = Table(title=table.caption, box=box.SIMPLE_HEAD, title_justify="left")
        for position, name in enumerate(table.header):
            shown.add_column(name, justify="right" if position else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*row)
        print_table(shown)
    for sentence in sentences(found):
        print(sentence)
