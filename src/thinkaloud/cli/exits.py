"""Exit codes, and the one-line messages of user errors.

0: done. 2: the user's input is wrong, or disk or memory are not sufficient (one line: expected, found, fix). 130: after
Ctrl-C. 1: another process of the run has ended (one line), or anything else, with a traceback, because it is a bug.
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

from thinkaloud.errors import ContractMismatch, ProcessLost, UserError, out_of_memory

# Newer versions of typer include a copy of click, older ones import it: take the exceptions beside BadParameter.
_usage: Any = importlib.import_module(typer.BadParameter.__module__)

INTERRUPTED = 130
"""128 + SIGINT, as in shells."""

_FIXES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "permission denied; choose another place, or change the permissions",
    errno.EPERM: "not permitted; choose another place, or change the permissions",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EFBIG: "the file would be larger than is allowed here; raise the limit (ulimit -f)",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
}
"""Errors of the operating system that the user can fix, for any file."""


def run(command: Callable[..., Any]) -> NoReturn:
    """Run a typer app and exit with its exit code.

    Args:
        command: Called with `standalone_mode=False`; an int that it returns is the exit code.
    """
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):  # input and output are UTF-8 in every locale
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        result = command(standalone_mode=False)
        if result == INTERRUPTED:  # newer versions of typer return it
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
    except ProcessLost as error:
        fail(str(error), code=1)
    except BrokenPipeError:
        _drop_stdout()  # such as with `| head -1`
        sys.exit(1)
    except OSError as error:
        if error.errno not in _FIXES:
            raise
        _drop_stdout()
        fail(f"cannot read or write {_named(error)}: {_FIXES[error.errno]}")
    except Exception as error:
        memory_error = out_of_memory(error)
        if memory_error is None:
            raise
        fail(str(memory_error))
    finally:
        atexit.register(_end_quietly)  # runs before the handlers that were registered earlier, such as JAX's
    sys.exit(result if isinstance(result, int) else 0)


def fail(message: str, code: int = 2) -> NoReturn:
    """Exit with one line on stderr."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _end_quietly() -> None:
    """Let Ctrl-C during the interpreter's exit end the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _named(error: OSError) -> str:
    name = str(error.filename or "the output")
    return name if len(name) <= 200 else f"{name[:200]}…"


def _drop_stdout() -> None:
    """Discard buffered output, so that the interpreter does not try to write it again at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
