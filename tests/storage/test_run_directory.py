"""The run directory: made whole or not at all, written so that a crash leaves whole files only."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from thinkaloud.errors import UserError
from thinkaloud.storage import run_directory as rundir
from thinkaloud.storage.run_directory import (
    RunDir,
    check_new,
    check_writable,
    create,
)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that this process may read and not write; root becomes nobody for the while."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestCreate:
    def test_everything_is_there(self, tmp_path: Path) -> None:
        run = create(tmp_path / "runs" / "first", "# as written\n", {"name": "first"})
        assert sorted(path.name for path in run.path.iterdir()) == [
            "checkpoints",
            "eval",
            "recipe.toml",
            "resolved.json",
            "rollouts",
        ]
        assert (run.path / "recipe.toml").read_text() == "# as written\n"
        assert run.read_json("resolved.json") == {"name": "first"}

    def test_an_empty_folder_will_do(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        assert create(tmp_path / "mine", "", {}).checkpoints.is_dir()

    def test_a_full_one_will_not(self, tmp_path: Path) -> None:
        create(tmp_path / "run", "first", {})
        with pytest.raises(UserError, match="exists already"):
            create(tmp_path / "run", "second", {})
        assert (tmp_path / "run" / "recipe.toml").read_text() == "first"

    @pytest.mark.parametrize("existed", [False, True])
    @pytest.mark.parametrize("fails_at", ["recipe.toml", "resolved.json"])
    def test_a_disk_that_fills_up_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool, fails_at: str
    ) -> None:
        place = tmp_path / "new" / "run"
        if existed:
            place.mkdir(parents=True)
        before = sorted(tmp_path.rglob("*"))
        real = os.replace

        def replace(source: Path, target: Path) -> None:
            if target.name == fails_at:
                no_space()
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(UserError, match=r"cannot write the run directory .* No space left on device"):
            create(place, "recipe", {})
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_closed_folder(self, closed_folder: Path) -> None:
        with pytest.raises(UserError, match="read-only"):
            create(closed_folder / "a" / "run", "", {})
        with pytest.raises(UserError, match="read-only"):
            check_writable(closed_folder)

    def test_a_folder_that_turns_out_closed(self, closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_, **__: True)  # as network file systems say at times
        with pytest.raises(UserError, match=r"cannot write the run directory .* Permission denied"):
            create(closed_folder / "run", "", {})

    @pytest.mark.parametrize("free", [0, rundir.LEAST_FREE_BYTES - 1])
    def test_little_space(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        with pytest.raises(UserError, match="a run needs at least 200"):
            create(tmp_path / "run", "", {})
        assert list(tmp_path.iterdir()) == []
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=rundir.LEAST_FREE_BYTES))
        check_new(tmp_path / "run")

    def test_files_and_dangling_links_are_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "link").symlink_to("nowhere")
        for name in ("file", "link"):
            with pytest.raises(UserError, match="exists already"):
                check_new(tmp_path / name)
        with pytest.raises(UserError, match="file is a file"):
            check_new(tmp_path / "file" / "run")

    def test_what_was_there_is_never_removed(self, tmp_path: Path) -> None:
        (tmp_path / "runs").symlink_to("an-unmounted-disk")
        with pytest.raises(UserError, match="cannot write the run directory"):
            create(tmp_path / "runs" / "first", "", {})
        assert (tmp_path / "runs").is_symlink()

    def test_a_relative_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        check_new(Path("runs/new"))
        create(Path("run"), "", {})
        assert (tmp_path / "run" / "resolved.json").exists()


class TestMetrics:
    @pytest.fixture
    def run(self, tmp_path: Path) -> RunDir:
        return create(tmp_path / "run", "", {})

    def test_rows_come_back(self, run: RunDir) -> None:
        rows: list[dict[str, Any]] = [{"stage": "grpo", "step": step, "loss": 0.5 * step} for step in (1, 2)]
        for row in rows:
            run.append(row)
        assert run.rows() == rows
        assert run.metrics.read_text() == "".join(json.dumps(row) + "\n" for row in rows)

    def test_numpy_numbers(self, run: RunDir) -> None:
        run.append({"stage": "grpo", "step": 1, "loss": np.float32(0.5)})
        assert run.rows()[0]["loss"] == 0.5

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
    def test_a_number_that_is_none_says_that_the_stage_diverged(self, run: RunDir, value: object) -> None:
        run.append({"stage": "grpo", "step": 6, "loss": 1.0})
        with pytest.raises(UserError, match=r"grpo diverged in step 7: .* lower grpo\.learning_rate"):
            run.append({"stage": "grpo", "step": 7, "loss": value})
        assert [row["step"] for row in run.rows()] == [6]

    def test_a_line_cut_off_in_mid_write_is_left_out_and_then_dropped(self, run: RunDir) -> None:
        run.append({"stage": "grpo", "step": 1})
        with run.metrics.open("a") as file:
            file.write('{"stage": "grpo", "st')
        assert [row["step"] for row in run.rows()] == [1]
        run.keep_rows(lambda row: True)
        run.append({"stage": "grpo", "step": 2})
        assert [row["step"] for row in run.rows()] == [1, 2]

    def test_keep_rows(self, run: RunDir) -> None:
        for step in (1, 2, 3):
            run.append({"stage": "cold_start", "step": step})
            run.append({"stage": "grpo", "step": step})
        run.keep_rows(lambda row: row["stage"] != "grpo" or row["step"] <= 2)
        assert [(row["stage"][0], row["step"]) for row in run.rows()] == [
            ("c", 1),
            ("c", 2),
            ("c", 3),
            ("g", 1),
            ("g", 2),
        ]

    @pytest.mark.parametrize("damage", [b"{]\n", b"\xff\xfe\n", b"3\n", b'{"loss": 1}\n'])
    def test_damage_names_the_line(self, run: RunDir, damage: bytes) -> None:
        run.append({"stage": "grpo", "step": 1})
        with run.metrics.open("ab") as file:
            file.write(damage)
        run.append({"stage": "grpo", "step": 2})
        with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: expected a row of metrics"):
            run.rows()

    def test_none_yet(self, run: RunDir) -> None:
        assert run.rows() == []
        run.keep_rows(lambda row: False)
        assert not run.metrics.exists()


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (None, "it has no contract.json"),
            (b"", "it is damaged"),
            (b'{"a": ', "it is damaged"),
            (b"\xff", "it is damaged"),
            (b"[" * 100_000, "it is damaged"),
            (b"[1]", "expected a JSON object, found list"),
        ],
    )
    def test_damaged_json(self, tmp_path: Path, content: bytes | None, expected: str) -> None:
        if content is not None:
            (tmp_path / "contract.json").write_bytes(content)
        with pytest.raises(UserError, match=expected):
            RunDir(tmp_path).read_json("contract.json")

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="there is no run directory"):
            RunDir(tmp_path / "none").read_json("resolved.json")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
    def test_metrics_on_a_full_disk_are_named(self, tmp_path: Path) -> None:
        run = create(tmp_path / "run", "", {})
        run.metrics.symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left") as caught:
            run.append({"stage": "grpo", "step": 1})
        assert caught.value.filename == str(run.metrics)

    def test_json_that_json_cannot_say(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            RunDir(tmp_path).write_json("resolved.json", {"epsilon": float("inf")})
        assert list(tmp_path.iterdir()) == []
