from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from support.eval_rows import row
from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError
from thinkaloud.evaluate.paired import compare
from thinkaloud.evaluate.rows import Row, read_rows, write_rows
from thinkaloud.evaluate.summary import (
    build_summary,
    percent,
    percent_range,
    read_summary,
    summarize,
    summary_table,
    write_summary,
)
from thinkaloud.prompt.parse import Tags
from thinkaloud.records import Completion, Finish, Score, Status, Task


def ten_rows() -> list[Row]:
    """Math: 3 correct, 1 wrong, 1 bad format, 1 truncated, 1 masked. Writing: 2 graded, 1 bad format."""
    return [
        row("a"),
        row("b"),
        row("c", num_tokens=50),
        row("d", status="wrong"),
        row("e", status="bad_format", reason="missing_answer", reward=0.0),
        row("f", status="truncated", reason="truncated", reward=0.0, finish="length"),
        row("g", status="sandbox_error", reward=0.0),
        row("h", "creative_writing", "graded", reward=0.7),
        row("i", "creative_writing", "graded", reward=0.5),
        row("j", "creative_writing", "bad_format", reason="text_outside", reward=0.0),
    ]


def test_rates_counted_by_hand() -> None:
    summary = summarize(ten_rows(), BUILTIN)
    math, writing, overall = summary["domains"]["math"], summary["domains"]["creative_writing"], summary["overall"]
    assert (math["n"], math["masked"], math["samples"]) == (6, 1, 1)
    assert "pass_at" not in math, "one sample per task"
    assert math["format_rate"] == 4 / 6
    assert math["accuracy"] == 3 / 6
    assert math["accuracy_given_format"] == 3 / 4, "of the four that keep the format"
    assert math["mean_reward"] == pytest.approx(3.2 / 6)
    assert math["truncated_rate"] == 1 / 6
    assert math["mean_tokens"] == 150 / 6
    assert math["reasons"] == {"missing_answer": 1, "truncated": 1}
    assert math["statuses"] == {"correct": 3, "wrong": 1, "bad_format": 1, "truncated": 1, "sandbox_error": 1}
    assert (writing["n"], writing["accuracy"], writing["accuracy_interval"]) == (3, None, None)
    assert writing["mean_reward"] == pytest.approx(0.4)
    assert (overall["n"], overall["masked"]) == (9, 1)
    assert overall["format_rate"] == 6 / 9
    assert overall["accuracy"] == 3 / 6, "heuristic domains do not count for the accuracy"
    assert overall["accuracy_given_format"] == 3 / 4
    assert overall["accuracy_given_format_interval"] == pytest.approx([0.300642, 0.954413], abs=1e-6)  # Wilson of 3/4
    assert overall["format_interval"] == pytest.approx([0.354202, 0.879416], abs=1e-6)  # Wilson of 6/9


def test_rates_by_source_where_a_domain_has_several() -> None:
    rows = [replace(own, source="generated") if own.task_id in ("a", "d") else own for own in ten_rows()]
    sources = summarize(rows, BUILTIN)["sources"]
    assert list(sources) == ["math"]
    (other,) = set(sources["math"]) - {"generated"}
    assert [(sources["math"][name]["n"], sources["math"][name]["accuracy"]) for name in ("generated", other)] == [
        (2, 1 / 2),
        (4, 2 / 4),
    ]
    assert summarize(ten_rows(), BUILTIN)["sources"] == {}


def test_a_masked_completion_changes_no_rate() -> None:
    rows = ten_rows()
    without = summarize([r for r in rows if r.task_id != "g"], BUILTIN)["domains"]["math"]
    with_it = summarize(rows, BUILTIN)["domains"]["math"]
    for key in ("n", "format_rate", "accuracy", "mean_reward", "truncated_rate", "reward_interval", "mean_tokens"):
        assert with_it[key] == without[key]


def test_no_scored_completion_gives_null_not_zero() -> None:
    only_masked = summarize([row(status="unscorable")], BUILTIN)["overall"]
    assert (only_masked["n"], only_masked["masked"], only_masked["format_interval"]) == (0, 1, [0.0, 1.0])
    assert only_masked["samples"] == 0
    for key in ("format_rate", "accuracy", "mean_reward", "truncated_rate", "mean_tokens"):
        assert only_masked[key] is None
    assert summarize([], BUILTIN)["domains"] == {}


def test_domains_stand_in_the_usual_order() -> None:
    rows = [row(str(n), name) for n, name in enumerate(["summarization", "logic", "math"])]
    assert list(summarize(rows, BUILTIN)["domains"]) == ["math", "logic", "summarization"]


def test_rates_under_both_rules_for_text_outside() -> None:
    tagged = "<reasoning>why</reasoning><answer>four or so</answer>"
    rows = [
        row("a", text=tagged),
        row("b", text=f"Well. {tagged}", status="bad_format", reason="text_outside"),
        row("c", text="<answer>4</answer>", status="bad_format", reason="missing_reasoning"),
        row("d", text=tagged, status="truncated", reason="truncated", finish="length"),
        row("e", text=tagged, status="sandbox_error"),
    ]
    overall = summarize(rows, BUILTIN)["overall"]
    assert overall["format_rate_by_rule"] == {"reject": 0.25, "allow": 0.5}
    assert overall["answer_words"] == 3.0
    assert summarize(rows, BUILTIN, tags=Tags(answer="other"))["overall"]["format_rate_by_rule"] == {
        "reject": 0.0,
        "allow": 0.0,
    }


def test_an_unknown_domain_is_the_users_error() -> None:
    with pytest.raises(UserError, match="poetry"):
        summarize([row(domain="poetry")], BUILTIN)


def test_row_of_keeps_what_was_scored() -> None:
    task = Task(id="x", domain="math", source="starter", question="2 + 2?", answer="4")
    completion = Completion(text="<answer>", token_ids=(1, 2, 3), finish=Finish.LENGTH)
    score = Score(reward=0.0, status=Status.TRUNCATED, reason="truncated", components={"format": 0.0})
    made = Row.of(task, completion, score)
    assert (made.finish, made.num_tokens, made.status, made.reason) == ("length", 3, "truncated", "truncated")
    assert (json.loads(made.components), made.gold, made.masked, made.keeps_format) == (
        {"format": 0.0},
        "4",
        False,
        False,
    )


def test_compare_pairs_the_tasks_scored_in_both() -> None:
    before = [row(name, status="bad_format") for name in "abcdef"] + [row("g"), row("only before")]
    after = [row(name) for name in "abcde"] + [row("f", status="sandbox_error"), row("g", status="truncated")]
    assert compare(before, after) == {"n": 6, "gained": 5, "lost": 1, "p_value": 2 * (1 + 6) / 64}


def test_build_summary_puts_stages_in_order_and_compares_with_the_first() -> None:
    rows = ten_rows()
    summary = build_summary("test", {"trained": rows, "base": [row("e")]}, BUILTIN)
    assert list(summary["stages"]) == ["base", "trained"]
    formats, accuracies = summary["comparisons"]
    counts = {"n": 1, "gained": 0, "lost": 1, "p_value": 1.0}
    stages = {"before": "base", "after": "trained", **counts, "domains": {"math": counts}}
    assert formats == stages | {
        "measure": "format",
        "sentence": "Format, base to trained: no change is shown; of 1 paired tasks 0 gained the format and 1 lost it "
        "(McNemar, exact: p = 1.000); fewer than six changed tasks cannot be significant.",
    }
    assert accuracies["measure"] == "accuracy"
    assert summary["split"] == "test"


def test_rows_survive_parquet(tmp_path: Path) -> None:
    hostile = row("h", text="null \x00, smile \U0001f600, <script>", explanation="a\r\nb", reason="text_outside")
    path = tmp_path / "eval" / "base.parquet"
    write_rows(path, [row(), hostile])
    assert read_rows(path) == [row(), hostile]
    write_rows(path, [])
    assert read_rows(path) == []
    assert os.listdir(path.parent) == ["base.parquet"]


def test_text_that_is_not_unicode_is_mended_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_rows(path, [row(text="lone \ud800 end, pair \ud83d\ude00")])
    assert read_rows(path)[0].text == "lone \ufffd end, pair \U0001f600"


def test_unreadable_rows_say_how_to_fix_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(UserError, match="thinkaloud eval"):
        read_rows(path)
    path.write_bytes(b"PAR1 not parquet")
    with pytest.raises(UserError, match="as Parquet"):
        read_rows(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_rows(path, [replace(row(), status="excellent")])
    with pytest.raises(UserError, match="'excellent'"):
        read_rows(path)
    pq.write_table(pa.table({"task_id": ["a"]}), path)
    with pytest.raises(UserError, match="domain, source, question"):
        read_rows(path)


def test_summary_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "eval" / "summary.json"
    summary = build_summary("test", {"base": ten_rows()}, BUILTIN)
    write_summary(path, summary)
    assert read_summary(path) == summary
    with pytest.raises(ValueError, match="Out of range"):
        write_summary(path, {"stages": {}, "bad": float("nan")})
    assert read_summary(path) == summary
    assert os.listdir(path.parent) == ["summary.json"]


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_summary(tmp_path / "file" / "summary.json", {"stages": {}})


def test_unreadable_summary_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    for text, found in (("{", "not JSON"), ("[]", "holds no evaluation"), ('{"stages": 3}', "holds no evaluation")):
        path.write_text(text)
        with pytest.raises(UserError, match=found):
            read_summary(path)
    with pytest.raises(UserError, match="cannot read"):
        read_summary(tmp_path / "absent.json")


def test_table_fits_80_columns_and_shows_every_stage() -> None:
    rows = [*ten_rows(), row("k", "creative_ideation", "unscorable"), row("l", "coding", "wrong")]
    summary = build_summary("test", {"base_example": rows, "cold_start": rows, "trained": rows}, BUILTIN)
    out = io.StringIO()
    Console(file=out, width=80).print(summary_table(summary))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue(), "nothing is cut"
    text = " ".join(out.getvalue().split())
    assert "math base, 1-shot 6+1 67 % [30, 90] 50 % - 0.533 17 %" in text
    assert "creative_ideation base, 1-shot 0+1 - [0, 100] - - - -" in text
    assert text.count("cold start") == 5
    assert "could not be scored" in text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "-"), (0.0, "0 %"), (1.0, "100 %"), (0.998, "99.8 %"), (0.004, "0.4 %"), (0.9643, "96 %")],
)
def test_percent_never_rounds_to_all_or_nothing(rate: float | None, text: str) -> None:
    assert percent(rate) == text


def test_percent_range() -> None:
    assert percent_range([0.902, 0.9951]) == "[90, 100]"
    assert percent_range(None) == ""


def test_a_judge_s_marks_are_counted_apart(tmp_path: Path) -> None:
    def marked(task_id: str, mark: int) -> Row:
        marks = {"judge_reasoning": mark, "judge_answer": 4, "judge_overall": mark + 1}
        return row(task_id, "creative_writing", "graded", reward=0.5, judge="judged", **marks)

    rows = [marked("a", 2), marked("b", 6), row("c", "creative_writing", "graded", judge="failed"), row("d")]
    path = tmp_path / "trained.parquet"
    write_rows(path, rows)
    assert read_rows(path) == rows
    summary = summarize(rows, BUILTIN)
    assert summary["overall"]["judge"] == summary["domains"]["creative_writing"]["judge"]
    marks = summary["overall"]["judge"]
    assert (marks["n"], marks["not_judged"]) == (2, 1)
    assert (marks["reasoning"], marks["answer"], marks["overall"]) == (4.0, 4.0, 5.0)
    assert marks["overall_interval"] == [3.0, 7.0]
    assert marks["answer_interval"] == [4.0, 4.0]
    assert "judge" not in summary["domains"]["math"]
    silent = summarize([row("c", "creative_writing", "graded", judge="silent")], BUILTIN)["overall"]["judge"]
    assert (silent["n"], silent["not_judged"], silent["overall"], silent["overall_interval"]) == (0, 1, None, None)


def test_the_share_of_reasonings_that_come_to_their_answer() -> None:
    def answered(reasoning: str, answer: str, domain: str = "math") -> Row:
        text = f"<reasoning>{reasoning}</reasoning><answer>{answer}</answer>"
        return row(f"{reasoning}{answer}", domain, "wrong", text=text)

    rows = [
        answered("So 2 + 3 = 5.", "5"),
        answered("So 2 + 3 = 5.", "6"),
        answered("So it is five.", "5"),  # cannot be told
        answered("So the answer is yes.", "yes", domain="logic"),
        answered("So 2 + 3 = 5.", "5", domain="coding"),  # no such measure
        row("broken", status="bad_format", text="So 5."),
    ]
    found = summarize(rows, BUILTIN)
    assert found["domains"]["math"]["consistent_rate"] == 1 / 2
    assert found["domains"]["logic"]["consistent_rate"] == 1.0
    assert found["domains"]["coding"]["consistent_rate"] is None
    assert found["overall"]["consistent_rate"] == 2 / 3
