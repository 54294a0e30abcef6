"""`generate`: one question, one or more answers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from thinkaloud.cli.app import AsJson, Device, Mismatch, RunPath, Stage, app, plain_text, print_json, to_stderr
from thinkaloud.errors import UserError


@app.command()
def generate(
    run: RunPath,
    question: Annotated[str | None, typer.Argument(help="The question; default: standard input.")] = None,
    stage: Stage = "trained",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    samples: Annotated[int, typer.Option(min=1, help="Completions to sample.")] = 1,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    allow_contract_mismatch: Mismatch = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Answer one question through the run's own prompt contract.

    Example: thinkaloud generate runs/first "What is 17 + 25?"
    """
    from thinkaloud.inference.chat import open_chat

    asked = plain_text(question) if question is not None else sys.stdin.read()
    if not asked.strip():
        raise UserError("the question is empty; give it as an argument or on standard input")
    opened = open_chat(run, stage=stage, allow_contract_mismatch=allow_contract_mismatch, note=to_stderr)
    replies = opened.ask(asked, temperature=temperature, samples=samples, max_new_tokens=max_new_tokens, seed=seed)
    for reply in replies:
        if as_json:
            print_json(reply.as_dict())
        else:
            print(reply.text)
