"""Folders that appear whole, and what processes that were killed leave behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from thinkaloud.storage.staging import clear_staging, new_folder, staging

HOST, GONE = socket.gethostname(), 999999999


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    alive = f".run.{HOST}.{os.getppid()}"
    stay = {alive, f".run.elsewhere.{GONE}", f".run2.{HOST}.{GONE}", f".run.{HOST}.none"}
    for name in (*stay, f".run.{HOST}.{GONE}", f".run.{HOST}.{os.getpid()}"):
        (tmp_path / name / "pool").mkdir(parents=True)
    clear_staging(tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == stay


def test_a_folder_whose_process_had_our_id_is_no_hindrance(tmp_path: Path) -> None:
    """As in a container that is started again: its processes have the same ids."""
    (tmp_path / f".run.{HOST}.{os.getpid()}" / "pool").mkdir(parents=True)
    with staging(tmp_path / "not" / "yet" / "run"):
        pass
    with staging(tmp_path / "run") as folder:
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_takes_away_what_a_killed_export_left(tmp_path: Path) -> None:
    (tmp_path / f".hf.{HOST}.{GONE}").mkdir()
    (tmp_path / f".hf.{HOST}.{GONE}" / "half.safetensors").write_bytes(b"x")
    with new_folder(tmp_path / "hf") as folder:
        (folder / "whole").write_bytes(b"")
        assert not (tmp_path / "hf").exists()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["hf", "hf/whole"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "hf"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
