"""`score`: rewards of completions. Starts without JAX."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from thinkaloud.cli.app import app, print_json
from thinkaloud.errors import UserError

if TYPE_CHECKING:
    from thinkaloud.storage.json_lines import LineReader


@app.command()
def score(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON lines; default, or -: standard input.")
    ] = None,
    creative: Annotated[
        Literal["guarded", "original"], typer.Option(help="How the heuristic domains are scored.")
    ] = "guarded",
    recipe: Annotated[
        Path | None, typer.Option(metavar="RECIPE", help="Also score the domains that this recipe defines.")
    ] = None,
) -> None:
    """Score completions: read JSON lines, print rewards with their components.

    A line is {"domain", "question", "answer", "completion"} and, if the task has them, "tests", "setup", "choices". An
    invalid line gives an error object with its line number, and exit code 2 at the end.

    Example: thinkaloud score completions.jsonl > scores.jsonl
    """
    from thinkaloud.domains import SCORERS
    from thinkaloud.rewards import score_lines
    from thinkaloud.rewards.lines import MAX_LINE_CHARACTERS
    from thinkaloud.sandbox.verdict import SandboxUnavailable
    from thinkaloud.storage.json_lines import bounded_lines

    registry = SCORERS
    if recipe:
        from thinkaloud.config import load_recipe
        from thinkaloud.domains import registry_of

        registry = registry_of(load_recipe(recipe))
    bad = 0
    try:
        with _opened(file) as source:
            lines = (line for _, line in bounded_lines(source, MAX_LINE_CHARACTERS))
            for result in score_lines(lines, creative=creative, registry=registry):
                bad += "error" in result
                print_json(result)
    except SandboxUnavailable as error:
        raise UserError(str(error)) from error
    sys.stdout.flush()
    if bad:
        raise UserError(f"{bad} line{'s' if bad > 1 else ''} could not be scored; the error objects give the reasons")


@contextmanager
def _opened(file: Path | None) -> Iterator[LineReader[str]]:
    """A file, or standard input; bytes that are not UTF-8 are kept, so that their lines are reported."""
    if file is None or str(file) == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")
        yield sys.stdin
        return
    try:
        opened = file.open(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"cannot read {str(file)!r}: {error.strerror}; expected a file of JSON lines") from None
    with opened:
        yield opened
