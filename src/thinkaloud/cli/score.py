"""`score`: rewards of completions. Starts without JAX."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

from thinkaloud.cli.app import app, print_json
from thinkaloud.errors import UserError


@app.command()
def score(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON lines; standard input when absent or -.")
    ] = None,
    creative: Annotated[
        Literal["guarded", "original"], typer.Option(help="How the heuristic domains are scored.")
    ] = "guarded",
    recipe: Annotated[
        Path | None, typer.Option(metavar="RECIPE", help="Also score the domains that this recipe defines.")
    ] = None,
) -> None:
    """Score completions: reads JSON lines, prints rewards with their breakdown.

    A line is {"domain", "question", "answer", "completion"} and, where the task has them, "tests", "setup",
    "choices". An invalid line gives an error object with its number, and exit code 2 at the end.

    Example: thinkaloud score completions.jsonl > scores.jsonl
    """
    from thinkaloud.config import load_recipe
    from thinkaloud.domains import SCORERS, registry_of
    from thinkaloud.rewards import score_lines
    from thinkaloud.rewards.lines import MAX_LINE_CHARACTERS
    from thinkaloud.sandbox.verdict import SandboxUnavailable
    from thinkaloud.storage.json_lines import bounded_lines

    registry = registry_of(load_recipe(recipe)) if recipe else SCORERS
    bad = 0
    try:
        with _open_lines(file) as source:
            lines = (line for _, line in bounded_lines(source, MAX_LINE_CHARACTERS))
            for result in score_lines(lines, creative=creative, registry=registry):
                bad += "error" in result
                print_json(result)
    except SandboxUnavailable as error:
        raise UserError(str(error)) from error
    sys.stdout.flush()
    if bad:
        raise UserError(f"{bad} line{'s' if bad > 1 else ''} could not be scored; the error objects say why")


def _open_lines(file: Path | None) -> TextIO | io.TextIOBase:
    if file is None or str(file) == "-":
        return sys.stdin
    try:
        return file.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot read {str(file)!r}: {error.strerror}; expected a file of JSON lines") from None
