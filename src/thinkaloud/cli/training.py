"""`train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import (
    AsJson,
    DataDir,
    Overrides,
    RecipePath,
    app,
    open_display,
    print_json,
    print_table,
    with_data_dir,
    with_mesh,
)


@app.command()
def train(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/NAME of the recipe when absent.")] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run directory.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe as JSON and stop.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    pool: Annotated[
        Path | None, typer.Option(help="A pool that `thinkaloud data` built from this recipe; built anew when absent.")
    ] = None,
    mesh: Annotated[str | None, typer.Option(help="Devices by axis, such as data=2,fsdp=4,tensor=1.")] = None,
) -> None:
    """Cold start, GRPO, evaluation and report, into one run directory.

    Example: thinkaloud train recipes/starter.toml --out runs/first --set grpo.max_steps=20
    """
    from thinkaloud.config import parse_recipe_text, read_recipe_text
    from thinkaloud.data.pool import check_domains

    text = read_recipe_text(recipe)
    loaded = parse_recipe_text(text, with_mesh(with_data_dir(overrides, data_dir), mesh), where=str(recipe))
    check_domains(loaded.data)
    if dry_run:
        print(json.dumps(loaded.resolved(), indent=1, ensure_ascii=False))
        return
    from thinkaloud import pipeline
    from thinkaloud.evaluate.summary import read_summary, summary_table

    target = out or Path("runs") / loaded.name
    with open_display() as display:
        run = pipeline.train(loaded, text, target, resume=resume, display=display, pool=pool)
    summary = read_summary(run.evaluation / "summary.json")
    if as_json:
        print_json({"run": str(run.path), "report": str(run.path / "report.html"), **summary})
        return
    print(f"report: {run.path / 'report.html'}")
    print(f"run directory: {run.path}")
    print_table(summary_table(summary))
