"""What a notebook shows of results: the headline and the rates, with nothing but escaped text; and their frames."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.synthetic_run import HOSTILE, make_run
from thinkaloud.evaluate.summary import read_summary
from thinkaloud.report.comparison_files import compare_runs
from thinkaloud.report.notebook import Comparison, Evaluation, as_html, metrics, run_html


@pytest.fixture(scope="module")
def evaluation(built: Path) -> Evaluation:
    return Evaluation(read_summary(built / "eval" / "summary.json"))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("two")
    runs = [make_run(folder / name, steps=3, tasks=4, seed=seed) for seed, name in enumerate(("one", "two"))]
    return Comparison(compare_runs(runs, folder / "out"))


def test_an_evaluation_is_shown_with_its_headline(evaluation: Evaluation) -> None:
    shown = evaluation._repr_html_()
    assert evaluation["headline"]["sentence"].replace(" %", "\u00a0%")[:40] in shown
    assert shown.count("<tr") == 1 + len(evaluation["stages"])
    assert "Answer accuracy" in shown


def test_an_evaluation_as_a_frame(evaluation: Evaluation) -> None:
    frame = evaluation.frame()
    assert list(frame.columns) == ["stage", "domain", "measure", "value", "low", "high", "tasks"]
    (row,) = frame.query("stage == 'trained' and domain == 'overall' and measure == 'accuracy'").itertuples()
    overall = evaluation["stages"]["trained"]["overall"]
    assert (row.value, [row.low, row.high], row.tasks) == (
        overall["accuracy"],
        overall["accuracy_interval"],
        overall["n"],
    )
    assert set(frame.domain) == {"overall", *evaluation["stages"]["trained"]["domains"]}


def test_a_comparison_is_shown_and_is_a_frame(comparison: Comparison) -> None:
    shown = comparison._repr_html_()
    assert comparison["paired"][0]["sentence"].replace(" %", "\u00a0%")[:30] in shown
    assert shown.count("<tr") == 3
    frame = comparison.frame()
    overall = next(entry for entry in comparison["differences"] if entry["measure"] == "accuracy")["overall"]
    (row,) = frame.query("domain == 'overall' and measure == 'accuracy'").itertuples()
    assert (row.first, row.second, row.second_minus_first) == ("one", "two", overall["difference"])


def test_metrics_as_a_frame(built: Path) -> None:
    frame = metrics(built, "grpo")
    assert frame["step"].tolist() == list(range(1, 13))
    assert any("." in name for name in frame.columns)
    assert len(metrics(built, "cold_start")) == 24


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(text: str, evaluation: Evaluation) -> None:
    stages = {text: evaluation["stages"]["trained"]}
    for shown in (
        as_html([text]),
        Evaluation(stages=stages, headline={"sentence": text})._repr_html_(),
        Comparison(runs=[text])._repr_html_(),
        run_html(Path(text), text, None),
    ):
        shown.encode()
        assert "<script" not in shown
        assert "<img" not in shown
        assert "<!--" not in shown
        assert not set(shown) & set("\u200b\u202e\x00\x07\x1b")


def test_a_run_without_an_evaluation_says_so(tmp_path: Path, built: Path) -> None:
    assert "not evaluated" in run_html(tmp_path, "trained", None)
    copy = shutil.copytree(built, tmp_path / "copy")
    assert "trained model" in run_html(copy, "trained", Evaluation(read_summary(copy / "eval" / "summary.json")))
