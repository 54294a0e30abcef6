"""Staging folders: filled under a temporary name, `.NAME.HOST.PID`, then renamed: a folder appears whole or not at all.

A killed process leaves its staging folder behind. The name identifies the process, so the next process on the same host
that writes to the same place can remove it.
"""

from __future__ import annotations

import glob
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinkaloud.errors import UserError


@contextmanager
def new_folder(folder: Path, what: str = "the model") -> Iterator[Path]:
    """A staging folder to fill, renamed to `folder` when the block ends.

    Args:
        folder: Must not exist, or be empty; its parents are made.
        what: Named in errors.

    Raises:
        UserError: The folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"cannot write {what} to {folder}: it exists; remove it or choose another place")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staging(folder) as temporary:
            yield temporary
            os.replace(temporary, folder)
    except OSError as error:
        raise UserError(f"cannot write {what} to {folder}: {error.strerror or error}") from error


@contextmanager
def staging(place: Path) -> Iterator[Path]:
    """An empty folder on the disk of `place`, removed when the block ends unless it was renamed.

    Args:
        place: Need not exist; the staging folder is made in the nearest parent that does.
    """
    clear_staging(place)
    folder = _parent(place) / f".{place.name}.{platform.node()}.{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_staging(place: Path) -> None:
    """Remove the staging folders for `place` of dead processes of this host, and of an earlier process with our id."""
    for folder in _parent(place).glob(f".{glob.escape(place.name)}.{glob.escape(platform.node())}.*"):
        pid = folder.suffix[1:]
        if pid.isdigit() and (int(pid) == os.getpid() or not _is_alive(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def _parent(place: Path) -> Path:
    return next(folder for folder in place.absolute().parents if folder.is_dir())


def _is_alive(pid: int) -> bool:
    """Whether this host has a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
