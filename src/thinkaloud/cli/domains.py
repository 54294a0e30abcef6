"""`domains`: a list of the domains. Starts without JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, app, print_json


@app.command()
def domains(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="Also list the domains that this recipe defines.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the domains and how each is scored.

    Example: thinkaloud domains --json
    """
    from thinkaloud.domains import BUILTIN, registry_of

    registry = BUILTIN
    if recipe:
        from thinkaloud.config import load_recipe

        registry = registry_of(load_recipe(recipe))
    rows = [{"name": d.name, "kind": d.kind, "description": d.description} for d in registry.values()]
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['kind']:<10}  {row['description']}")
