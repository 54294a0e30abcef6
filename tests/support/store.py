"""The key-value store of JAX's coordination service, in memory, for processes that are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from jax.errors import JaxRuntimeError

from thinkaloud.distributed.agreement import Processes


class MemoryStore:
    """Keeps values in a dict; `broken` is the error of a lost connection."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.broken = ""
        self._changed = threading.Condition()

    def key_value_set_bytes(self, key: str, value: bytes, /) -> None:
        with self._changed:
            assert key not in self.values
            self.values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get_bytes(self, key: str, timeout_in_ms: int, /) -> bytes:
        with self._changed:
            if not self._changed.wait_for(lambda: key in self.values, timeout_in_ms / 1000):
                raise JaxRuntimeError(self.broken or f"DEADLINE_EXCEEDED: no key {key}")
            return self.values[key]

    def key_value_delete(self, key: str, /) -> None:
        with self._changed:
            del self.values[key]


def together(count: int, work: Callable[[Processes], Any], store: MemoryStore | None = None) -> list[Future[Any]]:
    """What `work` gives in each of `count` processes."""
    shared = store or MemoryStore()
    with ThreadPoolExecutor(count) as pool:
        return [pool.submit(partial(work, Processes(index, count, shared))) for index in range(count)]
