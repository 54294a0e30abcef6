"""Errors that the user can fix.

A `UserError` ends a command with exit code 2 and one line on stderr: what was expected, what was found, how to fix it.
Any other exception is a bug or a failure of the machine, and ends it with exit code 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """The user's input is wrong; the message is one line that says how to fix it."""

    def __str__(self) -> str:
        return " ".join(str(super().__str__()).split())


class ProcessLost(Exception):
    """Another process of the run has ended; the message is one line with the reason. Exit code 1."""


class ContractMismatch(UserError):
    """Two prompt contracts differ; `diff` shows where, with white space made visible."""

    def __init__(self, message: str, diff: str) -> None:
        super().__init__(message)
        self.diff = diff


def out_of_memory(error: BaseException) -> UserError | None:
    """The error to report when memory ran out, on the host or on a device; None for any other error.

    JAX's error is recognised by its name and message, so that JAX is not imported here.
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
        'grpo.minibatches, or set model.rematerialization = "full"; continue the run with train --resume, and '
        "--allow-change for each changed field"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest of `known`, or the list of known names when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(names)})" if names else ""


def type_name(value: Any, mapping: str = "an object") -> str:
    """What JSON or TOML calls the type of a value, for messages; `mapping` names a dict (`a table` in TOML)."""
    names = {
        type(None): "null",
        bool: "true or false",
        str: "text",
        int: "a whole number",
        float: "a number",
        list: "a list",
        tuple: "a list",
    }
    return names.get(type(value), mapping if isinstance(value, dict) else type(value).__name__)
