"""`sandbox check`, `bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, app, print_json

sandbox_app = typer.Typer(no_args_is_help=True, help="The jail that model-written code runs in.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure, side by side with peers.")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(bench_app, name="bench")


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
        print_json(found)
        return
    print(f"level {found['level']}, {found['workers']} workers")
    for name in ("sandbox", "subprocess"):
        row = found[name]
        print(
            f"{name:<10}  {row['programs']} programs, {row['programs_per_second']} a second, "
            f"median {row['median_latency_ms']} ms, 95th percentile {row['p95_latency_ms']} ms"
        )
    print(f"ratio: {found['speedup']}")
