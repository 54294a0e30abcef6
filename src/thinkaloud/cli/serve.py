"""`serve`: an OpenAI-compatible server for a run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from thinkaloud.cli.app import Device, Mismatch, RunPath, Stage, app, to_stderr


@app.command()
def serve(
    run: RunPath,
    stage: Stage = "trained",
    host: Annotated[
        str, typer.Option(help="The address to listen on; any other than loopback needs a proxy in front.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Limit per answer; default: the recipe's.")] = None,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests in flight; more get status 429.")] = 32,
    max_batch: Annotated[int, typer.Option(min=1, help="Answers decoded at once.")] = 16,
    allow_contract_mismatch: Mismatch = False,
    device: Device = "auto",
) -> None:
    """Serve OpenAI's chat completions through the run's own prompt contract, until Ctrl-C.

    The reasoning is returned as `reasoning_content`, the answer as `content`. THINKALOUD_API_KEY sets a key that
    clients must send.

    Example: thinkaloud serve runs/first --port 8000
    """
    from thinkaloud.inference.batch import Limits
    from thinkaloud.inference.chat import open_chat
    from thinkaloud.inference.server import open_server

    chat = open_chat(run, stage=stage, allow_contract_mismatch=allow_contract_mismatch, note=to_stderr)
    rollout = chat.session.recipe.rollout
    limits = Limits(
        max_new_tokens=max_new_tokens or rollout.max_new_tokens,
        max_prompt_tokens=rollout.max_prompt_tokens,
        max_requests=max_requests,
        max_batch=max_batch,
    )
    name = chat.session.recipe.name
    with open_server(chat.policy, chat.adapter, name=name, limits=limits, host=host, port=port) as server:
        shown = f"[{host}]" if ":" in host else host
        print(f"serving {name!r} at http://{shown}:{server.port}/v1; Ctrl-C stops", file=sys.stderr)
        server.run()
