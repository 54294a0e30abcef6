from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.synthetic_run import make_run
from thinkaloud.errors import UserError
from thinkaloud.evaluate.rows import read_rows, write_rows
from thinkaloud.report.build import build_report
from thinkaloud.report.run_data import load_run, lookup, number


def write_metrics(folder: Path, *rows: object, tail: str = "") -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


def test_a_whole_run_misses_nothing(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path / "run", steps=7, tasks=2))
    assert run.missing == ()
    assert (len(run.cold_start), len(run.grpo), len(run.rows["base"])) == (24, 7, 14)
    assert list(run.stages) == ["base", "base_plain", "base_example", "cold_start", "trained"]
    assert list(run.models) == ["base", "cold_start", "trained"]
    assert run.name == "made-up"


def test_a_torn_line_and_foreign_lines_are_dropped_and_the_later_row_counts(tmp_path: Path) -> None:
    first, again = {"stage": "grpo", "step": 1, "reward": 0.1}, {"stage": "grpo", "step": 1, "reward": 0.7}
    second = {"stage": "grpo", "step": 2, "reward": 0.2}
    write_metrics(
        tmp_path, second, first, 3, {"stage": 4, "step": 1}, {"stage": "grpo"}, again, tail='{"stage": "grpo", "st'
    )
    run = load_run(tmp_path)
    assert run.grpo == (again, second)
    assert "metrics.jsonl: 2 damaged or incomplete lines left out (line 3, 7)" in run.missing


def test_destroyed_metrics_and_an_altered_contract_are_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", steps=3, tasks=1)
    metrics, saved = folder / "metrics.jsonl", folder / "contract.json"
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"\x00\xff\n" + lines[1][:20] + b"\n" + b"".join(lines[2:]))
    saved.write_text(saved.read_text().replace('"reject"', '"allow"'))
    (folder / "health.jsonl").write_text("{}\n[")
    assert set(load_run(folder).missing) == {
        "metrics.jsonl: 2 damaged or incomplete lines left out (line 1, 2)",
        "contract.json was altered: its texts do not give its fingerprint",
        "health.jsonl: 1 damaged or incomplete line left out (line 2)",
    }
    said: list[str] = []
    assert "damaged or incomplete" in build_report(folder, said.append).read_text()
    assert len(said) == 3


def test_missing_files_are_named(tmp_path: Path) -> None:
    write_metrics(tmp_path, {"stage": "grpo", "step": 1})
    (tmp_path / "environment.json").write_text("[1, 2]")
    (tmp_path / "contract.json").write_text("{")
    missing = "\n".join(load_run(tmp_path).missing)
    for line in (
        "recipe.toml is missing",
        "resolved.json is missing",
        "contract.json cannot be read (Expecting",
        "environment.json cannot be read (expected a JSON object, found list)",
        "eval/summary.json is missing",
    ):
        assert line in missing
    assert "metrics.jsonl" not in missing


def test_rates_are_counted_again_from_the_completions_of_an_interrupted_evaluation(tmp_path: Path) -> None:
    whole = load_run(make_run(tmp_path / "run", steps=2, tasks=2))
    (whole.path / "eval" / "summary.json").unlink()
    (whole.path / "eval" / "trained.parquet").unlink()
    run = load_run(whole.path)
    assert run.missing == ("eval/summary.json is missing; its rates were computed from the completions in eval/",)
    assert run.stages == {name: whole.stages[name] for name in whole.stages if name != "trained"}
    assert run.summary["split"] == "test"


def test_a_summary_of_another_shape_is_not_half_used(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", steps=2, tasks=1)
    (folder / "eval" / "summary.json").write_text('{"split": "test", "stages": {"base": {"overall": {"n": 3}}}}')
    run = load_run(folder)
    assert "lacks overall or domains" in run.missing[0]
    assert list(run.models) == ["base", "cold_start", "trained"], "counted again from the completions"


def test_completions_that_are_not_parquet_are_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", steps=2, tasks=1)
    (folder / "eval" / "base.parquet").write_bytes(b"nothing")
    run = load_run(folder)
    assert any(line.startswith("eval/base.parquet cannot be read") for line in run.missing)
    assert list(run.rows) == ["base_plain", "base_example", "cold_start", "trained"]


def test_what_is_no_run_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found none at"):
        load_run(tmp_path / "absent")
    with pytest.raises(UserError, match="no readable recipe"):
        load_run(tmp_path)


def test_number_takes_finite_numbers_only() -> None:
    record = {"a": {"b": 2}, "nan": float("nan"), "big": 10**400, "yes": True, "text": "3", "none": None}
    assert number(record, "a", "b") == 2.0
    assert [number(record, key) for key in ("nan", "big", "yes", "text", "none", "absent", "a")] == [None] * 7
    assert lookup(record, "text", "deeper") is None


@pytest.mark.parametrize(
    ("evaluated", "asked", "is_shown"),
    [("a", "a", True), ("b", "a", False), ("b", None, True), (None, "a", True)],
)
def test_a_contract_experiment_of_an_earlier_model_is_left_out(
    tmp_path: Path, evaluated: str | None, asked: str | None, is_shown: bool
) -> None:
    folder = make_run(tmp_path / "run", steps=3, tasks=1)
    rows = read_rows(folder / "eval" / "trained.parquet")
    for name, adapter in (("trained", evaluated), ("contracts/matched", asked)):
        write_rows(folder / "eval" / f"{name}.parquet", rows, {"adapter": adapter} if adapter else None)
    found = load_run(folder)
    assert bool(found.contracts) is is_shown
    assert any("eval/contracts is left out" in line for line in found.missing) is not is_shown
