"""`chat`: interactive questions."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from thinkaloud.cli.app import Device, Mismatch, RunPath, Stage, app, to_stderr
from thinkaloud.errors import UserError

ENDS = ("", "exit", "quit")


@app.command()
def chat(
    run: RunPath,
    stage: Stage = "trained",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
    allow_contract_mismatch: Mismatch = False,
    device: Device = "auto",
) -> None:
    """Answer questions interactively. Each question is independent, as in training.

    An empty line, `exit` or Ctrl-D ends.

    Example: thinkaloud chat runs/first
    """
    from thinkaloud.inference.chat import open_chat

    opened = open_chat(run, stage=stage, allow_contract_mismatch=allow_contract_mismatch, note=to_stderr)
    turn = 0
    to_stderr("one question per line; an empty line, exit or Ctrl-D ends")
    while True:
        print("question> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if line.strip().casefold() in ENDS:
            return
        turn += 1
        try:
            (reply,) = opened.ask(
                line.strip(), temperature=temperature, samples=1, max_new_tokens=max_new_tokens, seed=turn
            )
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)  # such as a question that is too long
            continue
        print(reply.readable(), flush=True)
