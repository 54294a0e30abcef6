"""SHA-256 of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path, *, without: str) -> dict[str, str]:
    """The SHA-256 of every file in a folder and below it, by relative path, except the file `without`."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / without)
    return {file.relative_to(folder).as_posix(): file_sha256(file) for file in files}
