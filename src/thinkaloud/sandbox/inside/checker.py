"""The child that runs tests beyond `call == literal`. It never runs the program.

Unbound names in the tests are functions of the program: calls go through the trainer to the solver, and values come
back as plain data of exact built-in types. Arguments are copied, so changes that the program makes are not visible.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import types
from typing import Any

from . import codec, wire


class SolutionError(Exception):
    """A call of the program raised an exception that is not built in, or returned something other than plain data."""


class SolutionFunction:
    """Stands for a function of the program: calling it asks the solver."""

    def __init__(self, channel: int, name: str) -> None:
        self._channel = channel
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        wire.write_frame(self._channel, wire.CALL, codec.encode((self.__name__, args, kwargs)))
        kind, payload = wire.read_frame(self._channel)
        if kind == wire.VALUE:
            return codec.decode(payload)
        type_name, _, message = payload.decode("utf-8", "replace").partition("\0")
        error = getattr(builtins, type_name, None) if kind == wire.RAISED else None
        if isinstance(error, type) and issubclass(error, Exception):
            try:
                raised = error(message)
            except Exception:  # UnicodeDecodeError and others need more arguments
                raise SolutionError(f"{type_name}: {message}") from None
            raise raised
        raise SolutionError(f"{type_name}: {message}")


def _resolve(path: str) -> Any:
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


def check(channel: int, job: bytes) -> None:
    """Run each test, one frame for each: it passed, or why not.

    Args:
        channel: descriptor of the channel.
        job: codec bytes of (setup, tests, names of the program's functions, name to `module` or `module:name`).
    """
    setup, tests, functions, standard = codec.decode(job)
    module = types.ModuleType("tests")
    namespace = module.__dict__
    for name, path in standard.items():
        namespace[name] = _resolve(path)
    for name in functions:
        namespace[name] = SolutionFunction(channel, name)
    for statement in ast.parse(setup).body:
        try:
            exec(compile(ast.Module([statement], []), "<setup>", "exec", dont_inherit=True), namespace)
        except Exception:  # what needs the program's own objects cannot be built here; a test that uses it fails
            continue
    for test in tests:
        try:
            exec(compile(test, "<test>", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            wire.write_frame(channel, wire.FAILED, wire.describe(error))
        else:
            wire.write_frame(channel, wire.PASSED)
