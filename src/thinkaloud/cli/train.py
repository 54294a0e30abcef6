"""`train`: a whole run."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkaloud.cli.app import (
    AsJson,
    DataDir,
    Device,
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

if TYPE_CHECKING:
    from thinkaloud.pipeline.stopping import StopRequested
    from thinkaloud.storage.run_directory import RunDir


@app.command()
def train(
    recipe: RecipePath,
    out: Annotated[Path | None, typer.Option(help="The run directory; default: runs/NAME of the recipe.")] = None,
    overrides: Overrides = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Train with so many seeds, 2 or more, one after the other, into OUT/seed-0, OUT/seed-1, ..."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the run directory.")] = False,
    allow_change: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="With --resume: a recipe key that may differ, such as grpo.max_steps."),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(help="Finish by then: a duration (9h, 2h30m, 45m) or a clock time (07:30); limits the steps."),
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Also send the metrics to wandb or trackio (extras of the same names).")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Trace three steps of GRPO into RUN/profile, for Perfetto and XProf.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe as JSON and stop.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    pool: Annotated[
        Path | None, typer.Option(help="A pool that `thinkaloud data` built from this recipe; built now if absent.")
    ] = None,
    mesh: Annotated[
        str | None,
        typer.Option(help="Devices by axis, such as data=2,fsdp=4; auto (the default without [mesh]): all, by memory."),
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the primary process; auto: that of SLURM, Open MPI, Kubernetes or a TPU pod.",
        ),
    ] = None,
    num_processes: Annotated[int | None, typer.Option(help="Number of processes.")] = None,
    process_id: Annotated[int | None, typer.Option(help="Index of this process, from 0.")] = None,
    heartbeat: Annotated[
        int,
        typer.Option(
            min=5, metavar="SECONDS", help="With several processes: one that was not heard for so long is lost."
        ),
    ] = 30,
    ray: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Start N processes by Ray (an extra of that name) and restart lost ones."
        ),
    ] = None,
    ray_restarts: Annotated[
        int, typer.Option(min=0, metavar="N", help="With --ray: how often the run may be restarted.")
    ] = 3,
    engine: Annotated[
        str | None, typer.Option(help="The trainer of GRPO: thinkaloud, or tunix (an extra of that name).")
    ] = None,
    device: Device = "auto",
) -> None:
    """Run cold start, GRPO, evaluation and report in one run directory.

    Example: thinkaloud train starter --out runs/first --set grpo.max_steps=20
    """
    from thinkaloud.config import parse_recipe_text, read_recipe_text
    from thinkaloud.domains import registry_of
    from thinkaloud.durations import ends_at
    from thinkaloud.errors import UserError

    until = ends_at(deadline)
    text = read_recipe_text(recipe)
    overrides = with_engine(with_mesh(with_data_dir(overrides, data_dir), mesh), engine)
    loaded = parse_recipe_text(text, overrides, where=str(recipe))
    registry_of(loaded)  # raises UserError
    if dry_run:
        print(json.dumps(loaded.resolved(), indent=1, ensure_ascii=False))
        return
    if allow_change and not resume:
        raise UserError("--allow-change applies to a resumed run; use it with --resume")
    if seeds is not None and (coordinator, num_processes, process_id) != (None, None, None):
        raise UserError(
            "--seeds needs a single process, found several; train each seed by itself with --set seed=N and the same "
            "--set data.seed, then use `thinkaloud compare`"
        )
    target = out or Path("runs") / loaded.name
    again = partial(_again, recipe, target, overrides, seeds, allow_change, deadline, until, track)
    if ray is not None:
        if (seeds, coordinator, num_processes, process_id) != (None, None, None, None):
            raise UserError(
                "--ray starts the processes of one run itself; leave out --seeds, --coordinator, --num-processes and "
                "--process-id"
            )
        own = ["--device", device, *["--profile"] * profile, *["--json"] * as_json]
        own += ["--pool", str(pool)] if pool else []
        raise typer.Exit(_launch(ray, ray_restarts, heartbeat, target, resume, lambda go_on: [*again(go_on), *own]))
    from thinkaloud.cli.processes import in_processes
    from thinkaloud.config.flat import flat
    from thinkaloud.distributed.agreement import is_first
    from thinkaloud.pipeline.stopping import StopRequested

    shared_settings = {
        **flat(loaded.resolved()),
        "--resume": resume,
        "--deadline": "given" if deadline else "not given",
    }
    try:
        with (
            in_processes(coordinator, num_processes, process_id, shared_settings, heartbeat),
            open_display(silent=not is_first()) as display,
        ):
            from thinkaloud.pipeline.opening import TrainOptions
            from thinkaloud.pipeline.train import train as run_training

            options = TrainOptions(
                recipe=loaded,
                recipe_text=text,
                out=target,
                resume=resume,
                pool=pool,
                allowed_changes=allow_change or (),
                ends_at=until,
                track=track,
                profile=profile,
            )
            if seeds is not None:
                from thinkaloud.pipeline.seeds import train_series

                series = train_series(options, seeds, display)
            else:
                run = run_training(options, display)
    except StopRequested as stopped:
        if is_first():
            _print_stopped(
                stopped,
                target,
                shlex.join(["thinkaloud", "train", *again(True)]),
                as_json,
            )
        raise typer.Exit(stopped.code) from None
    if seeds is not None:
        _print_series(series, as_json)
    elif is_first():
        _print_result(run, as_json)


def _again(
    recipe: Path,
    target: Path,
    overrides: list[str],
    seeds: int | None,
    allow_change: list[str] | None,
    deadline: str | None,
    until: float | None,
    track: str | None,
    resume: bool,
) -> list[str]:
    """The arguments of `thinkaloud train` that start a run, or continue it."""
    from thinkaloud.durations import as_duration, is_clock, session_clock

    options = [("--out", str(target)), *(("--set", override) for override in overrides)]
    options += [("--seeds", str(seeds))] if seeds else []
    options += [("--allow-change", key) for key in allow_change or []]
    if deadline and until and (left := until - session_clock()) >= 1:
        options.append(("--deadline", deadline.strip() if is_clock(deadline) else as_duration(left)))
    if track:
        options.append(("--track", track))
    return [str(recipe), *sum(options, ()), *["--resume"] * resume]


def _launch(
    count: int, restarts: int, heartbeat: int, target: Path, resume: bool, arguments: Callable[[bool], list[str]]
) -> int:
    """Train in `count` processes by Ray; returns the exit code."""
    from thinkaloud.cli.ray_launcher import Cluster, launch
    from thinkaloud.storage.run_directory import RunDir

    return launch(
        Cluster(count),
        lambda restarted: arguments(resume or (restarted and RunDir(target).is_begun())),
        count,
        restarts,
        heartbeat_seconds=heartbeat,
        notify=lambda text: print(text, file=sys.stderr),
    )


def _print_stopped(stopped: StopRequested, target: Path, again: str, as_json: bool) -> None:
    from thinkaloud.storage.run_directory import RunDir

    begun = RunDir(target).is_begun() or RunDir(target / "seed-0").is_begun()
    print(f"{stopped}; " + (f"continue with: {again}" if begun else "the run was not started"), file=sys.stderr)
    if as_json:
        print_json({"run": str(target), "stopped": stopped.signal.name, "resume": again if begun else None})


def _print_series(series: dict[str, Any], as_json: bool) -> None:
    from thinkaloud.cli.compare import print_comparison

    if as_json:
        print_json(series)
        return
    if series["report"]:
        print_comparison(series)
        print(f"report: {series['report']}")
    print(f"run directories: {', '.join(series['runs'])}")


def _print_result(run: RunDir, as_json: bool) -> None:
    from thinkaloud.evaluate.summary import read_summary, summary_table

    path = run.evaluation / "summary.json"
    summary = read_summary(path) if path.exists() else {}  # missing if a deadline left no time
    report = run.path / "report.html"
    if as_json:
        print_json({"run": str(run.path), "report": str(report) if report.exists() else None, **summary})
        return
    if report.exists():
        print(f"report: {report}")
    print(f"run directory: {run.path}")
    if summary:
        print_table(summary_table(summary))
