from __future__ import annotations

from pathlib import Path

from support.synthetic_run import made_row
from thinkaloud.evaluate.rows import Row
from thinkaloud.report.run_data import Run
from thinkaloud.report.samples import first_look, samples, statuses_of


def row(task_id: str, domain: str = "math", **changes: object) -> Row:
    import random
    from dataclasses import replace

    return replace(made_row(domain, 5, 1.0, random.Random(0)), task_id=task_id, **changes)  # type: ignore[arg-type]


def test_the_same_task_stands_side_by_side_and_the_first_are_taken() -> None:
    rows = {
        "base": [row("c", text="base c"), row("a", text="base a"), row("b")],
        "trained": [row("a", text="trained a"), row("c", text="trained c"), row("l", "logic")],
    }
    found = samples(Run(path=Path("run"), rows=rows), per_domain=2, max_chars=100)
    assert [sample.task_id for sample in found] == ["c", "a", "l"]
    assert [(answer.stage_label, answer.text) for answer in found[0].answers] == [
        ("base", "base c"),
        ("trained", "trained c"),
    ]
    assert [answer.stage for answer in found[2].answers] == ["trained"], "a stage that lacks the task is left out"


def test_the_breakdown_is_shown_where_it_is_one() -> None:
    hostile = ['{"format": 0.2, "length": 0.15, "note": "<b>"}', "{", "[1]", "3", '{"a":' * 4_000]
    rows = {"base": [row(str(k), components=text) for k, text in enumerate(hostile)]}
    found = samples(Run(path=Path("run"), rows=rows), per_domain=9, max_chars=50)
    assert [sample.answers[0].components for sample in found] == [
        (("format", "0.2"), ("length", "0.15")),
        (),
        (),
        (),
        (),
    ]


def test_a_judge_s_marks_stand_beside_the_answer() -> None:
    marks = {"judge": "judged", "judge_reasoning": 3, "judge_answer": 2, "judge_overall": 4}
    rows = {"base": [row("a", **marks), row("b", judge="failed"), row("c")]}
    found = samples(Run(path=Path("run"), rows=rows), per_domain=9, max_chars=50)
    assert [sample.answers[0].judge for sample in found] == [
        "judge, of 10: reasoning 3, answer 2, overall 4",
        "judge: no marks (failed)",
        "",
    ]


def test_statuses_that_occur() -> None:
    rows = {"base": [row("a", status="bad_format"), row("b", status="wrong")], "trained": [row("a", status="wrong")]}
    assert statuses_of(samples(Run(path=Path("run"), rows=rows), per_domain=9, max_chars=9)) == ("bad_format", "wrong")


def test_the_first_look_is_the_first_task_that_training_won() -> None:
    def looked(before: list[Row], after: list[Row], reading: str = "base") -> tuple[str, str]:
        summary = {"headline": {"before": reading}}
        found = first_look(
            Run(path=Path("run"), rows={reading: before, "trained": after}, summary=summary), max_chars=99
        )
        assert found is not None
        assert [answer.stage for answer in found.sample.answers] == [reading, "trained"]
        return found.sample.task_id, found.why

    solved = [row(name, status="correct") for name in "abc"]
    unformatted = [row(name, status="bad_format", answer_correct=name == "a") for name in "abc"]
    assert looked(unformatted, solved)[0] == "b", "the base solves a, without the format"
    assert looked(unformatted, solved, "base_plain")[0] == "b"
    kept = [row(name, status="wrong") for name in "abc"]
    task, why = looked(unformatted, kept)
    assert task == "a"
    assert "in the format" in why
    assert looked(kept, kept) == ("a", "The first task.")
    assert first_look(Run(path=Path("run"), rows={"base": kept}), max_chars=99) is None


def test_the_plain_reading_is_not_called_badly_formatted() -> None:
    own = [row("a", status="bad_format", answer_correct=True), row("b", status="bad_format", answer_correct=False)]
    found = samples(Run(path=Path("run"), rows={"base": own, "base_plain": own}), per_domain=9, max_chars=50)
    assert [[answer.status for answer in sample.answers] for sample in found] == [
        ["bad_format", "correct"],
        ["bad_format", "wrong"],
    ]


def test_an_answer_read_without_tags_is_named() -> None:
    rows = {
        "base": [
            row("a", status="bad_format", answer="12", answer_correct=True),
            row("b", status="bad_format", answer="", answer_correct=False),
            row("c", status="correct", answer="12", answer_correct=True),
        ]
    }
    found = samples(Run(path=Path("run"), rows=rows), per_domain=9, max_chars=50)
    assert [sample.answers[0].answer for sample in found] == [
        "answer without tags: 12 (correct)",
        "answer without tags: none found",
        "",
    ]
