"""What a copy is, by hand; and how many of two hundred planted ones are found, at what cost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest

from support.realistic import light_copy, make_rows, vocabulary
from thinkaloud.data.near_duplicates import find_near_duplicates, is_near_copy
from thinkaloud.data.words import normalized, words_of

REAL = Path(os.environ.get("THINKALOUD_ROWS", Path(__file__).parents[3] / "shared" / "data"))
THRESHOLD = 0.8


def alike(one: str, other: str, *, same_answer: bool | None = None) -> bool:
    there = is_near_copy(words_of(one), words_of(other), THRESHOLD, same_answer=same_answer)
    assert there == is_near_copy(words_of(other), words_of(one), THRESHOLD, same_answer=same_answer)
    return there


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which gas do plants take in by day?", "which GAS do plants take in, by day"),
        ("What tool measures the mass of an object?", "Which tool measures the mass of an object?"),
        ("What is the largest known virus?", "What is the largest known virus called?"),
        ("Where does most geological activity happen?", "Where does most geologic activity happen?"),
        ("Ann sold 48 clips in April and half as many in May", "Josie sold 48 clips in April and half as many in May"),
        ("Which gas do plants breathe in?", "What gas do plants breathe in?"),
        ("Name the city on this old river", "Name the cities on this old river"),
        ("Tell a tale of a fox who learns to read a map", "Tell a story of a fox who learns to read a map"),
    ],
)
def test_copies(one: str, other: str) -> None:
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann sold 48 clips in April and 3 more in May", "Ann sold 48 clips in April and 5 more in May"),
        ("Ann has 3 apples and 5 pears, how many in all?", "Ann has 5 apples and 3 pears, how many in all?"),
        ("Ann has three apples and some pears to sell today", "Ann has seven apples and some pears to sell today"),
        ("What is 12 + 7 when you work it out?", "What is 12 - 7 when you work it out?"),
        (
            "Find the largest number in the given list of numbers",
            "Find the smallest number in the given list of numbers",
        ),
        ("Which of these animals can fly over the sea?", "Which of these animals can not fly over the sea?"),
        ("Which metals are magnetic when they get cold?", "Which metals are nonmagnetic when they get cold?"),
        ("Is the old king of Norway taller than the Queen?", "Is the old Queen of Norway taller than the king?"),
        ("What is the largest known virus?", "What is the largest known animal?"),
        ("Is ice cold?", "Is fire cold?"),
        ("What is the capital of Iran?", "What is the capital of Iraq?"),
        ("What is the capital of Niger?", "What is the capital of Nigeria?"),
        ("Which gas do plants breathe?", "What gas do plants breathe?"),  # five words: too short for any change
        ("", ""),
    ],
)
def test_different_tasks(one: str, other: str) -> None:
    assert not alike(one, other)


def test_answers_tell_a_reworded_question_from_another() -> None:
    short = "What keeps Mars in orbit around it?", "What keeps Earth in orbit around it?"
    assert not alike(*short)
    assert alike(*short, same_answer=True)
    long = (
        "Name an example of a structural adaptation of a fish",
        "Name an example of a behavioral adaptation of a fish",
    )
    assert alike(*long)
    assert not alike(*long, same_answer=False)
    article = "The minister said on Monday that " + "the house would vote on the plan and then adjourn. " * 5
    assert alike(article, article.replace("minister", "speaker"), same_answer=False)


def test_yes_and_no_are_no_evidence() -> None:
    keys = ["Can music be used as a weapon?", "Can jackfruit be used as a weapon?"]
    assert find_near_duplicates(keys, THRESHOLD, answers=["yes", "yes"]) == [None, None]
    assert find_near_duplicates(keys, THRESHOLD, answers=["by the loud", "by the loud"]) == [None, 0]


def test_each_copy_points_to_an_earlier_text_that_is_kept() -> None:
    keys = [
        "Which tool measures the mass of an object?",
        "Why is the sky blue on a clear day?",
        "What tool measures the mass of an object?",
        "which tool measures the mass of an object",
    ]
    done: list[tuple[int, int]] = []
    assert find_near_duplicates(keys, THRESHOLD, progress=lambda *at: done.append(at)) == [None, None, 0, 0]
    assert done == [(0, 4), (4, 4)]
    assert find_near_duplicates(keys, 0.0) == [None] * 4
    assert find_near_duplicates([], THRESHOLD) == []


def test_a_hundred_thousand_comparisons_are_not_needed_for_texts_of_one_mould() -> None:
    """Texts that share nearly all words but their numbers are told apart before any comparison."""
    keys = [f"Ann has {i} red apples and buys {i + 1} more at the old market, how many now?" for i in range(3000)]
    assert find_near_duplicates(keys, THRESHOLD) == [None] * 3000


def check(rows: list[str], answers: list[str] | None, copies: list[str], copy_answers: list[str] | None) -> None:
    found = find_near_duplicates(
        [*rows, *copies], THRESHOLD, answers=[*answers, *copy_answers] if answers and copy_answers else None
    )
    planted, others = found[len(rows) :], found[: len(rows)]
    lost = [(index, other) for index, other in enumerate(others) if other is not None]
    num_found = sum(other is not None for other in planted)
    print(f"\n{len(rows)} rows, {len(lost)} of them copies; planted: {num_found} of {len(copies)} found")
    for index, other in lost[:5]:
        print(f"  {rows[other]!r}\n  {rows[index]!r}\n")
    assert num_found >= 0.95 * len(copies)
    assert len(lost) <= 0.005 * len(rows)


@pytest.mark.slow
def test_planted_copies_among_realistic_rows_are_found() -> None:
    rng = Random(0)
    rows = list({normalized(row): row for row in make_rows(20_300, seed=0)}.values())[:20_000]
    assert len(rows) == 20_000
    words = vocabulary(rng, 500)
    copies = [light_copy(row, rng, words) for row in rng.sample(rows, 200)]
    check(rows, None, copies, None)


def real_rows() -> list[tuple[str, str]]:
    def lines(name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (REAL / name).read_text(encoding="utf-8").strip().split("\n")]

    rows = [(row["question"], str(row["answer"]).rpartition("#### ")[2]) for row in lines("gsm8k/train.jsonl")]
    rows += [(row["question"], row["correct_answer"]) for row in lines("sciq/train.jsonl")]
    rows += [(row["question"], "yes" if row["answer"] else "no") for row in lines("strategyqa/train.jsonl")]
    rows += [
        (row["instruction"], row["response"])
        for row in lines("dolly15k/train.jsonl")
        if row["category"] == "brainstorming"
    ]
    rows += [(row["document"], row["summary"]) for row in lines("xsum/train.jsonl")]
    seen: dict[str, tuple[str, str]] = {}
    for question, answer in rows:
        seen.setdefault(normalized(str(question)), (str(question), str(answer)))
    chosen = list(seen.values())
    Random(0).shuffle(chosen)
    return chosen[:20_000]


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real rows are not on this machine")
@pytest.mark.parametrize("with_answers", [True, False])
def test_planted_copies_among_real_rows_are_found(with_answers: bool) -> None:
    rng = Random(1)
    chosen = real_rows()
    rows, answers = [question for question, _ in chosen], [answer for _, answer in chosen]
    words = [word for row in rows[:500] for word in row.split() if word.isalpha()]
    places = rng.sample(range(len(rows)), 200)
    copies = [light_copy(rows[place], rng, words) for place in places]
    check(
        rows,
        answers if with_answers else None,
        copies,
        [answers[place] for place in places] if with_answers else None,
    )
