"""`watch`: the live report of a run."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from thinkaloud.cli.app import RunPath, app


@app.command()
def watch(
    run: RunPath,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any free port.")] = 8765,
    every: Annotated[int, typer.Option(min=2, help="Seconds between updates.")] = 20,
) -> None:
    """Serve the report of a run while it trains, on loopback only. The page updates itself. Ctrl-C ends.

    Example: thinkaloud watch runs/first
    """
    from thinkaloud.report.serve import LivePage, Server

    live = LivePage(run, every)
    live.current()  # raises UserError for a wrong directory before the server starts
    with Server(live, port) as server:
        print(server.address, flush=True)
        print("Ctrl-C stops", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
