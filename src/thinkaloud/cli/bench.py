"""`bench`: speed of a GRPO step, of the samplers, of the sandbox, of the rewards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkaloud.cli.app import AsJson, Device, Overrides, app, open_display, print_json, print_table

if TYPE_CHECKING:
    from thinkaloud.config import Recipe


@app.command(no_args_is_help=True)
def bench(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A recipe, `sandbox` or `rewards`.")],
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure trl or tunix; trl=float32: in one dtype; trl+vllm, +liger, +compile: with these."
        ),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="vllm: measure sampling alone, by the JAX sampler and by vLLM (docs/vllm.md).")
    ] = None,
    rows: Annotated[
        list[int] | None, typer.Option(help="With --sampler: completions at once; 16, 64 and 256. Repeatable.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Blocks per engine; engines alternate.")] = 2,
    batches: Annotated[int, typer.Option(min=1, help="Steps with prompts of their own, of other lengths.")] = 3,
    repeats: Annotated[
        int, typer.Option(min=1, help="Timed steps per block on each batch, or with --sampler timed calls.")
    ] = 1,
    prompt_tokens: Annotated[
        int | None, typer.Option(min=1, help="Use the pool's prompts nearest to this length.")
    ] = None,
    peers_python: Annotated[
        Path | None, typer.Option(help="Python of the peers' environment; default: .venv-peers.")
    ] = None,
    overrides: Overrides = None,
    programs: Annotated[int, typer.Option(min=1, help="bench sandbox: programs in the batch.")] = 2000,
    completions: Annotated[int, typer.Option(min=1, help="bench rewards: completions per domain.")] = 300,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Measure a GRPO step of a recipe, its samplers, the sandbox, or the rewards.

    A recipe: seconds per step, also of other trainers on the same work. With --sampler vllm: tokens per second of the
    JAX sampler and of vLLM. `sandbox`: programs per second. `rewards`:
    completions scored per second by domain (without coding), and math-verify alone on the same math answers.

    Example: thinkaloud bench recipes/bench.toml --peer trl

    Example: thinkaloud bench starter --sampler vllm

    Example: thinkaloud bench sandbox

    Example: thinkaloud bench rewards
    """
    if target == "sandbox":
        _show(_sandbox(programs), as_json, _print_sandbox)
        return
    if target == "rewards":
        _show(_rewards(completions), as_json, _print_rewards)
        return
    from thinkaloud.config import load_recipe

    if sampler is not None:
        _show(_samplers(sampler, load_recipe(Path(target), overrides or ()), rows, repeats), as_json, _print_samplers)
        return
    from thinkaloud.bench.measure import run_bench

    with open_display() as display:
        found = run_bench(
            load_recipe(Path(target), overrides or ()),
            peer or (),
            rounds=rounds,
            batches=batches,
            repeats=repeats,
            prompt_tokens=prompt_tokens,
            peers_python=peers_python,
            note=display.note,
        )
    _show(found, as_json, _print_engines)


def _show(found: dict[str, Any], as_json: bool, print_readable: Callable[[dict[str, Any]], None]) -> None:
    (print_json if as_json else print_readable)(found)


def _sandbox(programs: int) -> dict[str, Any]:
    from thinkaloud.sandbox.bench import run_bench

    return run_bench(programs)


def _print_sandbox(found: dict[str, Any]) -> None:
    print(f"level {found['level']}, {found['workers']} workers")
    for name in ("sandbox", "subprocess"):
        row = found[name]
        print(
            f"{name:<10}  {row['programs']} programs, {row['programs_per_second']} per second, "
            f"median {row['median_latency_ms']} ms, 95th percentile {row['p95_latency_ms']} ms"
        )
    print(f"ratio: {found['speedup']}")


def _samplers(sampler: str, recipe: Recipe, rows: list[int] | None, repeats: int) -> dict[str, Any]:
    from thinkaloud.bench.samplers import ROWS, run_sampler_bench
    from thinkaloud.errors import UserError

    if sampler != "vllm":
        raise UserError(f"--sampler {sampler}: expected vllm, which is measured beside the JAX sampler")
    with open_display() as display:
        return run_sampler_bench(recipe, rows=rows or ROWS, repeats=repeats, note=display.note)


def _print_samplers(found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    work = found["work"]
    print(
        f"{work['model']} in {work['dtype']}: groups of {work['group_size']} completions of {work['new_tokens']} "
        f"tokens; {found['device']}"
    )
    table = Table("sampler", "rows", "seconds", "min to max", "first s", "tokens/s", box=box.SIMPLE_HEAD)
    for row in found["results"]:
        seconds = row["seconds"]
        table.add_row(
            row["sampler"],
            str(row["rows"]),
            f"{seconds['median']:.2f}",
            f"{seconds['min']:.2f} to {seconds['max']:.2f}",
            f"{row['first_seconds']:.1f}",
            f"{row['tokens_per_second']:.1f}",
        )
    print_table(table)


def _rewards(completions: int) -> dict[str, Any]:
    from thinkaloud.rewards.speed import run_speed

    return run_speed(completions)


def _print_rewards(found: dict[str, Any]) -> None:
    from thinkaloud.rewards.speed import speed_lines

    print("\n".join(speed_lines(found)))


def _print_engines(found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    work, roofline = found["work"], found["roofline"]
    prompts = "; ".join(", ".join(map(str, batch)) for batch in work["prompt_tokens"])
    print(
        f"{work['model']}: prompts of {prompts} tokens x {work['group_size']} completions of {work['new_tokens']}, "
        f"{work['inner_iterations']} inner iteration(s), beta {work['beta']}"
    )
    headings = "engine", "dtype", "step s", "min to max", "rollout tok/s", "update tok/s", "GB", "compile s", "ratio"
    table = Table(*headings, box=box.SIMPLE_HEAD)
    for row in found["results"]:
        seconds = row["step_seconds"]
        table.add_row(
            f"{row['engine']} {row['version']}",
            row["dtype"],
            f"{seconds['typical']:.2f}",
            f"{seconds['min']:.2f} to {seconds['max']:.2f}",
            f"{row['rollout_tokens_per_second']:.1f}",
            f"{row['update_tokens_per_second']:.1f}",
            f"{row['peak_memory_bytes'] / 1e9:.2f}",
            f"{row['compile_seconds']:.1f}",
            f"{found['ratios'].get(row['engine'], 1.0):.2f}",
        )
    print_table(table)
    for row in found["skipped"]:
        print(f"skipped: {row['engine']} {row.get('dtype', '')}".rstrip() + f": {row['reason']}")
    print(
        f"machine: {roofline['copy_bytes_per_second'] / 1e9:.1f} GB/s copied, "
        f"{roofline['matrix_flops_per_second'] / 1e9:.0f} GFLOP/s in {roofline['dtype']}; share reached: rollout "
        f"{roofline['share']['rollout']:.0%}, update {roofline['share']['update']:.0%}"
    )
