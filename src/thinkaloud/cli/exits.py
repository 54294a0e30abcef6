"""How a command ends: its exit code, and the one line that a mistake of the user gets.

0 done; 2 the user's input is wrong, or disk or memory do not hold it (one line: expected, found, how to mend it); 130
after Ctrl-C; 1 anything else, with its traceback, because that is a bug.
"""

from __future__ import annotations

import atexit
import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from thinkaloud.errors import ContractMismatch, UserError, out_of_memory

# Newer typer carries a copy of click, older ones import it: its exceptions are the ones next to BadParameter.
_usage: Any = importlib.import_module(typer.BadParameter.__module__)

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_MENDABLE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "permission denied; choose another place, or change the permissions",
    errno.EPERM: "not permitted; choose another place, or change the permissions",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EFBIG: "the file would be larger than is allowed here; raise the limit (ulimit -f)",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
}
"""Errors of the operating system that the user can mend, whichever file they befall."""


def run(command: Callable[..., Any]) -> NoReturn:
    """Run a typer app and leave the process with the right exit code.

    Args:
        command: takes `standalone_mode=False`; what it returns is the exit code where it is an int.
    """
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):  # whatever the locale says: JSON lines are UTF-8, and so is what we print
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        result = command(standalone_mode=False)
        if result == INTERRUPTED:  # newer typer's way to say so
            raise KeyboardInterrupt
        if sys.stdout is not None:
            sys.stdout.flush()
    except getattr(_usage, "NoArgsIsHelpError", ()) as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    except _usage.ClickException as error:
        context = getattr(error, "ctx", None)
        fail(f"{error.format_message()} (see {context.command_path if context else 'thinkaloud'} --help)")
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except ContractMismatch as error:
        print(error.diff, file=sys.stderr)
        fail(str(error))
    except UserError as error:
        fail(str(error))
    except BrokenPipeError:
        _drop_stdout()  # `| head -1` has seen enough
        sys.exit(1)
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        _drop_stdout()
        fail(f"cannot read or write {_named(error)}: {_MENDABLE[error.errno]}")
    except Exception as error:
        told = out_of_memory(error)
        if told is None:
            raise
        fail(str(told))
    finally:
        atexit.register(_end_quietly)  # called first of all that was registered before, such as by JAX
    sys.exit(result if isinstance(result, int) else 0)


def fail(message: str) -> NoReturn:
    """Leave with exit code 2 and one line on stderr."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _end_quietly() -> None:
    """Ctrl-C while the interpreter ends is obeyed without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _named(error: OSError) -> str:
    name = str(error.filename or "the output")
    return name if len(name) <= 200 else f"{name[:200]}…"


def _drop_stdout() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not try again as it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
