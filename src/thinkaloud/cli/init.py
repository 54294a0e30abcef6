"""`init`: a recipe for a data file. Starts without JAX."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkaloud.cli.app import AsJson, app, print_json
from thinkaloud.errors import UserError

if TYPE_CHECKING:
    from thinkaloud.init.propose import Proposal

_MOST_SHOWN = 5
"""Reasons for dropped rows that are printed; the recipe has all."""


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSON lines, a JSON array, or Parquet.")],
    question: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the questions.")] = None,
    answer: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the gold answers.")] = None,
    rationale: Annotated[
        str | None, typer.Option(metavar="COLUMN", help='The column of the rationales; "" for none.')
    ] = None,
    choices: Annotated[
        str | None, typer.Option(metavar="COLUMN", help='The column of the options; "" for none.')
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to train; default: smollm2-135m.")] = None,
    domain: Annotated[
        str | None,
        typer.Option(help="The domain whose verifier scores the answers (`thinkaloud domains`), or reference."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a text that is not Unicode, such as cp1252.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The recipe to write; default: NAME.toml, by the file's name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing recipe.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a recipe for a file of questions and answers; every guess has a flag that changes it.

    Example: thinkaloud init quiz.csv --model gemma3-1b
    """
    from thinkaloud.init.propose import DEFAULT_MODEL, Wishes, propose
    from thinkaloud.init.recipe import recipe_text
    from thinkaloud.storage.atomic import write_text

    wishes = Wishes(
        question=question,
        answer=answer,
        rationale=rationale,
        choices=choices,
        model=model or DEFAULT_MODEL,
        domain=domain,
        encoding=encoding,
    )
    found = propose(file, wishes)
    target = out or Path(f"{found.name}.toml")
    if target.exists() and not (force and target.is_file()):
        raise UserError(f"expected a new recipe, found {target}; replace it with --force, or choose another with --out")
    write_text(target, recipe_text(found))
    if as_json:
        print_json(_as_dict(found, target))
    else:
        _print_summary(found, target)


def _print_summary(found: Proposal, target: Path) -> None:
    check, columns, data = found.check, found.columns, next(iter(found.recipe.data.sources.values()))
    named = [(role, getattr(data, role)) for role in ("question", "context", "answer", "rationale", "tests")]
    rows = [
        ("file", f"{found.sample.path.name}: {found.sample.written}", "--encoding"),
        *((role, f"{name!r} ({columns.why.get(role, 'given')})", f"--{role}") for role, name in named if name),
        *([("choices", repr(data.choices), "--choices")] if data.choices else []),
        ("scored as", f"{found.scorer.name}: {found.scorer.why}", "--domain"),
        ("cold start", _cold_start(found), "--rationale"),
        ("model", found.recipe.model.source, "--model"),
        ("tasks", ", ".join(f"{count:,} {split}" for split, count in check.kept.items()), ""),
    ]
    for name, value, flag in rows:
        print(f"{name:<11} {_plain(value)}" + (f"   [{flag}]" if flag in _FLAGS else ""))
    for dropped in check.dropped[:_MOST_SHOWN]:
        print(_plain(f"dropped     {dropped.count:,}: {dropped.reason} (first: {dropped.example})"))
    for doubt in (*check.notes, *found.scorer.doubts):
        print(_plain(f"note        {doubt}"))
    name = shlex.quote(str(target))
    print(f"\nwrote {_plain(str(target))}. Next:\n  thinkaloud audit {_plain(name)}\n  thinkaloud train {_plain(name)}")


_FLAGS = ("--question", "--answer", "--rationale", "--choices", "--domain", "--model", "--encoding")


def _cold_start(found: Proposal) -> str:
    if found.recipe.cold_start.source == "data":
        return f"{found.check.rationales:,} rationales of the file"
    return "the model's own right answers (no rationales)"


def _plain(text: str) -> str:
    """A text without characters that control a terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _as_dict(found: Proposal, target: Path) -> dict[str, Any]:
    return {
        "recipe": str(target),
        "written": found.sample.written,
        "columns": {**found.values["data"]["sources"][found.name]},
        "scored_as": found.scorer.name,
        "why": {**found.columns.why, "scored_as": found.scorer.why},
        "tasks": found.check.kept,
        "rows": found.check.rows,
        "dropped": {dropped.reason: dropped.count for dropped in found.check.dropped},
        "notes": [*found.check.notes, *found.scorer.doubts],
    }
