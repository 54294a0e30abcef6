"""Atomic writes: a reader, or a process that resumes after a crash, finds the old file or the new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TEMPORARY = re.compile(r"\..+\.\d+(\.partial)?")


@contextlib.contextmanager
def replacing(path: Path, *, fsync: bool = False) -> Iterator[Path]:
    """A temporary path in the folder of `path`, renamed to `path` when the block ends and removed when it fails.

    Args:
        path: The file to replace; its folder must exist.
        fsync: Flush the file to disk before the rename, so that it also survives a power failure.

    Raises:
        OSError: The file cannot be written; the error names `path`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.randbelow(10**12)}")
    try:
        with _error_names(path):
            yield temporary
            if fsync:
                sync(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, content: bytes, *, fsync: bool = False) -> None:
    """Replace a file; raises OSError as `replacing` does."""
    with replacing(path, fsync=fsync) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str, *, fsync: bool = False) -> None:
    """Replace a UTF-8 file; raises OSError as `replacing` does."""
    with replacing(path, fsync=fsync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, indent: int = 1) -> None:
    """Replace a JSON file.

    Raises:
        ValueError: A number is not finite.
        OSError: As `replacing` does.
    """
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, text: str) -> None:
    """Append a line; if the disk does not take all of it, the file is restored and OSError is raised."""
    with _error_names(path), path.open("ab", buffering=0) as file:
        before, line = file.tell(), (text + "\n").encode()
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(before)
            raise


def clear_temporary(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder and below it."""
    for file in folder.rglob(".*"):
        if _TEMPORARY.fullmatch(file.name) and file.is_file():
            file.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _error_names(path: Path) -> Iterator[None]:
    """Put the path into an OSError: a full disk is often reported on close, by an error without a file name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
