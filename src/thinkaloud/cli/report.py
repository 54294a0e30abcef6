"""`report`: page, write-up and figures of a run."""

from __future__ import annotations

import sys

from thinkaloud.cli.app import AsJson, RunPath, app, print_json


@app.command()
def report(run: RunPath, as_json: AsJson = False) -> None:
    """Write report.html, writeup.md and figures/ from the files of a run directory.

    Example: thinkaloud report runs/first
    """
    from thinkaloud.report.build import build_report

    page = build_report(run, notify=lambda line: print(f"incomplete: {line}", file=sys.stderr))
    if as_json:
        print_json({"report": str(page), "writeup": str(run / "writeup.md"), "figures": str(run / "figures")})
    else:
        print(page)
