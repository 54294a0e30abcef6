from __future__ import annotations

from pathlib import Path
from typing import Any

from thinkaloud.report.evaluation import (
    about,
    by_source,
    changes,
    headline,
    judge,
    judge_note,
    reasons,
    result,
    results,
    statuses,
    title,
)
from thinkaloud.report.run_data import Run


def rates(rate: float | None, n: int = 10, **more: Any) -> dict[str, Any]:
    return {"n": n, "format_rate": rate, "format_interval": [0.6, 0.98], "accuracy": None, "mean_reward": rate, **more}


def run_of(**stages: dict[str, Any]) -> Run:
    return Run(path=Path("run"), summary={"split": "test", "stages": stages})


def test_the_headline_states_rates_and_reward() -> None:
    overall = rates(0.9, 70, accuracy=0.25, accuracy_interval=[0.1, 0.5])
    run = Run(
        path=Path("run"),
        summary={
            "split": "test",
            "stages": {"base": {"overall": rates(0.0), "domains": {}}, "trained": {"overall": overall, "domains": {}}},
        },
        grpo=({"step": 1, "reward": 0.25}, {"step": 2, "reward": 0.75}),
    )
    formats, accuracies, reward = headline(run)
    assert "70 held-out tasks (test split" in formats
    assert "base 0 % [60, 98], trained 90 % [60, 98]" in formats
    assert accuracies.endswith("trained 25 % [10, 50].")
    assert "2 GRPO steps" in reward
    assert "rose from 0.250 (first 1) to 0.750 (last 1)" in reward


def test_the_title_is_the_result_in_one_line() -> None:
    before, after = {"overall": rates(0.02), "domains": {}}, {"overall": rates(0.9, 70), "domains": {}}
    assert title(run_of(base=before, trained=after)).endswith("2 % (base) to 90 % (trained)")
    assert title(run_of(base=before)).endswith("2 % (base model)")
    assert title(run_of(base={"overall": rates(None), "domains": {}})) == "run", "no number, no claim"


def test_the_description_names_model_and_steps() -> None:
    text = about(Run(path=Path("run"), resolved={"model": {"source": "some-model"}}, grpo=({"step": 1}, {"step": 2})))
    assert text.startswith("some-model ")
    assert "2 GRPO steps" in text
    assert about(Run(path=Path("run"))).startswith("A language model ")


def test_a_headline_without_numbers_says_so() -> None:
    evaluation, training = headline(Run(path=Path("run")))
    assert "No evaluation" in evaluation
    assert "Fewer than two GRPO steps" in training
    falling = Run(path=Path("run"), grpo=({"step": 1, "reward": 0.5}, {"step": 2, "reward": 0.25}))
    assert "fell from 0.500" in headline(falling)[1]
    still = Run(path=Path("run"), grpo=({"step": 1, "reward": 0.5},) * 2)
    assert "reward stayed at 0.500 (first 1, last 1)." in headline(still)[1]
    halted = Run(path=Path("run"), grpo=({"step": 1, "reward": 0.5},), resolved={"grpo": {"max_steps": 4}})
    assert headline(halted)[-1].startswith("1 of the recipe's 4 GRPO steps")


def test_results_are_domain_by_stage_and_absent_numbers_are_dashes() -> None:
    run = run_of(
        base={"overall": rates(0.1), "domains": {"math": rates(0.1)}},
        trained={"overall": rates(0.9, masked=2), "domains": {"logic": rates(None, 0)}},
    )
    format_rate, accuracy, given_format, reward, by_rule, count = results(run)
    assert format_rate.header == ("domain", "base", "trained")
    assert format_rate.rows == (
        ("math", "10 % [60, 98]", "-"),
        ("logic", "-", "-"),
        ("overall", "10 % [60, 98]", "90 % [60, 98]"),
    )
    assert {text for table in (accuracy, given_format) for row in table.rows for text in row[1:]} == {"-"}
    assert reward.rows[-1] == ("overall", "0.10", "0.90")
    assert by_rule.rows == (("rejected", "-", "-"), ("allowed", "-", "-"))
    assert count.rows[-1] == ("overall", "10", "10 (+ 2)")
    assert results(run_of()) == ()


def test_accuracy_by_source_where_a_domain_has_several() -> None:
    of_math = {name: rates(0.5, 20, accuracy=0.25, accuracy_interval=[0.1, 0.5]) for name in ("generated", "starter")}
    of_story = {name: rates(0.5) for name in ("dolly15k", "starter")}
    base = {"overall": rates(0.1), "domains": {}, "sources": {"math": of_math, "creative_writing": of_story}}
    (table,) = by_source(run_of(base=base, trained={"overall": rates(0.9), "domains": {}}))
    assert table.header == ("domain: source", "base", "trained")
    assert table.rows[:2] == (
        ("math: generated", "25 % [10, 50], 20", "-"),
        ("math: starter", "25 % [10, 50], 20", "-"),
    )
    assert by_source(run_of(base={"overall": rates(0.1), "domains": {}, "sources": {"story": of_story}})) == ()
    assert by_source(run_of(base={"overall": rates(0.1), "domains": {}})) == (), "a summary of an earlier version"


def test_changes_say_what_is_and_what_is_not_shown() -> None:
    run = run_of(base={"overall": {}, "domains": {}})
    stages = {"before": "base", "after": "cold_start"}
    run.summary["comparisons"] = [
        {**stages, "after": "trained", "measure": "format", "n": 70, "gained": 60, "lost": 1, "p_value": 1e-16},
        {**stages, "measure": "accuracy", "n": 40, "gained": 3, "lost": 1, "p_value": 0.625},
        {**stages, "measure": "accuracy", "n": 40, "gained": 2, "lost": 9, "p_value": 0.065},
        {**stages, "measure": "format", "n": None},
        "odd",
    ]
    assert changes(run) == (
        "Format, base to trained: a gain is shown; of 70 paired tasks 60 gained the format and 1 lost it "
        "(McNemar, exact: p < 0.001).",
        "Accuracy, base to cold start: no change is shown; of 40 paired tasks 3 gained the right answer and 1 lost it "
        "(McNemar, exact: p = 0.625); fewer than six changed tasks cannot be significant.",
        "Accuracy, base to cold start: no change is shown; of 40 paired tasks 2 gained the right answer and 9 lost it "
        "(McNemar, exact: p = 0.065); this does not prove that there is none.",
    )


def test_statuses_and_reasons_are_counted_by_stage() -> None:
    run = run_of(
        base={
            "overall": {
                "statuses": {"bad_format": 9, "correct": 1},
                "reasons": {"missing_answer": 2, "text_outside": 7},
            },
            "domains": {},
        },
        trained={"overall": {"statuses": {"correct": 10}}, "domains": {}},
    )
    found = statuses(run)
    assert found is not None
    assert found.rows == (("correct", "1", "10"), ("bad format", "9", "0"))
    why = reasons(run)
    assert why is not None
    assert why.rows == (("text outside", "7", "0"), ("missing answer", "2", "0"))
    assert statuses(run_of()) is None


def test_a_judge_s_marks_stand_apart_with_their_numbers() -> None:
    marks = {"n": 8, "not_judged": 2}
    for part in ("reasoning", "answer", "overall"):
        marks |= {part: 6.25, f"{part}_interval": [5.0, 7.5]}
    overall, none = rates(0.9, judge=marks), rates(0.0, judge={"n": 0, "not_judged": 1, "overall": None})
    run = run_of(
        base={"overall": none, "domains": {"creative_writing": none, "math": rates(0.5)}},
        trained={"overall": overall, "domains": {"creative_writing": overall, "math": rates(0.5)}},
    )
    tables = judge(run)
    assert [table.caption.partition(":")[0] for table in tables] == [
        "Judge, overall",
        "Judge, answer",
        "Judge, reasoning",
    ]
    assert tables[0].rows == (
        ("creative_writing", "-", "6.2 [5.0, 7.5], 8"),
        ("overall", "-", "6.2 [5.0, 7.5], 8"),
    )
    assert judge_note(run).startswith("Judge: unknown.")
    assert judge_note(run).endswith(": 1 (base), 2 (trained).")
    assert judge(run_of(base={"overall": rates(0.0), "domains": {"math": rates(0.5)}})) == ()


def test_the_main_result_is_the_headline_of_the_summary() -> None:
    run = run_of(base={"overall": rates(0.0), "domains": {}}, trained={"overall": rates(0.9), "domains": {}})
    assert result(run) == ""
    numbers = {"n": 40, "base": 0.3, "trained": 0.5, "difference": 0.2, "gained": 12, "lost": 4, "p_value": 0.077}
    run.summary["headline"] = {"before": "base_plain", "after": "trained", **numbers, "interval": [0.01, 0.37]}
    assert title(run) == "Tasks solved: 30 % (base at its best) to 50 % (trained)"
    assert "50 % against 30 % of 40 tasks, +20 points [+1, +37], p = 0.077." in result(run)
    for key, value in (("p_value", None), ("interval", "wide"), ("before", "<b>")):
        broken = run_of(**run.stages)
        broken.summary["headline"] = {**run.summary["headline"], key: value}
        assert result(broken) == ""


def test_answer_accuracy_stands_beside_chance() -> None:
    asked = {"answer_accuracy": 0.5, "answer_accuracy_interval": [0.3, 0.7], "chance": 0.25, "majority_baseline": 0.4}
    domains = {"science": rates(0.0, **asked), "creative_writing": rates(0.0)}
    run = run_of(
        base_plain={
            "overall": rates(0.0, answer_accuracy=0.5),
            "domains": {"science": rates(0.0, answer_accuracy=0.5)},
        },
        trained={"overall": rates(0.9, **asked), "domains": domains},
    )
    found = results(run)[0]
    assert found.header == ("domain", "base, plain", "trained", "chance", "most frequent gold")
    assert found.rows == (
        ("science", "50 %", "50 % [30, 70]", "25 %", "40 %"),
        ("overall", "50 %", "50 % [30, 70]", "25 %", "40 %"),
    )
    assert results(run)[1].header == ("domain", "trained"), "the format is that of the models alone"
