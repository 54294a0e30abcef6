"""The application object, the options that commands share, and functions that print results."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import thinkaloud
from thinkaloud.errors import UserError

if TYPE_CHECKING:
    from thinkaloud.tracking.display import Display

PANELS = {
    "Train": ("init", "data", "audit", "train"),
    "Look at a run": ("eval", "report", "rollouts", "compare", "watch"),
    "Use the trained model": ("generate", "chat", "serve", "export"),
    "Tools": ("recipes", "score", "prompt", "domains", "sandbox", "bench"),
}
"""The commands by panel, in the order of `thinkaloud --help`; each is a module that registers it."""


class Grouped(TyperGroup):
    """A group that lists its commands by panel, in plain text."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = formatter.width - 6 - max(map(len, self.commands))
        for panel, names in PANELS.items():
            with formatter.section(panel):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])


app = typer.Typer(
    cls=Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train a small open language model to write its reasoning before its answer.",
)


def _print_version(wanted: bool | None) -> None:
    if wanted:
        print(f"thinkaloud {thinkaloud.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = None,
) -> None:
    pass


RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe, such as starter.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory that `thinkaloud train` wrote.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field, such as grpo.max_steps=20.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Read sources from DIR/NAME/SPLIT.jsonl, .jsonl.gz or .parquet."),
]


def _use_device(device: str) -> str:
    """Choose JAX's backend for this process and those that it starts.

    Raises:
        UserError: Neither `auto` nor `cpu`.
    """
    if device not in ("auto", "cpu"):
        raise UserError(f"--device {device!r}: expected auto or cpu; auto takes the accelerator")
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        if "jax" in sys.modules:  # it has read the environment already
            import jax

            settings: Any = jax.config
            settings.update("jax_platforms", "cpu")
    return device


Device = Annotated[
    str,
    typer.Option(callback=_use_device, help="auto: the accelerator if there is one; cpu: the CPU in any case."),
]
"""The callback does all of it: a command only declares the option."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Mismatch = Annotated[
    bool, typer.Option("--allow-contract-mismatch", help="Continue even if the tokenizer produces other prompts.")
]
Stage = Annotated[str, typer.Option(help="Which model of the run: base, cold_start or trained.")]


def print_json(value: Any) -> None:
    """Print one line of JSON; characters that can control a terminal are escaped, also above ASCII."""
    text = json.dumps(value, ensure_ascii=False)
    print(text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text))


def print_table(table: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 100).print(table)


def open_display(*, silent: bool = False) -> Display:
    from thinkaloud.tracking.display import Display

    return Display(io.StringIO() if silent else None)


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def plain_text(argument: str) -> str:
    """A command-line argument decoded as UTF-8, independently of the locale."""
    return os.fsencode(argument).decode("utf-8", "replace")


def with_mesh(overrides: list[str], mesh: str | None) -> list[str]:
    """The overrides with `--mesh data=2,fsdp=4`, which is short for `--set mesh.data=2 --set mesh.fsdp=4`."""
    from thinkaloud.config.mesh import parse_mesh

    if mesh == "auto":
        return [*overrides, "mesh=auto"]
    return [*overrides, *(f"mesh.{axis}={size}" for axis, size in parse_mesh(mesh).items())] if mesh else overrides


def with_data_dir(overrides: list[str] | None, data_dir: Path | None) -> list[str]:
    """The overrides with `--data-dir DIR`, which is short for `--set data.dir=DIR`."""
    given = list(overrides or [])
    return given if data_dir is None else [*given, f"data.dir={json.dumps(str(data_dir), ensure_ascii=False)}"]


def with_engine(overrides: list[str], engine: str | None) -> list[str]:
    """The overrides with `--engine NAME`, which is short for `--set engine=NAME`."""
    return overrides if engine is None else [*overrides, f"engine={engine}"]
