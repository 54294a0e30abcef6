from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.synthetic_run import make_run
from thinkaloud.errors import UserError
from thinkaloud.report import build_report


def test_the_same_files_give_the_same_report(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "made-up"
    shutil.copytree(built, copy)
    build_report(copy)
    names = ["report.html", "writeup.md", "figures/training_curves.svg", "figures/training_curves.png"]
    for name in names:
        assert (copy / name).read_bytes() == (built / name).read_bytes(), name
    assert not list(copy.rglob(".*")), "no partial file is left"


@pytest.mark.parametrize("keep", ["recipe.toml", "metrics.jsonl", "eval"])
def test_an_interrupted_run_gets_a_report(keep: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", steps=1, tasks=1)
    for path in folder.iterdir():
        if path.name != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = build_report(folder).read_text()
    assert "This report is incomplete." in page
    assert "contract.json is missing" in page
    assert (folder / "writeup.md").exists()


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("")
    (tmp_path / "metrics.jsonl").write_text('{"stage": "grpo", "step": 1}')
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(UserError, match="cannot write the report into"):
        build_report(tmp_path)


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a run directory"):
        build_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
