"""The command line: thin, one function a command. stdout carries results only; progress and messages go to stderr.

How a command ends, and with which exit code, stands in `exits`. Heavy modules are imported inside the commands, so that
`score`, `prompt` and `domains` start without JAX. Each file is named after its command.
"""

from __future__ import annotations

from importlib import import_module
from typing import NoReturn

from thinkaloud.cli import exits
from thinkaloud.cli.app import app

__all__ = ["app", "main"]

COMMANDS = (
    *("data", "audit", "train", "eval", "report", "rollouts", "compare", "watch"),
    *("generate", "chat", "serve", "export", "score", "prompt", "domains", "sandbox", "bench"),
)
"""Modules that register commands, in the order of `thinkaloud --help`."""

for _name in COMMANDS:
    import_module(f"{__name__}.{_name}")


def main() -> NoReturn:
    """Run a command; see `exits` for how it ends."""
    exits.run(app)
