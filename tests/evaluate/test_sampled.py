from __future__ import annotations

import pytest

from support.eval_rows import row
from thinkaloud.domains import BUILTIN
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.sampled import sampled_rates, vote
from thinkaloud.evaluate.statistics import pass_at_k, wilson_interval
from thinkaloud.evaluate.summary import summarize


def said(answer: str, status: str, sample: int, task: str = "t", domain: str = "math") -> Row:
    text = f"<reasoning>so</reasoning><answer>{answer}</answer>"
    return row(task, domain, status, text=text, sample=sample)


def test_pass_at_k_by_hand() -> None:
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 1, 2) == 0.5  # of 6 pairs, 3 hold the right one
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)
    assert pass_at_k(4, 0, 4) == 0.0
    assert pass_at_k(4, 3, 2) == 1.0


def test_pass_and_majority_over_tasks() -> None:
    rows = [
        *(said("4", "correct", i) for i in range(3)),
        said("5", "wrong", 3),
        *(said("7", "wrong", i, "u") for i in range(3)),
        said("8", "correct", 3, "u"),
        *(row("w", "creative_writing", "graded", sample=i) for i in range(4)),
    ]
    found = sampled_rates(rows, BUILTIN)
    assert {k: v["rate"] for k, v in found["pass_at"].items()} == {"1": 0.5, "2": 0.75, "4": 1.0}
    assert (found["majority"]["n"], found["majority"]["rate"]) == (2, 0.5)
    overall = summarize(rows, BUILTIN)["overall"]
    assert overall["samples"] == 4
    assert overall["pass_at"] == found["pass_at"]
    assert overall["accuracy"] == 0.5
    assert overall["accuracy_interval"] == [0.25, 0.75], "tasks are resampled, not completions: 3/4 and 1/4 right"
    assert overall["format_interval"] == list(wilson_interval(3, 3)), "no width is no certainty"


def test_a_vote_counts_equal_answers_and_ignores_broken_formats() -> None:
    assert vote([said("1,000", "correct", 0), said("3", "wrong", 1), said(" $1000.00 ", "correct", 2)])
    assert vote([said("3", "wrong", 0), said("4", "correct", 1)]) is False, "of equals, the first"
    broken = [row("t", status="bad_format", text="4", sample=i) for i in range(3)]
    assert vote([*broken, said("5", "correct", 3)])
    assert vote(broken) is False


def test_coding_has_pass_at_k_but_no_vote() -> None:
    found = sampled_rates(
        [said("x = 1", "correct", 0, domain="coding"), said("x = 2", "wrong", 1, domain="coding")], BUILTIN
    )
    assert found["pass_at"]["2"]["rate"] == 1.0
    assert found["majority"] == {}


def test_every_number_of_samples_has_its_own_rate() -> None:
    rows = [said("4", "correct" if i == 0 else "wrong", i) for i in range(6)]
    found = sampled_rates(rows, BUILTIN)["pass_at"]
    assert {k: v["rate"] for k, v in found.items()} == pytest.approx({"1": 1 / 6, "2": 1 / 3, "4": 2 / 3, "6": 1.0})


def test_answers_without_tags_have_rates_of_their_own() -> None:
    def read(answer: str, group: int | None, right: bool, sample: int) -> Row:
        return row("t", status="bad_format", answer=answer, answer_group=group, answer_correct=right, sample=sample)

    rows = [read("1/2", 0, True, 0), read("7", 1, False, 1), read("0.5", 0, True, 2), read("", None, False, 3)]
    found = sampled_rates(rows, BUILTIN)
    assert (found["pass_at"]["4"]["rate"], found["majority"]["rate"]) == (0.0, 0.0)
    assert {k: v["rate"] for k, v in found["answer_pass_at"].items()} == {"1": 0.5, "2": pytest.approx(5 / 6), "4": 1.0}
    assert found["answer_majority"]["rate"] == 1.0, "equal values in two spellings are one answer"
    apart = [read("1/2", None, True, 0), read("7", None, False, 1), read("7.0", None, False, 2)]
    assert vote(apart, strict=False) is False, "compared as text where the verifier did not compare"
    assert sampled_rates([row("t"), row("t", sample=1)], BUILTIN)["answer_pass_at"] == {}, "older rows"
