"""The child that runs tests beyond `call == literal`. It never runs the program.

Unbound names in the tests are functions of the program: calls go through the trainer to the solver, and values come
back as plain data of exact built-in types. Arguments are copied, so changes that the program makes are not visible.

An exception of the program must not end an iteration of the test silently: `assert all(map(f, [1, 2, 3]))` is true
when `f` raises StopIteration. Such exceptions arrive as `SolutionError`, and where neither the tests nor the setup
handle exceptions, a test in which the program raised anything fails.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import types
from collections.abc import Iterable
from typing import Any

from . import codec, wire

_ITERATION_ENDS = (StopIteration, StopAsyncIteration)
"""Exceptions that Python itself handles: `for`, `map`, `zip` and generators take them as the end of an iteration."""


class SolutionError(Exception):
    """A call of the program raised an exception that has no safe equal here, or returned other than plain data."""


class SolutionFunction:
    """Stands for a function of the program: calling it asks the solver."""

    def __init__(self, channel: int, name: str) -> None:
        self._channel = channel
        self.__name__ = name
        self.raised = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        wire.write_frame(self._channel, wire.CALL, codec.encode((self.__name__, args, kwargs)))
        kind, payload = wire.read_frame(self._channel)
        if kind == wire.VALUE:
            return codec.decode(payload)
        self.raised = True
        type_name, _, message = payload.decode("utf-8", "replace").partition("\0")
        error = getattr(builtins, type_name, None) if kind == wire.RAISED else None
        if isinstance(error, type) and issubclass(error, Exception) and not issubclass(error, _ITERATION_ENDS):
            try:
                raised = error(message)
            except Exception:  # UnicodeDecodeError and others need more arguments
                raise SolutionError(f"{type_name}: {message}") from None
            raise raised
        raise SolutionError(f"{type_name}: {message}")


def _expects_exceptions(sources: Iterable[str]) -> bool:
    """Whether any statement may expect an exception: `try`, `with`, or a call such as `assertRaises(ValueError, f)`."""
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Try | ast.TryStar | ast.With):
                return True
            if isinstance(node, ast.Attribute) and "raises" in node.attr.casefold():
                return True
    return False


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
    called = [SolutionFunction(channel, name) for name in functions]
    namespace.update({function.__name__: function for function in called})
    may_raise = _expects_exceptions((setup, *tests))
    for statement in ast.parse(setup).body:
        try:
            exec(compile(ast.Module([statement], []), "<setup>", "exec", dont_inherit=True), namespace)
        except Exception:  # what needs the program's own objects cannot be built here; a test that uses it fails
            continue
    for test in tests:
        for function in called:
            function.raised = False
        try:
            exec(compile(test, "<test>", "exec", dont_inherit=True), namespace)
            if not may_raise and any(function.raised for function in called):
                raise SolutionError("the program raised an exception, and the test went on without its value")
        except BaseException as error:
            wire.write_frame(channel, wire.FAILED, wire.describe(error))
        else:
            wire.write_frame(channel, wire.PASSED)
