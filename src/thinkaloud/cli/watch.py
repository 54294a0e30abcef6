"""`watch`."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from thinkaloud.cli.app import RunPath, app


@app.command()
def watch(
    run: RunPath,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 takes a free one.")] = 8765,
    every: Annotated[int, typer.Option(min=2, help="Seconds between looks at the run.")] = 20,
) -> None:
    """Serve the report of a run while it trains, on this machine alone; the page follows by itself. Ctrl-C ends.

    Example: thinkaloud watch runs/first
    """
    from thinkaloud.report.serve import LivePage, Server

    live = LivePage(run, every)
    live.current()  # a mistaken directory is said now, not in the browser
    with Server(live, port) as server:
        print(server.address, flush=True)
        print("watching; Ctrl-C ends", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
