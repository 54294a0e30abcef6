"""A scorer in a Python file of the user's own: `path/to/my_scorer.py:score`."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from thinkaloud.domains.base import FULL, CodeRunner, DomainScore, unscorable
from thinkaloud.errors import UserError, nearest
from thinkaloud.records import Status, Task


@dataclass(frozen=True, slots=True)
class ScorerFile:
    """A scorer that is loaded at its first use, so that commands which only read a run do not execute the file.

    Its function has the signature of the package's scorers: `(task, reasoning, answer, sandbox) -> DomainScore`. An
    exception or a wrong return value makes the completion `unscorable`: it is left out of the loss, and the
    explanation says why.

    Args:
        key: The recipe key, for messages.
        spec: `FILE.py:FUNCTION`; a relative path starts at the working directory.
    """

    key: str
    spec: str

    def __call__(self, task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
        function = self.load()
        try:
            found = function(task, reasoning, answer, sandbox)
        except (Exception, SystemExit) as error:
            return unscorable(f"{self.spec} raised {_one_line(error)}")
        problem = _problem(found)
        return unscorable(f"{self.spec}: {problem}") if problem else found

    def load(self) -> Callable[..., Any]:
        """The function.

        Raises:
            UserError: There is no such file or function, or the file cannot be executed.
        """
        file, separator, name = self.spec.rpartition(":")
        if not separator or not file or not name.isidentifier():
            raise UserError(f"{self.key}: expected FILE.py:FUNCTION, such as my_scorer.py:score; found {self.spec!r}")
        path = Path(file).expanduser()
        if not path.is_file():
            raise UserError(
                f"{self.key}: expected a Python file, found none at {file!r}; fix the path, which is relative to the "
                "working directory"
            )
        module = _module(self.key, path.resolve(), path.stat().st_mtime_ns)
        function = getattr(module, name, None)
        if not callable(function):
            own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise UserError(f"{self.key}: expected a function {name!r} in {file}, found none{nearest(name, own)}")
        return function


@lru_cache(maxsize=64)
def _module(key: str, path: Path, modified: int) -> ModuleType:
    """The file as a module; executed again only if it was modified. Modules beside it can be imported."""
    del modified
    spec = importlib.util.spec_from_file_location(f"thinkaloud_scorer_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{key}: {path.name} cannot be loaded: {_one_line(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _problem(found: Any) -> str:
    """What is wrong with a scorer's return value; empty if nothing is."""
    if not isinstance(found, DomainScore):
        return f"expected a DomainScore, found {type(found).__name__}; return correct(), wrong() or no_answer()"
    value: Any = found.value
    if found.status not in tuple(Status):
        return f"expected a Status in status, found {found.status!r:.60}"
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= FULL + 1e-9:
        return f"expected a value from 0 to {FULL}, found {value!r:.60}"
    return ""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
