"""Agreement between the processes of a run, through the key-value store of JAX's coordination service.

Every process runs the whole program on the same recipe. Decisions that could differ between processes (a clock, a
signal, a file that exists) are made in the primary process, process 0. Values travel as JSON, and with each the primary
process's clock, so that its time needs no exchange of its own. A single process exchanges nothing.
`distributed/processes.py` connects and disconnects the processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import TypeAdapter

from thinkaloud.config.flat import changed_keys
from thinkaloud.durations import session_clock
from thinkaloud.errors import ProcessLost, UserError

T = TypeVar("T")

KEY = "thinkaloud"
"""Prefix of the keys of this module."""
PART_BYTES = 1 << 20
"""A longer value is stored in parts."""
LOOK_SECONDS = 1
"""How often a process that waits for a value looks whether another one was lost."""
SENT_ERRORS: tuple[type[Exception], ...] = (UserError, OSError)
"""Errors of the primary process that `from_first` raises in all processes."""


@runtime_checkable
class Store(Protocol):
    """What is used of the client of JAX's coordination service."""

    def key_value_set_bytes(self, key: str, value: bytes, /) -> None: ...
    def blocking_key_value_get_bytes(self, key: str, timeout_in_ms: int, /) -> bytes: ...
    def key_value_delete(self, key: str, /) -> None: ...


class Processes:
    """The processes of a run, from the point of view of one of them.

    Args:
        index: The index of this process, from 0.
        count: The number of processes.
        store: A store that all of them reach; None for a single process.
        check: Raises ProcessLost if another process has ended.
    """

    def __init__(
        self, index: int = 0, count: int = 1, store: Store | None = None, check: Callable[[], None] = lambda: None
    ) -> None:
        self.index, self.count = index, count
        self._store, self._check = store, check
        self._exchanges = 0
        self._own: list[str] = []  # keys that this process has set and that some process may not have read
        self._leading = False  # the primary process works alone while the others wait for its result
        self._clock = 0.0  # of the primary process, at the last exchange

    @property
    def alone(self) -> bool:
        return self.count == 1 or self._leading

    @property
    def clock(self) -> float:
        """See `agreement.shared_clock`."""
        return session_clock() if self.alone else self._clock

    def gather(self, value: T, kind: Any = Any) -> list[T]:
        """The values of all processes, in the order of processes; see `agreement.gather`."""
        if self.alone:
            return [value]
        name, read = self._next(), self._own
        self._own = []
        self._send(f"{name}/{self.index}", {"value": encode(value, kind)})
        others = [None if i == self.index else self._receive(f"{name}/{i}", i) for i in range(self.count)]
        for key in read:  # all have begun this exchange, so they have read what was set for earlier ones
            self._delete(key)
        return [value if found is None else decode(found["value"], kind) for found in others]

    def from_first(self, work: Callable[[], T], kind: Any = Any, raises: Sequence[type[Exception]] = ()) -> T:
        """Call `work` in the primary process only; see `agreement.from_first`."""
        if self.alone:
            return work()
        name, kinds = self._next(), (*SENT_ERRORS, *raises)
        if self.index:
            outcome = self._receive(name, 0)
            if "error" in outcome:
                raise kinds[outcome["error"]](*outcome["args"])
            found: T = decode(outcome["value"], kind)
            return found
        self._leading = True
        try:
            value = work()
        except kinds as error:
            number = next(i for i, one in enumerate(kinds) if isinstance(error, one))
            args = [str(error)] if isinstance(error, UserError) else list(error.args)
            self._send(name, {"error": number, "args": args})
            raise
        finally:
            self._leading = False
        self._send(name, {"value": encode(value, kind)})
        return value

    def _next(self) -> str:
        self._exchanges += 1
        return f"{KEY}/{self._exchanges}"

    def _send(self, key: str, message: dict[str, Any]) -> None:
        """Set a message, with the time."""
        clock = session_clock()
        self._set(key, json.dumps({**message, "clock": clock}).encode())
        if self.index == 0:
            self._clock = clock

    def _receive(self, key: str, sender: int) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._get(key))
        if sender == 0:
            self._clock = message["clock"]
        return message

    def _set(self, key: str, value: bytes) -> None:
        assert self._store is not None
        parts = [value[first : first + PART_BYTES] for first in range(0, len(value), PART_BYTES)]
        with self._connection():
            for number, part in enumerate(parts):
                self._store.key_value_set_bytes(f"{key}/{number}", part)
                self._own.append(f"{key}/{number}")
            self._store.key_value_set_bytes(f"{key}/parts", str(len(parts)).encode())
        self._own.append(f"{key}/parts")

    def _get(self, key: str) -> bytes:
        return b"".join(self._wait(f"{key}/{number}") for number in range(int(self._wait(f"{key}/parts"))))

    def _wait(self, key: str) -> bytes:
        assert self._store is not None
        while True:
            self._check()
            with suppress(_NotYet), self._connection():
                return self._store.blocking_key_value_get_bytes(key, LOOK_SECONDS * 1000)

    @contextmanager
    def _connection(self) -> Iterator[None]:
        from jax.errors import JaxRuntimeError  # the command line imports this module before JAX may be imported

        try:
            yield
        except JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" in str(error):
                raise _NotYet from None
            self._check()  # it may know the reason
            raise ProcessLost(gone(0)) from error

    def _delete(self, key: str) -> None:
        assert self._store is not None
        with self._connection():
            self._store.key_value_delete(key)


class _NotYet(Exception):
    """No process has set the value yet."""


def gone(*processes: int) -> str:
    """The message about processes that ended without a word."""
    named = ", ".join(map(str, processes))
    return f"process {named} is gone; see its output, then continue with --resume in all processes"


def encode(value: Any, kind: Any = Any) -> Any:
    """A value made of JSON's own types; floats keep every bit.

    Args:
        kind: Its type, made of records (dataclasses, named tuples, enums), lists, tuples and JSON's own types. Any: of
            JSON's own types alone, as `value` is then.
    """
    return value if kind is Any else _adapter(kind).dump_python(value)


def decode(plain: Any, kind: Any = Any) -> Any:
    """The value that `encode` was given."""
    return plain if kind is Any else _adapter(kind).validate_python(plain)


@cache
def _adapter(kind: Any) -> Any:
    return TypeAdapter(kind)


_processes = Processes()


def join(processes: Processes) -> None:
    """Set the processes that the functions below use."""
    global _processes
    _processes = processes


def require_same(settings: Sequence[Mapping[str, Any]]) -> None:
    """Check that all processes have the same settings.

    Args:
        settings: The settings of each process by name.

    Raises:
        UserError: A value differs; names the key and both values.
    """
    for index, other in enumerate(settings):
        for key in changed_keys(dict(settings[0]), dict(other)):
            raise UserError(
                f"process {index} differs from process 0 in {key}: expected {_short(settings[0].get(key))}, found "
                f"{_short(other.get(key))}; start all processes with the same recipe, options, model and version"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def is_first() -> bool:
    """Whether this is the primary process, which writes the run directory."""
    return _processes.index == 0


def index() -> int:
    """The index of this process, from 0."""
    return _processes.index


def alone() -> bool:
    """Whether there is nothing to exchange with other processes."""
    return _processes.alone


def shared_clock() -> float:
    """`durations.session_clock` of the primary process, the same in all processes: the time of their last exchange.

    In a single process, the time now.
    """
    return _processes.clock


def own_rows(count: int) -> range:
    """The block of `count` rows that this process works on; block sizes differ by at most one."""
    parts, index = (1, 0) if _processes.alone else (_processes.count, _processes.index)
    base, extra = divmod(count, parts)
    first = index * base + min(index, extra)
    return range(first, first + base + (index < extra))


def share(count: int, work: Callable[[range], Sequence[T]], kind: Any = Any) -> list[T]:
    """Call `work` on the rows of this process, and return the results of all processes in the order of the rows.

    Args:
        kind: The type of one result, see `encode`.
    """
    own = list(work(own_rows(count)))
    return own if alone() else [result for part in gather(own, list[kind]) for result in part]


def gather(value: T, kind: Any = Any) -> list[T]:
    """The values of all processes, in the order of processes.

    Args:
        kind: The type of `value`, see `encode`.

    Raises:
        ProcessLost: Another process has ended.
    """
    return _processes.gather(value, kind)


def from_first(work: Callable[[], T], kind: Any = Any, raises: Sequence[type[Exception]] = ()) -> T:
    """Call `work` in the primary process only; return its result, or raise its error, in all processes.

    During the call the primary process counts as alone, so `work` may call functions that gather.

    Args:
        work: A UserError or OSError from it is raised in all processes. Any other error ends the primary process, and
            with it the others.
        kind: The type of its result, see `encode`.
        raises: Further errors that are raised in all processes, made again from their `args`.

    Raises:
        ProcessLost: Another process has ended.
    """
    return _processes.from_first(work, kind, raises)
