"""`sandbox check`."""

from __future__ import annotations

import typer

from thinkaloud.cli.app import AsJson, app, print_json

sandbox_app = typer.Typer(no_args_is_help=True, help="The jail that model-written code runs in.")
app.add_typer(sandbox_app, name="sandbox")


@sandbox_app.command()
def check(as_json: AsJson = False) -> None:
    """What level of containment this machine gives, layer by layer. Exit code 1 where it gives none.

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
            for key, what in (("blocked", "blocks"), ("failed", "lets through")):
                if layer[key]:
                    print(f"    {what}: {', '.join(layer[key])}")
    if found["level"] == "none":
        raise typer.Exit(1)
