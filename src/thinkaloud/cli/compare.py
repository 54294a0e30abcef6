"""`compare`: differences between runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, app, print_json, print_table
from thinkaloud.errors import UserError


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run directories, the reference first.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML page, such as compare.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: recipes, results by domain, paired tests on the tasks that both answered.

    Example: thinkaloud compare runs/first runs/second --out compare.html
    """
    from thinkaloud.report.comparison import compare_runs, comparison_page, load_runs, sentences, tables

    found = compare_runs(load_runs(runs))
    if out:
        try:
            out.write_text(comparison_page(found), encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"cannot write {out} ({error.strerror or error}); choose another --out") from None
    if as_json:
        print_json(found)
        return
    from rich import box
    from rich.table import Table

    for table in tables(found):
        shown = Table(title=table.caption, box=box.SIMPLE_HEAD, title_justify="left")
        for position, name in enumerate(table.header):
            shown.add_column(name, justify="right" if position else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*row)
        print_table(shown)
    for sentence in sentences(found):
        print(sentence)
