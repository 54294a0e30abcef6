"""The command line: thin, one function a command. stdout carries results only; progress and messages go to stderr.

How a command ends, and with which exit code, stands in `exits`. Heavy modules are imported inside the commands, so that
`score`, `prompt` and `domains` start without JAX.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from thinkaloud import exits
from thinkaloud.errors import UserError

if TYPE_CHECKING:
    from thinkaloud.display import Display

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Teach a small open language model to show its work.",
)
sandbox_app = typer.Typer(no_args_is_help=True, help="The jail that model-written code runs in.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure, side by side with peers.")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(bench_app, name="bench")

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe, such as recipes/tiny.toml.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory that `thinkaloud train` made.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field, such as grpo.max_steps=20.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Mismatch = Annotated[
    bool, typer.Option("--allow-contract-mismatch", help="Go on although tokenizer and saved prompts do not fit.")
]
Stage = Annotated[str, typer.Option(help="Which model of the run: base, cold_start or trained.")]


def main() -> NoReturn:
    """Run a command; see `exits` for how it ends."""
    exits.run(app)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _print_table(table: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 100).print(table)


def _display() -> Display:
    from thinkaloud.display import Display

    return Display()


def _plain_text(argument: str) -> str:
    """An argument as UTF-8, whatever the locale took its bytes for."""
    return os.fsencode(argument).decode("utf-8", "replace")


@app.command()
def train(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/NAME of the recipe when absent.")] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run directory.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe as JSON and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cold start, GRPO, evaluation and report, into one run directory.

    Example: thinkaloud train recipes/starter.toml --out runs/first --set grpo.max_steps=20
    """
    from thinkaloud.config import parse_recipe_text, read_recipe_text
    from thinkaloud.data.pool import check_domains

    text = read_recipe_text(recipe)
    loaded = parse_recipe_text(text, overrides or [], where=str(recipe))
    check_domains(loaded.data)
    if dry_run:
        print(json.dumps(loaded.resolved(), indent=1, ensure_ascii=False))
        return
    from thinkaloud import pipeline
    from thinkaloud.evaluate.summary import read_summary, summary_table

    target = out or Path("runs") / loaded.name
    with _display() as display:
        run = pipeline.train(loaded, text, target, resume=resume, display=display)
    summary = read_summary(run.evaluation / "summary.json")
    if as_json:
        _print_json({"run": str(run.path), "report": str(run.path / "report.html"), **summary})
        return
    print(f"report: {run.path / 'report.html'}")
    print(f"run directory: {run.path}")
    _print_table(summary_table(summary))


@app.command(name="eval")
def evaluate(
    run: RunPath,
    split: Annotated[str | None, typer.Option(help="train, validation or test; the recipe's when absent.")] = None,
    stage: Annotated[list[str] | None, typer.Option(help="Only these: base, cold_start, trained.")] = None,
    tasks_per_domain: Annotated[int | None, typer.Option(min=1, help="The recipe's when absent.")] = None,
    allow_contract_mismatch: Mismatch = False,
    as_json: AsJson = False,
) -> None:
    """Greedy decoding on held-out tasks, per domain, with intervals; rewrites the run's evaluation and report.

    Example: thinkaloud eval runs/first --split validation --json
    """
    from thinkaloud import pipeline
    from thinkaloud.evaluate.summary import summary_table

    with _display() as display:
        summary = pipeline.evaluate_run(
            run,
            split=split,
            stages=stage or [],
            tasks_per_domain=tasks_per_domain,
            allow_contract_mismatch=allow_contract_mismatch,
            display=display,
        )
    if as_json:
        _print_json(summary)
    else:
        _print_table(summary_table(summary))


@app.command()
def report(run: RunPath, as_json: AsJson = False) -> None:
    """Write report.html, writeup.md and figures/ from what the run directory holds.

    Example: thinkaloud report runs/first
    """
    from thinkaloud.report.build import build_report

    page = build_report(run)
    if as_json:
        _print_json({"report": str(page), "writeup": str(run / "writeup.md"), "figures": str(run / "figures")})
    else:
        print(page)


@app.command()
def generate(
    run: RunPath,
    question: Annotated[str | None, typer.Argument(help="The question; read from standard input when absent.")] = None,
    stage: Stage = "trained",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    samples: Annotated[int, typer.Option(min=1, help="Completions to sample.")] = 1,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="The recipe's when absent.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    allow_contract_mismatch: Mismatch = False,
    as_json: AsJson = False,
) -> None:
    """Answer one question through the run's own prompt contract.

    Example: thinkaloud generate runs/first "What is 17 + 25?"
    """
    from thinkaloud import chat as talking

    asked = _plain_text(question) if question is not None else sys.stdin.read()
    if not asked.strip():
        raise UserError("the question is empty; give it as an argument or on standard input")
    talk = talking.open_chat(run, stage=stage, allow_contract_mismatch=allow_contract_mismatch)
    replies = talk.ask(asked, temperature=temperature, samples=samples, max_new_tokens=max_new_tokens, seed=seed)
    for reply in replies:
        if as_json:
            _print_json(reply.as_dict())
        else:
            print(reply.text)


@app.command()
def chat(
    run: RunPath,
    stage: Stage = "trained",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="The recipe's when absent.")] = None,
    allow_contract_mismatch: Mismatch = False,
) -> None:
    """Ask one question after another; each stands alone, as in training. An empty line or Ctrl-D ends.

    Example: thinkaloud chat runs/first
    """
    from thinkaloud import chat as talking

    talk = talking.open_chat(run, stage=stage, allow_contract_mismatch=allow_contract_mismatch)
    turn = 0
    while True:
        print("question> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return
        turn += 1
        try:
            (reply,) = talk.ask(
                line.strip(), temperature=temperature, samples=1, max_new_tokens=max_new_tokens, seed=turn
            )
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)  # a question too long ends no conversation
            continue
        print(reply.readable(), flush=True)


@app.command()
def score(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON lines; standard input when absent or -.")
    ] = None,
) -> None:
    """Score completions: JSON lines in, rewards with their breakdown out.

    A line is {"domain", "question", "answer", "completion"} and, where the task has them, "tests", "setup",
    "choices". A bad line gives an error object with its number, and exit code 2 at the end.

    Example: thinkaloud score completions.jsonl > scores.jsonl
    """
    from thinkaloud.rewards import score_lines
    from thinkaloud.sandbox.verdict import SandboxUnavailable

    bad = 0
    try:
        with _open_lines(file) as source:
            for result in score_lines(_lines(source)):
                bad += "error" in result
                _print_json(result)
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


def _lines(file: TextIO | io.TextIOBase) -> Iterator[str]:
    """The lines of a file, the rest of a line too long for `read_row` left out unread into memory."""
    from thinkaloud.rewards.lines import MAX_LINE_CHARACTERS

    while line := file.readline(MAX_LINE_CHARACTERS + 1):
        yield line
        while len(line) > MAX_LINE_CHARACTERS and not line.endswith("\n"):
            line = file.readline(MAX_LINE_CHARACTERS + 1)


@app.command()
def prompt(
    source: Annotated[Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe, or a run directory.")],
    question: Annotated[str, typer.Option(help="What stands after `Task:`.")] = "What is 17 + 25?",
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """The exact prompt, its invisible characters and its token ids.

    Example: thinkaloud prompt recipes/starter.toml --question "What is 2 + 2?"
    """
    from thinkaloud import inspect_prompt

    view = inspect_prompt.describe_prompt(source, _plain_text(question), overrides or [])
    if as_json:
        _print_json(inspect_prompt.as_dict(view))
    else:
        print(inspect_prompt.as_text(view))


@app.command()
def domains(as_json: AsJson = False) -> None:
    """What is registered, and how each domain is scored.

    Example: thinkaloud domains --json
    """
    from thinkaloud.domains import REGISTRY

    rows = [{"name": d.name, "kind": d.kind, "description": d.description} for d in REGISTRY.values()]
    if as_json:
        _print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['kind']:<10}  {row['description']}")


@sandbox_app.command()
def check(as_json: AsJson = False) -> None:
    """What level of containment this machine gives, layer by layer. Exit code 1 where it gives none.

    Example: thinkaloud sandbox check
    """
    from thinkaloud.sandbox.check import check_report, explain_missing

    found = check_report()
    if as_json:
        _print_json(found)
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


@bench_app.command(name="sandbox")
def bench_sandbox(
    programs: Annotated[int, typer.Option(min=1, help="Programs in the batch.")] = 2000,
    as_json: AsJson = False,
) -> None:
    """Programs a second in the sandbox, beside plain subprocesses in the same run.

    Example: thinkaloud bench sandbox
    """
    from thinkaloud.sandbox.bench import run_bench

    found = run_bench(programs)
    if as_json:
        _print_json(found)
        return
    print(f"level {found['level']}, {found['workers']} workers")
    for name in ("sandbox", "subprocess"):
        row = found[name]
        print(
            f"{name:<10}  {row['programs']} programs, {row['programs_per_second']} a second, "
            f"median {row['median_latency_ms']} ms, 95th percentile {row['p95_latency_ms']} ms"
        )
    print(f"ratio: {found['speedup']}")
