from __future__ import annotations

from dataclasses import replace

import pytest

from support.eval_rows import row
from thinkaloud.domains import BUILTIN
from thinkaloud.evaluate.headline import best_base, headline, headline_over_seeds
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.statistics import paired_difference_interval
from thinkaloud.evaluate.summary import build_summary, summarize


def answered(right: str, *, domain: str = "math", strict: bool = False) -> list[Row]:
    """One row per character: `+` right, `-` wrong, `.` not answered; without format unless `strict`."""
    status = {True: "correct" if strict else "bad_format", False: "wrong" if strict else "bad_format"}
    return [
        row(f"{domain}{at}", domain, status[mark == "+"], answer_correct=mark == "+")
        for at, mark in enumerate(right)
        if mark != "."
    ]


def test_the_interval_of_a_paired_difference_is_newcombe_s() -> None:
    low, high = paired_difference_interval(36, 12, 2, 0)
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404), "Newcombe 1998, table II"
    assert paired_difference_interval(2, 0, 12, 36) == pytest.approx(
        [-x for x in paired_difference_interval(2, 12, 0, 36)][::-1]
    )
    low, high = paired_difference_interval(0, 0, 0, 10)
    assert low == -high < 0, "no change in ten tasks is no certainty"
    assert paired_difference_interval(0, 10, 0, 0)[1] == 1.0


def test_the_trained_model_meets_the_best_way_of_asking_the_base() -> None:
    stages = {
        "base": answered("+---------"),
        "base_plain": answered("++++------"),
        "base_example": answered("+++-------"),
        "trained": answered("+++-++++++", strict=True),
    }
    found = headline(stages, BUILTIN)
    assert found is not None
    assert (found["before"], found["after"], found["n"]) == ("base_plain", "trained", 10)
    assert found["bases"] == {"base": 0.1, "base_plain": 0.4, "base_example": 0.3}
    assert (found["base"], found["trained"], found["difference"]) == (0.4, 0.9, pytest.approx(0.5))
    assert (found["gained"], found["lost"]) == (6, 1)
    assert found["p_value"] == pytest.approx(2 * (1 + 7) / 2**7)
    assert found["interval"] == list(paired_difference_interval(3, 6, 1, 0))
    assert "plain question" in found["sentence"]
    assert "90 % against 40 % of 10 tasks, +50 points" in found["sentence"]
    assert found["sentence"].startswith("No difference is shown between the trained model and the base"), "p is 0.125"
    assert build_summary("test", stages, BUILTIN)["headline"] == found
    strict_only = {**stages, "trained": answered("++++++++++")}
    assert headline(strict_only, BUILTIN)["trained"] == 0.0, "the trained model must keep the format"  # type: ignore[index]


def test_over_seeds_the_last_stage_meets_the_base_and_the_cold_start() -> None:
    base = {"base": answered("+---------"), "base_plain": answered("++--------")}
    seeds = [
        {**base, "cold_start": answered(cold, strict=True), "trained": answered(trained, strict=True)}
        for cold, trained in (("++++------", "+++++++---"), ("+++++++---", "+++++++---"), ("++++++----", "+++++++---"))
    ]
    to_base, to_cold_start = headline_over_seeds(seeds, BUILTIN)
    assert (to_base["before"], to_base["after"], to_base["seeds"], to_base["tasks"]) == ("base_plain", "trained", 3, 10)
    assert (to_base["before_rate"], to_base["after_rate"]) == (pytest.approx(0.2), pytest.approx(0.7))
    assert to_base["difference"] == pytest.approx(0.5)
    assert 0 < to_base["interval"][0] < 0.5 < to_base["interval"][1]
    assert "a gain is shown; 70 % against 20 % of 10 tasks, +50 points [" in to_base["sentence"]
    assert "plain question" in to_base["sentence"]
    assert to_cold_start["before"] == "cold_start"
    assert to_cold_start["difference"] == pytest.approx((3 + 0 + 1) / 30)
    assert to_cold_start["interval"][0] == 0.0, "a third of the draws of one seed, 1/27 of all three, are of the second"
    assert "no change is shown; 70 % against 57 % of 10 tasks" in to_cold_start["sentence"]
    (only,) = headline_over_seeds([{**own, "trained": answered("---", strict=True)} for own in seeds[:1]], BUILTIN)[:1]
    assert only["tasks"] == 3
    assert headline_over_seeds([{"trained": seeds[0]["trained"]}] * 2, BUILTIN) == []
    without = [{key: rows for key, rows in own.items() if key != "trained"} for own in seeds]
    assert [(one["before"], one["after"]) for one in headline_over_seeds(without, BUILTIN)] == [
        ("base_plain", "cold_start")
    ]


def test_the_best_way_is_chosen_once_for_all_domains() -> None:
    stages = {
        "base": [*answered("++++"), *answered("----", domain="logic")],
        "base_plain": [*answered("++--"), *answered("+++-", domain="logic")],
        "trained": [*answered("++++", strict=True), *answered("+++.", domain="logic", strict=True)],
    }
    found = headline(stages, BUILTIN)
    assert found is not None
    assert found["before"] == "base_plain"
    assert found["n"] == 7, "only tasks that both answered"
    assert {name: (own["n"], own["gained"]) for name, own in found["domains"].items()} == {
        "math": (4, 2),
        "logic": (3, 0),
    }


def test_the_sentence_claims_only_what_the_test_shows() -> None:
    def said(before: str, after: str) -> str:
        found = headline({"base": answered(before), "trained": answered(after, strict=True)}, BUILTIN)
        assert found is not None
        return str(found["sentence"])

    assert said("------", "++++++").startswith(
        "The trained model solves more tasks than the base at its best (same prompt"
    )
    assert said("++++++", "------").startswith("The trained model solves fewer tasks")
    assert said("-----", "+++++").endswith("p = 0.062; fewer than six changed tasks cannot be significant.")
    assert said("+", "+").endswith("100 % against 100 % of 1 tasks, +0 points [-79, +79], p = 1.000.")


def test_a_base_whose_answers_were_cut_is_not_called_its_best_without_a_caution() -> None:
    def said(cut: int) -> str:
        plain = [replace(row, finish="length" if at < cut else "stop") for at, row in enumerate(answered("+---------"))]
        stages = {"base": answered("-" * 10), "base_plain": plain, "trained": answered("+" * 10, strict=True)}
        found = headline(stages, BUILTIN)
        assert found is not None
        assert found["truncated"] == {"base": 0.0, "base_plain": cut / 10}
        return str(found["sentence"])

    assert "cut" not in said(1)
    assert "cut 40 % of the base's answers (plain question)" in said(4)
    assert "evaluate.max_new_tokens" in said(4)


def test_without_both_sides_there_is_no_headline() -> None:
    rows = answered("+-")
    assert headline({"base": rows}, BUILTIN) is None
    assert headline({"trained": rows}, BUILTIN) is None
    older = [row("math0"), row("math1")]
    assert best_base({"base": older}, BUILTIN) is None, "older rows have no answers read"
    assert best_base({"base_example": rows, "base": rows}, BUILTIN) == "base", "of equals the first"


def test_readings_are_not_compared_as_if_they_asked_for_the_format() -> None:
    rows = answered("+-")
    found = build_summary("test", {"base_plain": rows, "base": rows, "trained": rows}, BUILTIN)
    assert list(found["stages"]) == ["base", "base_plain", "trained"]
    assert {(entry["before"], entry["after"]) for entry in found["comparisons"]} == {("base", "trained")}


def test_chance_and_majority_are_those_of_the_tasks() -> None:
    rows = [
        *(row(f"s{i}", "science", chance=0.25, constant=letter) for i, letter in enumerate("AABC")),
        *(row(f"l{i}", "logic", chance=0.5, constant=word) for i, word in enumerate(["yes", "no", "yes", "yes"])),
        *(row(f"m{i}", chance=None, constant=str(i)) for i in range(8)),
        *(row(f"c{i}", "coding") for i in range(4)),
        row("s0", "science", sample=1, chance=0.25, constant="A"),
        row("w", "creative_writing", "graded"),
    ]
    found = summarize(rows, BUILTIN)
    domains = found["domains"]
    assert (domains["science"]["chance"], domains["science"]["majority_baseline"]) == (0.25, 2 / 4)
    assert (domains["logic"]["chance"], domains["logic"]["majority_baseline"]) == (0.5, 3 / 4)
    assert (domains["math"]["chance"], domains["math"]["majority_baseline"]) == (None, 1 / 8)
    assert (domains["coding"]["chance"], domains["coding"]["majority_baseline"]) == (None, None)
    assert found["overall"]["chance"] == pytest.approx((4 * 0.25 + 4 * 0.5) / 20)
    assert found["overall"]["majority_baseline"] == (2 + 3 + 1) / 20
