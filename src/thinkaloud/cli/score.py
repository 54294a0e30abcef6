"""`score`: rewards of completions. Starts without JAX."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from thinkaloud.cli.app import app, print_json
from thinkaloud.errors import UserError
from thinkaloud.records import Status

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
    """Score completions: read JSON lines, print rewards with their components, and a summary to stderr.

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
    summary = Summary()
    try:
        with _opened(file) as source:
            lines = (line for _, line in bounded_lines(source, MAX_LINE_CHARACTERS))
            for result in score_lines(lines, creative=creative, registry=registry):
                summary.add(result)
                print_json(result)
    except SandboxUnavailable as error:
        raise UserError(str(error)) from error
    sys.stdout.flush()
    if summary.statuses:
        print(summary, file=sys.stderr)
    if bad := summary.errors:
        raise UserError(f"{bad} line{'s' if bad > 1 else ''} could not be scored; the error objects give the reasons")


@dataclass(slots=True)
class Summary:
    """Counts of what was scored; the mean leaves out tasks that cannot be scored, as training does.

    `paid` counts rewards above that of the format.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    paid: int = 0
    total: float = 0.0

    def add(self, result: dict[str, Any]) -> None:
        """Count one line of output."""
        from thinkaloud.rewards.scoring import FORMAT

        if "error" in result:
            self.errors += 1
            return
        self.statuses[result["status"]] += 1
        self.paid += result["reward"] > FORMAT
        self.total += result["reward"]

    def __str__(self) -> str:
        scored = sum(count for status, count in self.statuses.items() if not Status(status).masked)
        mean = f"mean reward {self.total / scored:.3f}" if scored else "none can be rewarded"
        counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in self.statuses.most_common())
        return f"{self.statuses.total():,} completions, {self.paid:,} paid for the answer, {mean}: {counts}"


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
