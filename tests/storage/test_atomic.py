"""Atomic writes: the old file or the new one, and no temporary file left behind."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from thinkaloud.storage.atomic import append_line, clear_temporary, replacing, write_bytes, write_json, write_text
from thinkaloud.storage.hashing import file_sha256, folder_sha256
from thinkaloud.storage.unicode import well_formed


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    write_text(path, "old")
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert path.read_text() == "old"
        with replacing(path) as other:  # another writer of the same file is not in the way
            assert other != temporary
            other.write_text("between")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as temporary:
        fail(temporary)
    assert list(tmp_path.iterdir()) == []


def test_the_killed_writers_file_is_one_that_is_cleared(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.b") as temporary:
        temporary.write_text("")
        left = tmp_path / temporary.name.replace("a.b", "c")
        left.write_text("")
    clear_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.b"]


@pytest.mark.parametrize("fsync", [False, True])
def test_flushing_to_disk_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool) -> None:
    real, flushed = os.fsync, []

    def record(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_bytes(tmp_path / "a", b"123", fsync=fsync)
    assert flushed == ([3] if fsync else [])


def test_a_failed_write_keeps_the_old_text_and_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resolved.json"
    write_text(path, "old")
    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("resolved.json", "old")]


def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, "first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="lines"):
            append_line(path, "a second line, too long")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text() == "first\n"
    append_line(path, "third")
    assert path.read_text() == "first\nthird\n"


def test_temporary_files_of_killed_processes_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    for name in (".metrics.jsonl.12", "eval/.base.parquet.7.partial", ".lock", ".mine", "metrics.jsonl", "eval/a.1"):
        (tmp_path / name).write_text("x")
    clear_temporary(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".lock", ".mine", "eval/a.1", "metrics.jsonl"]


def test_json_is_written_as_people_read_it_and_takes_finite_numbers_only(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "é": [\n  1\n ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith("{")


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, content in (("a", b"abc"), ("sub/b", b""), ("sums", b"x")):
        (tmp_path / name).write_bytes(content)
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert file_sha256(tmp_path / "a") == abc
    assert folder_sha256(tmp_path, without="sums") == {"a": abc, "sub/b": empty}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("é🙂", "é🙂"), ("a\ud800b", "a\ufffdb"), ("\ud83d\ude42", "🙂"), ("\udc00\ud800", "\ufffd\ufffd")],
)
def test_lone_surrogates_are_replaced(text: str, expected: str) -> None:
    assert well_formed(text) == expected
