"""`recipes`: the shipped recipes. Starts without JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import app


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this recipe instead of the list.")] = None,
) -> None:
    """List the shipped recipes, or print one to change it.

    Example: thinkaloud recipes starter > mine.toml
    """
    from thinkaloud.config import read_recipe_text
    from thinkaloud.config.shipped import shipped_names

    if name is not None:
        print(read_recipe_text(Path(name)), end="")
        return
    width = max(map(len, shipped_names()))
    for shipped in shipped_names():
        first, _, _ = read_recipe_text(Path(f"{shipped}.toml")).partition("\n")
        print(f"{shipped:<{width}}  {first.removeprefix('# ')}")
