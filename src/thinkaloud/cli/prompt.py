"""`prompt`: the exact prompt of a recipe or a run. Starts without JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, Overrides, app, plain_text, print_json


@app.command()
def prompt(
    source: Annotated[Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe, or a run directory.")],
    question: Annotated[str, typer.Option(help="The question in the prompt.")] = "What is 17 + 25?",
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the exact prompt, with invisible characters made visible, and its token ids.

    Example: thinkaloud prompt starter --question "What is 2 + 2?"
    """
    from thinkaloud.prompt import inspect as inspect_prompt

    view = inspect_prompt.describe_prompt(source, plain_text(question), overrides or [])
    if as_json:
        print_json(inspect_prompt.as_dict(view))
    else:
        print(inspect_prompt.as_text(view))
