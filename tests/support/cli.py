"""Running `thinkaloud` inside a test."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.xla import xla_flags

TINY = str(Path(__file__).parents[2] / "recipes" / "tiny.toml")


def one_device(**environment: str) -> dict[str, str]:
    """The environment of a program with one device: two on a machine with two cores only make it slower."""
    return {**os.environ, "XLA_FLAGS": xla_flags(1), **environment}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def mistake(self) -> str:
        """The one line that a user's mistake gets, after the line that names the device; stdout stays empty."""
        assert (self.code, self.out) == (2, ""), self
        error = re.sub(r"\Adevice: .*\n", "", self.err)
        assert error.startswith("error: "), self.err
        assert error.count("\n") == 1, self.err
        return error.removeprefix("error: ").strip()


Run = Callable[..., Ended]
"""Called with the arguments of `thinkaloud`, and `stdin` as bytes; see the fixture `run`."""
