"""`domains`: the registered domains. Starts without JAX."""

from __future__ import annotations

from thinkaloud.cli.app import AsJson, app, print_json


@app.command()
def domains(as_json: AsJson = False) -> None:
    """What is registered, and how each domain is scored.

    Example: thinkaloud domains --json
    """
    from thinkaloud.domains import REGISTRY

    rows = [{"name": d.name, "kind": d.kind, "description": d.description} for d in REGISTRY.values()]
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['kind']:<10}  {row['description']}")
