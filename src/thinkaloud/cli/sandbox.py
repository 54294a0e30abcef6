"""`sandbox check`: the containment level of this machine."""

from __future__ import annotations

import typer

from thinkaloud.cli.app import AsJson, app, print_json

sandbox_app = typer.Typer(no_args_is_help=True, help="The sandbox for model-written code.")
app.add_typer(sandbox_app, name="sandbox")


@sandbox_app.command()
def check(as_json: AsJson = False) -> None:
    """Print the containment level of this machine, layer by layer. Exit code 1 if it is `none`.

    Example: thinkaloud sandbox check
    """
    from thinkaloud.sandbox.check import check_report, explain_missing

    found = check_report()
    if as_json:
        print_json(found)
    else:
        missing = explain_missing()
        print(f"level: {found['level']}")
        for name, layer in found["layers"].items():
            state = (
                "available" if layer["available"] else f"not available ({missing.get(name, 'tried, did not start')})"
            )
            print(f"{name}: {state}")
            for key, heading in (("blocked", "blocks"), ("failed", "does not block")):
                if layer[key]:
                    print(f"    {heading}: {', '.join(layer[key])}")
    if found["level"] == "none":
        raise typer.Exit(1)
