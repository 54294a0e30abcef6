from __future__ import annotations

from support.eval_rows import row
from thinkaloud.domains import BUILTIN
from thinkaloud.evaluate.paired import compare, compare_stages, measures, sentence


def test_accuracy_pairs_verifiable_tasks_only() -> None:
    before = [row("a", status="wrong"), row("b"), row("c", status="bad_format"), row("w", "creative_writing", "graded")]
    after = [row("a"), row("b", status="wrong"), row("c"), row("w", "creative_writing", "graded")]
    assert compare(before, after, measures(BUILTIN)["accuracy"]) == {"n": 3, "gained": 2, "lost": 1, "p_value": 1.0}
    assert compare(before, after) == {"n": 4, "gained": 1, "lost": 0, "p_value": 1.0}


def test_only_the_first_sample_of_a_task_is_paired() -> None:
    before = [row("a", status="bad_format"), row("a", sample=1)]
    after = [row("a", sample=1, status="bad_format"), row("a")]
    assert compare(before, after) == {"n": 1, "gained": 1, "lost": 0, "p_value": 1.0}


def test_domains_are_compared_too_and_empty_measures_left_out() -> None:
    before = [row("w", "creative_writing", "bad_format"), row("v", "summarization", "graded")]
    after = [row("w", "creative_writing", "graded"), row("v", "summarization", "graded")]
    (only,) = compare_stages("base", before, "trained", after, BUILTIN)
    assert (only["before"], only["after"], only["measure"], only["n"]) == ("base", "trained", "format", 2)
    assert {name: own["gained"] for name, own in only["domains"].items()} == {"creative_writing": 1, "summarization": 0}


def test_sentences_say_what_is_shown_and_what_is_not() -> None:
    def said(**counts: int) -> str:
        return sentence("base", "cold_start", "accuracy", n=40, p_value=compare_p(**counts), **counts)

    assert "a gain is shown" in said(gained=9, lost=1)
    assert "a loss is shown" in said(gained=0, lost=6)
    assert said(gained=0, lost=0) == (
        "Accuracy, base to cold start: no change is shown; of 40 paired tasks 0 gained the right answer and 0 lost it."
    )
    assert said(gained=5, lost=0).endswith("p = 0.062); fewer than six changed tasks cannot be significant.")
    assert said(gained=7, lost=2).endswith("this does not prove that there is none.")
    assert said(gained=5, lost=1).endswith("p = 0.219); this does not prove that there is none."), (
        "six changed are enough"
    )
    assert "no change is shown" in said(gained=3, lost=3)
    assert "p = 1.000" in said(gained=3, lost=3)
    assert "p < 0.001" in said(gained=20, lost=0)


def compare_p(gained: int, lost: int) -> float:
    before = [row(f"g{i}", status="bad_format") for i in range(gained)] + [row(f"l{i}") for i in range(lost)]
    after = [row(f"g{i}") for i in range(gained)] + [row(f"l{i}", status="bad_format") for i in range(lost)]
    p: float = compare(before, after)["p_value"]
    return p
