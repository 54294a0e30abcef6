"""`eval`: rates on held-out tasks, by domain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkaloud.cli.app import AsJson, Device, Mismatch, RunPath, app, open_display, print_json, print_table
from thinkaloud.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table


@app.command(name="eval")
def evaluate(
    run: RunPath,
    split: Annotated[str | None, typer.Option(help="train, validation or test; default: the recipe's.")] = None,
    stage: Annotated[list[str] | None, typer.Option(help="Only these stages: base, cold_start, trained.")] = None,
    reading: Annotated[
        list[str] | None, typer.Option(help="Only the base, asked in another way: plain, example.")
    ] = None,
    tasks_per_domain: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
    tasks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines with domain, question, answer, instead of the run's tasks."),
    ] = None,
    on: Annotated[
        str | None, typer.Option(metavar="NAME[:SPLIT]", help="A data set by name, such as svamp or gsm8k:test.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="With --on: a folder of NAME/SPLIT files; default: the hub.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="One checkpoint, RUN/checkpoints/NAME.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another model, a Hugging Face directory, on the run's tasks.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Completions per task; more than one gives pass@k and a majority vote.")
    ] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    contracts: Annotated[
        bool, typer.Option("--contracts", help="The trained model with its own prompt and with mismatched ones.")
    ] = False,
    variant: Annotated[list[str] | None, typer.Option(help="With --contracts: only these mismatches.")] = None,
    judge: Annotated[
        bool,
        typer.Option("--judge", help="Let the judge of the recipe's [judge] mark creative answers (docs/judge.md)."),
    ] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="judge.KEY=VALUE", help="With --judge: another judge.")
    ] = None,
    allow_contract_mismatch: Mismatch = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Answer held-out tasks: rates per domain with intervals, and paired tests between stages.

    Without options the run's own evaluation and report are rewritten. Results for other tasks, models or sampling go to
    a separate folder in the run's eval/. A killed evaluation continues where it stopped.

    Example: thinkaloud eval runs/first --samples 8 --temperature 0.7 --json
    """
    if variant and not contracts:
        raise UserError("--variant selects prompts of --contracts; add --contracts, or remove --variant")
    from thinkaloud.evaluate.options import EvalOptions
    from thinkaloud.evaluate.run import evaluate_run
    from thinkaloud.evaluate.summary import summary_table
    from thinkaloud.report.build import build_report

    options = EvalOptions(
        split=split,
        tasks_per_domain=tasks_per_domain,
        tasks_file=tasks,
        data_set=on,
        data_dir=data_dir,
        stages=stage or (),
        readings=reading or (),
        checkpoint=checkpoint,
        model=model,
        samples=samples,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        seed=seed,
        judge=judge,
        overrides=overrides or (),
    )
    with open_display() as display:
        if contracts:
            from thinkaloud.evaluate.contract_experiment import contract_experiment

            summary = contract_experiment(
                run,
                options,
                names=variant or (),
                allow_contract_mismatch=allow_contract_mismatch,
                display=display,
            )
            build_report(run)
        else:
            done = evaluate_run(run, options, allow_contract_mismatch=allow_contract_mismatch, display=display)
            summary = done.summary
            if done.is_own:
                build_report(run)
    if as_json:
        print_json(summary)
    elif contracts:
        print_table(_contracts_table(summary))
        _print_sentences(entry.get("against_matched", {}) for entry in summary["variants"])
    else:
        print_table(summary_table(summary))
        _print_sentences([summary["headline"] or {}, *summary["comparisons"]])
        _print_samples(summary)
        _print_judge(summary)


def _print_sentences(entries: Any) -> None:
    for entry in entries:
        if "sentence" in entry:
            print(entry["sentence"])


def _print_samples(summary: dict[str, Any]) -> None:
    """Print pass@k and the majority vote, where tasks have several samples."""
    from thinkaloud.evaluate.rows import STAGE_LABELS
    from thinkaloud.evaluate.summary import percent, percent_range

    for stage, result in summary["stages"].items():
        for prefix, name in (("", "strict accuracy"), ("answer_", "answer accuracy")):
            passes, majority = (result["overall"].get(f"{prefix}{key}") for key in ("pass_at", "majority"))
            if not passes:
                continue
            parts = [f"pass@{k} {percent(v['rate'])} {percent_range(v['interval'])}" for k, v in passes.items()]
            if majority:
                parts.append(f"majority {percent(majority['rate'])} {percent_range(majority['interval'])}")
            print(f"{STAGE_LABELS.get(stage, stage)}, {name}: {', '.join(parts)}")


def _print_judge(summary: dict[str, Any]) -> None:
    """Print the judge's marks, if there was a judge."""
    from thinkaloud.evaluate.rows import STAGE_LABELS

    for stage, result in summary["stages"].items():
        marks = result["overall"].get("judge")
        if not marks:
            continue
        left = f"; {marks['not_judged']} not judged" if marks["not_judged"] else ""
        means = [
            f"{part} {marks[part]:.1f} [{marks[f'{part}_interval'][0]:.1f}, {marks[f'{part}_interval'][1]:.1f}]"
            for part in ("reasoning", "answer", "overall")
            if marks[part] is not None
        ]
        name = (summary.get("judge") or {}).get("model", "a judge")
        print(f"{STAGE_LABELS.get(stage, stage)}, judged by {name}: {', '.join(means) or 'none'} of {marks['n']}{left}")


def _contracts_table(summary: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    from thinkaloud.evaluate.summary import percent, percent_range

    table = Table(title=f"{summary['stage']} model, {summary['n']} tasks ({summary['split']})", box=box.SIMPLE_HEAD)
    for heading in ("prompt", "format [95 %]", "gained", "lost", "ids differ at"):
        table.add_column(heading, justify="left" if heading == "prompt" else "right")
    for entry in summary["variants"]:
        against, difference = entry.get("against_matched") or {}, entry["first_difference"]
        table.add_row(
            f"{entry['name']}: {entry['description']}",
            f"{percent(entry['format_rate'])} {percent_range(entry['format_interval'])}",
            str(against.get("gained", "")),
            str(against.get("lost", "")),
            "" if difference is None else f"{difference['position']} of {difference['num_expected']}",
        )
    return table
