"""`data`: build the task pool of a recipe."""

from __future__ import annotations

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
)


@app.command()
def data(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The pool's folder; default: pools/NAME.")] = None,
    data_dir: DataDir = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Build the task pool of a recipe, and print how many rows were kept and dropped, with reasons.

    Sources: starter (in the package), gsm8k, mbpp, sciq, ARC-Easy, ARC-Challenge, strategyqa, writingprompts, dolly15k,
    longform, no_robots, xsum, cnn_dailymail, and any file with a question and an answer per row.

    Example: thinkaloud data night-135m --data-dir data --out pools/all
    """
    from thinkaloud.config import load_recipe
    from thinkaloud.data.build import build_pool
    from thinkaloud.data.summary import pool_summary, pool_tables
    from thinkaloud.prompt.from_recipe import open_contract
    from thinkaloud.report.mixture_chart import save_mixture_chart

    loaded = load_recipe(recipe, with_data_dir(overrides, data_dir))
    target = out or Path("pools") / loaded.name
    with open_display() as display:
        _, contract = open_contract(loaded, display.note)
        display.stage("data", total_steps=0)
        pool = build_pool(loaded, contract, target, progress=display.progress, note=display.note)
    summary = pool_summary(loaded, pool)
    chart = save_mixture_chart(summary["mixture"], summary["exponent"], target / "sampling.png")
    if as_json:
        print_json({"pool": str(target), "chart": str(chart), **summary})
        return
    for table in pool_tables(summary):
        print_table(table)
        print()
    for name in summary["missing"]:
        print(f"left out: {name} (optional, not available)")
    print(f"chart: {chart}")
    print(f"pool: {target}")
