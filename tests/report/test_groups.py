"""Seeds as one result, controls, and runs that cannot be compared: on made-up runs."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from support.cli import Run
from support.synthetic_run import make_run
from thinkaloud.errors import UserError
from thinkaloud.evaluate.rows import read_rows
from thinkaloud.report.comparison import compare_groups
from thinkaloud.report.comparison_files import learning_curves, mean_line, save_comparison
from thinkaloud.report.comparison_page import sentences, tables
from thinkaloud.report.groups import check_alike, group_runs, load_runs

Change = Callable[[dict[str, Any]], object]


def made(folder: Path, draw: int, change: Change = lambda resolved: None) -> Path:
    """A made-up run whose resolved recipe is changed."""
    make_run(folder, steps=3, tasks=4, seed=draw)
    resolved = json.loads((folder / "resolved.json").read_text())
    change(resolved)
    (folder / "resolved.json").write_text(json.dumps(resolved))
    return folder


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of a recipe, and two of its control, as `train --seeds` would lay them out."""
    folder = tmp_path_factory.mktemp("series")
    for index in range(3):
        made(folder / "real" / f"seed-{index}", index, lambda own, seed=index: own.update(seed=seed))  # type: ignore[misc]
    for index in range(2):
        made(
            folder / "coin" / f"seed-{index}",
            9 + index,
            lambda own, seed=index: own.update(seed=seed, name="coin", rewards={"control": "random"}),  # type: ignore[misc]
        )
    return folder


def paths(series: Path) -> list[Path]:
    return [series / "real", series / "coin"]


def test_runs_that_differ_by_seed_alone_are_one_group(series: Path) -> None:
    runs = load_runs(paths(series))
    groups = group_runs(runs)
    assert {name: list(group.runs) for name, group in groups.items()} == {
        "real (3 seeds)": ["real/seed-0", "real/seed-1", "real/seed-2"],
        "coin (2 seeds)": ["coin/seed-0", "coin/seed-1"],
    }
    again = made(series.parent / "again", 4, lambda own: own.update(seed=1))
    with_repetition = group_runs(load_runs([series / "real", again]))
    assert [len(group.runs) for group in with_repetition.values()] == [3, 1], "seed 1 again is a repetition"


def test_a_group_has_the_mean_over_its_seeds(series: Path) -> None:
    groups = group_runs(load_runs(paths(series)))
    found = compare_groups(groups)
    result = found["results"]["real (3 seeds)"]
    rates = []
    for index in range(3):
        rows = read_rows(series / "real" / f"seed-{index}" / "eval" / "trained.parquet")
        rates.append(fmean(row.keeps_format for row in rows if row.domain == "math"))
    math = result["domains"]["math"]
    assert math["format_rate"] == pytest.approx(fmean(rates))
    assert math["format_interval"][0] <= math["format_rate"] <= math["format_interval"][1]
    assert (result["overall"]["n"], result["stage"], result["steps"]) == (28, "trained", [3, 3, 3])
    assert [own["seed"] for own in found["seeds"].values()] == [0, 1, 2, 0, 1]
    assert found["recipe"]["rewards.control"] == {"real (3 seeds)": "none", "coin (2 seeds)": "random"}
    assert found["recipe"]["seed"]["real (3 seeds)"] == [0, 1, 2]


def test_what_the_seeds_changed_is_said_first(series: Path) -> None:
    found = compare_groups(group_runs(load_runs(paths(series))))
    assert list(found["changes"]) == ["real (3 seeds)", "coin (2 seeds)"]
    own = found["changes"]["real (3 seeds)"][0]
    trained = found["results"]["real (3 seeds)"]["overall"]["accuracy"]
    assert (own["after"], own["seeds"], own["after_rate"]) == ("trained", 3, pytest.approx(trained))
    assert sentences(found)[0] == f"real (3 seeds): {own['sentence']}"
    first = next(iter(group_runs(load_runs(paths(series))).values())).first.path
    other = next(iter(group_runs(load_runs(list(reversed(paths(series))))).values())).first.path
    assert compare_groups(group_runs(load_runs([first, other])))["changes"] == {}, (
        "single runs have a headline of their own"
    )


def test_the_gain_above_the_control_is_a_difference_of_means(series: Path) -> None:
    found = compare_groups(group_runs(load_runs(list(reversed(paths(series))))))  # the control first
    entries = {entry["measure"]: entry for entry in found["above_control"]}
    assert entries.keys() == {"format_rate", "accuracy", "answer_accuracy", "mean_reward"}
    entry = entries["mean_reward"]
    names = ("coin (2 seeds)", "real (3 seeds)")
    assert (entry["first"], entry["second"], entry["control"]) == (*names, "random")
    control, trained = (found["results"][name]["overall"]["mean_reward"] for name in names)
    assert entry["overall"]["difference"] == pytest.approx(trained - control)
    low, high = entry["overall"]["interval"]
    assert low < trained - control < high
    titles = [table.caption for table in tables(found)]
    assert any(title.startswith("Gain above the control (random): real (3 seeds)") for title in titles)
    assert not any(title.startswith("Difference:") for title in titles), "shown once"
    assert any("2 and 3 seeds" in sentence for sentence in sentences(found))


def test_files_of_a_comparison(series: Path, tmp_path: Path) -> None:
    groups = group_runs(load_runs(paths(series)))
    found = compare_groups(groups)
    page = save_comparison(groups, found, tmp_path / "out")
    names = {path.name for path in page.parent.iterdir()}
    assert names == {"compare.html", "rates.csv", "rates.tex", "differences.csv", "differences.tex", "curves.svg"}
    rates = list(csv.DictReader((page.parent / "rates.csv").read_text().splitlines()))
    assert {row["stage"] for row in rates} == {"base", "base_plain", "base_example", "cold_start", "trained"}
    (one,) = [
        row
        for row in rates
        if (row["group"], row["stage"], row["domain"], row["measure"])
        == ("real (3 seeds)", "trained", "overall", "accuracy")
    ]
    overall = found["results"]["real (3 seeds)"]["overall"]
    assert [float(one[key]) for key in ("value", "low", "high")] == [overall["accuracy"], *overall["accuracy_interval"]]
    (gap, *_) = list(csv.DictReader((page.parent / "differences.csv").read_text().splitlines()))
    assert float(gap["second_minus_first"]) == found["differences"][0]["domains"]["math"]["difference"]
    tex = (page.parent / "rates.tex").read_text()
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{table}") == 28, (
        "six measures, five stages; the base has no valid format by the contract or asked plainly"
    )
    assert not re.search(r"(?<!\\)[%_#]", tex), "escaped"
    svg = (page.parent / "curves.svg").read_text()
    assert "#0072b2" in svg
    assert "#d55e00" in svg
    assert "<svg" in page.read_text()


def test_curves_have_the_mean_of_the_steps_that_all_seeds_have(series: Path) -> None:
    assert mean_line([{1: 0.0, 2: 1.0, 3: 5.0}, {1: 1.0, 2: 1.0}]) == {1: 0.5, 2: 1.0}
    titles = [chart.title for chart in learning_curves(group_runs(load_runs(paths(series))))]
    assert titles == ["Sampled reward", "Format rate, sampled", "Accuracy, sampled"]


def split(own: Path) -> None:
    summary = json.loads((own / "eval" / "summary.json").read_text())
    (own / "eval" / "summary.json").write_text(json.dumps({**summary, "split": "validation"}))


def limit(own: Path) -> None:
    resolved = json.loads((own / "resolved.json").read_text())
    resolved["rollout"]["max_new_tokens"] = 99
    (own / "resolved.json").write_text(json.dumps(resolved))


def stage(own: Path) -> None:
    (own / "eval" / "trained.parquet").unlink()
    summary = json.loads((own / "eval" / "summary.json").read_text())
    del summary["stages"]["trained"]
    (own / "eval" / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize(
    ("change", "words"),
    [(split, "split: test"), (limit, "token limit"), (stage, "stage: trained"), (None, "set of tasks: 28 tasks")],
    ids=["split", "limit", "stage", "tasks"],
)
def test_what_was_evaluated_otherwise_is_not_compared(
    change: Callable[[Path], None] | None, words: str, tmp_path: Path, run: Run
) -> None:
    first = made(tmp_path / "first", 0)
    second = make_run(tmp_path / "second", steps=2, tasks=4 if change else 3, seed=1)
    if change:
        change(second)
    names = [str(first), str(second)]
    assert words in (mistake := run("compare", *names).mistake)
    assert "second" in mistake
    assert run("compare", *names, "--allow-different").code == 0


def test_a_folder_of_seeds_stands_for_its_runs(series: Path, tmp_path: Path) -> None:
    assert list(load_runs([series / "real"])) == ["seed-0", "seed-1", "seed-2"]
    check_alike(load_runs([series / "real"]))
    with pytest.raises(UserError, match="found one"):
        load_runs([series / "real" / "seed-0"])
