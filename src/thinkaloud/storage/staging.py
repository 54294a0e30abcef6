"""Folders that are filled under another name beside their place, `.NAME.HOST.PID`, and so appear whole or not at all.

A process that is killed leaves its folder behind. The name says whose it was: the next process of that host that fills
the same place removes it.
"""

from __future__ import annotations

import glob
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinkaloud.storage.lock import is_alive


@contextmanager
def staging(place: Path) -> Iterator[Path]:
    """An empty folder on the disk of `place`, which need not be there yet; gone in the end, unless it was renamed."""
    clear_staging(place)
    folder = _parent(place) / f".{place.name}.{socket.gethostname()}.{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_staging(place: Path) -> None:
    """Remove what processes of this host that are no more left behind; one with our own id is no more either."""
    for folder in _parent(place).glob(f".{glob.escape(place.name)}.{glob.escape(socket.gethostname())}.*"):
        pid = folder.suffix[1:]
        if pid.isdigit() and (int(pid) == os.getpid() or not is_alive(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def _parent(place: Path) -> Path:
    """The nearest folder above it that is there."""
    return next(folder for folder in place.absolute().parents if folder.is_dir())
