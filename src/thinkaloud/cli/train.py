"""`train`."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import (
    AsJson,
    DataDir,
    Overrides,
    RecipePath,
    app,
    open_display,
    print_json,
    print_table,
    with_data_dir,
    with_engine,
    with_mesh,
)


@app.command()
def train(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/NAME of the recipe when absent.")] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the run directory.")] = False,
    allow_change: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="With --resume: a key of the recipe that may differ, as grpo.max_steps."),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(help="Be done by then: a duration (9h, 2h30m, 45m) or a clock time (07:30); plans the steps."),
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Send the metrics to wandb or trackio too (extras of the same names).")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Trace three steps of GRPO into RUN/profile, for Perfetto and XProf.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe as JSON and stop.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    pool: Annotated[
        Path | None, typer.Option(help="A pool that `thinkaloud data` built from this recipe; built anew when absent.")
    ] = None,
    mesh: Annotated[str | None, typer.Option(help="Devices by axis, such as data=2,fsdp=4,tensor=1.")] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where process 0 of several is; auto: as SLURM or a TPU pod says.",
        ),
    ] = None,
    num_processes: Annotated[int | None, typer.Option(help="How many processes train together.")] = None,
    process_id: Annotated[int | None, typer.Option(help="Which of them this is, from 0.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="What samples and updates in GRPO: thinkaloud, or tunix (an extra of that name).")
    ] = None,
    engine_faithful: Annotated[
        bool, typer.Option("--engine-faithful", help="Leave what Tunix does wrong as it is, for comparisons.")
    ] = False,
) -> None:
    """Cold start, GRPO, evaluation and report, into one run directory.

    Example: thinkaloud train recipes/starter.toml --out runs/first --set grpo.max_steps=20
    """
    from thinkaloud.durations import as_duration, is_clock, seconds_until, session_clock

    ends_at = None if deadline is None else session_clock() + seconds_until(deadline, datetime.datetime.now())
    from thinkaloud.config import parse_recipe_text, read_recipe_text
    from thinkaloud.data.pool import check_domains

    text = read_recipe_text(recipe)
    overrides = with_engine(with_mesh(with_data_dir(overrides, data_dir), mesh), engine, engine_faithful)
    loaded = parse_recipe_text(text, overrides, where=str(recipe))
    check_domains(loaded.data)
    if dry_run:
        print(json.dumps(loaded.resolved(), indent=1, ensure_ascii=False))
        return
    from thinkaloud.cli.processes import in_team
    from thinkaloud.config.flat import flat
    from thinkaloud.distributed import team
    from thinkaloud.errors import UserError
    from thinkaloud.pipeline.stopping import StopRequested
    from thinkaloud.storage.run_directory import RunDir

    if allow_change and not resume:
        raise UserError("--allow-change is about a run that goes on; use it with --resume")
    target = out or Path("runs") / loaded.name
    alike = {**flat(loaded.resolved()), "--resume": resume, "--deadline": "given" if deadline else "not given"}
    try:
        with (
            in_team(coordinator, num_processes, process_id, alike),
            open_display(silent=not team.is_first()) as display,
        ):
            from thinkaloud.pipeline import train as pipeline

            run = pipeline.train(
                loaded,
                text,
                target,
                resume=resume,
                display=display,
                allowed_changes=allow_change or (),
                ends_at=ends_at,
                track=track,
                profile=profile,
                pool=pool,
            )
    except StopRequested as stopped:
        if not team.is_first():
            raise typer.Exit(stopped.code) from None
        options = [("--set", override) for override in overrides]
        options += [("--allow-change", key) for key in allow_change or []]
        if deadline and ends_at and (left := ends_at - session_clock()) >= 1:
            options.append(("--deadline", deadline.strip() if is_clock(deadline) else as_duration(left)))
        if track:
            options.append(("--track", track))
        words = ["thinkaloud", "train", str(recipe), "--out", str(target), *sum(options, ()), "--resume"]
        again = shlex.join(words)
        begun = RunDir(target).is_begun()
        print(f"{stopped}; " + (f"go on with: {again}" if begun else "nothing had begun"), file=sys.stderr)
        if as_json:
            print_json({"run": str(target), "stopped": stopped.signal.name, "resume": again if begun else None})
        raise typer.Exit(stopped.code) from None
    if not team.is_first():
        return
    from thinkaloud.evaluate.summary import read_summary, summary_table

    evaluated = (run.evaluation / "summary.json").exists()  # a deadline may have left no time for it
    summary = read_summary(run.evaluation / "summary.json") if evaluated else {}
    report = run.path / "report.html"
    if as_json:
        print_json({"run": str(run.path), "report": str(report) if report.exists() else None, **summary})
        return
    if report.exists():
        print(f"report: {report}")
    print(f"run directory: {run.path}")
    if evaluated:
        print_table(summary_table(summary))
