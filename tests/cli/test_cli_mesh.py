"""`train --mesh` and `--coordinator`: one line for invalid options."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import pytest

from thinkaloud import cli

ROOT = Path(__file__).parents[2]
RECIPE = str(ROOT / "recipes" / "tiny.toml")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["thinkaloud", "train", RECIPE, *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_auto_replaces_the_mesh_of_a_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--set", "mesh.data=2", "--mesh", "auto", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["mesh"] == {"data": None, "fsdp": None, "tensor": None}


def test_the_mesh_goes_into_the_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--mesh", "data=2,tensor=4", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["mesh"] == {"data": 2, "fsdp": None, "tensor": 4}


@pytest.mark.parametrize(
    ("mesh", "told"),
    [
        ("dta=2", "unknown axis 'dta'"),
        ("data=3,fsdp=4", f"needs 12 devices, found {jax.device_count()}"),
        (f"tensor={jax.device_count() * 2}", f"found {jax.device_count()}"),
    ],
)
def test_a_mesh_that_does_not_fit_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, mesh: str, told: str
) -> None:
    no_code = "data.domains=['math']"  # so that no sandbox has to start first, which a machine may refuse
    assert run(monkeypatch, "--mesh", mesh, "--set", no_code, "--out", str(tmp_path / "run")) == 2
    output = capsys.readouterr().err
    last = output.splitlines()[-1]
    assert last.startswith("error: "), output
    assert told in last, output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--coordinator", "h:1"],
        ["--num-processes", "2", "--process-id", "0"],
        ["--coordinator", "auto", "--process-id", "0"],
        ["--process-id", "0"],
    ],
)
def test_options_of_several_processes_go_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str]
) -> None:
    assert run(monkeypatch, *options, "--out", str(tmp_path / "run")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert all(option in line for option in ("--coordinator HOST:PORT", "--num-processes", "--process-id", "auto"))
    assert not (tmp_path / "run").exists()
