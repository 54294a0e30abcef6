"""The child that runs the program. It makes the requested calls and returns their values as plain data.

It knows the arguments of the calls and nothing of what is expected of them; whatever a program does to this process,
it can only choose what values, or what nonsense, come back.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from . import codec, wire

_OUT_OF_MEMORY = b"MemoryError\0"


def _answer(channel: int, compute: Callable[[], Any]) -> None:
    try:
        value = compute()
    except MemoryError:
        wire.write_frame(channel, wire.RAISED, _OUT_OF_MEMORY)
        return
    except BaseException as error:
        wire.write_frame(channel, wire.RAISED, wire.describe(error))
        return
    try:
        payload = codec.encode(value)
    except MemoryError:
        wire.write_frame(channel, wire.RAISED, _OUT_OF_MEMORY)
    except BaseException as error:
        wire.write_frame(channel, wire.UNFIT, wire.describe(error))
    else:
        wire.write_frame(channel, wire.VALUE, payload)


def _evaluate(namespace: dict[str, Any], source: str) -> Any:
    return eval(compile(source, "<test>", "eval", dont_inherit=True), namespace)


def _call(namespace: dict[str, Any], payload: bytes) -> Any:
    name, args, kwargs = codec.decode(payload)
    if name in namespace:
        function = namespace[name]
    else:
        raise NameError(f"name {name!r} is not defined")
    return function(*args, **kwargs)


def solve(channel: int, job: bytes) -> None:
    """Load the program and answer: the calls of the job first, then single calls until the trainer disconnects.

    Args:
        channel: descriptor of the channel.
        job: codec bytes of (code, setup, call sources, True when more calls will come from a checker).
    """
    code, setup, calls, serve = codec.decode(job)
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    namespace = module.__dict__
    try:
        exec(compile(code, "<solution>", "exec", dont_inherit=True), namespace)
        if setup:
            exec(compile(setup, "<setup>", "exec", dont_inherit=True), namespace)
    except MemoryError:
        wire.write_frame(channel, wire.LOAD_FAILED, _OUT_OF_MEMORY)
        return
    except BaseException as error:
        wire.write_frame(channel, wire.LOAD_FAILED, wire.describe(error))
        return
    for source in calls:
        _answer(channel, partial(_evaluate, namespace, source))
    while serve:
        try:
            _, payload = wire.read_frame(channel)
        except EOFError:
            return
        _answer(channel, partial(_call, namespace, payload))
