"""`export`: a model of a run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, Mismatch, RunPath, Stage, app, print_json


@app.command()
def export(
    run: RunPath,
    format: Annotated[str, typer.Option("--format", help="hf, peft, gguf or tunix.")],
    stage: Stage = "trained",
    dtype: Annotated[
        str | None, typer.Option(help="hf, tunix: bfloat16 or float32; gguf: float16, q8_0, bfloat16 or float32.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new folder; default: RUN/export/FORMAT-DTYPE.", show_default=False)
    ] = None,
    allow_contract_mismatch: Mismatch = False,
    as_json: AsJson = False,
) -> None:
    """Export a model of a run for other programs: transformers, vLLM, peft, llama.cpp, Tunix.

    Example: thinkaloud export runs/first --format hf --dtype float32
    """
    from thinkaloud.export import export_run

    done = export_run(run, format, stage=stage, dtype=dtype, out=out, allow_contract_mismatch=allow_contract_mismatch)
    if as_json:
        print_json(
            {
                "path": str(done.path),
                "format": done.format,
                "stage": done.stage,
                "dtype": done.dtype,
                "files": done.files,
            }
        )
    else:
        print(done.path)
