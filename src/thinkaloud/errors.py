"""Errors that the user can mend.

Anything raised as `UserError` ends a command with exit code 2 and one line on stderr: what was expected, what was
found, how to mend it. Everything else is a bug (or an accident of the machine) and ends with exit code 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The user's input is wrong; the message is one line that says how to mend it."""

    def __str__(self) -> str:
        return " ".join(str(super().__str__()).split())


class ContractMismatch(UserError):
    """Two prompt contracts differ; `diff` shows where, with white space made visible."""

    def __init__(self, message: str, diff: str) -> None:
        super().__init__(message)
        self.diff = diff


def out_of_memory(error: BaseException) -> UserError | None:
    """What to tell the user where an error says that memory ran out, on the host or on a device; None for any other.

    JAX's error is known by its name and its words, so that nothing is imported for it.
    """
    words = str(error)
    on_device = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError") and (
        "RESOURCE_EXHAUSTED" in words or "out of memory" in words.lower()
    )
    if not (on_device or isinstance(error, MemoryError)):
        return None
    return UserError(
        f"out of memory ({' '.join(words.split())[:160] or 'on the host'}): lower rollout.prompts_per_step, "
        "rollout.group_size, rollout.max_new_tokens, cold_start.batch_size or evaluate.batch_size, raise "
        'grpo.minibatches, or set model.dtype = "bfloat16"; a run is gone on with by train --resume'
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `known`, or the list of them when nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(names)})" if names else ""
