"""The command line, with one file per command. stdout carries results only; progress and messages go to stderr.

`exits` defines the exit codes. Heavy modules are imported inside the commands, so that `score`, `prompt` and `domains`
start without JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import NoReturn

from thinkaloud.cli import exits
from thinkaloud.cli.app import PANELS, app

__all__ = ["app", "main"]

for _names in PANELS.values():
    for _name in _names:
        import_module(f"{__name__}.{_name}")


def main() -> NoReturn:
    """Run a command; see `exits` for the exit codes."""
    exits.run(app)
