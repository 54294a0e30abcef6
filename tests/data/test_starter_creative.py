"""The starter tasks of the three graded domains: counts, limits, form, and no copying of any kind.

Stems and diversity are computed here on purpose without the package's own scorer, so that a gold answer is judged
twice, by two different measures; the last test asks the scorer itself.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import thinkaloud
from thinkaloud.records import Status, Task, task_id
from thinkaloud.rewards import check_golds

CREATIVE = ("creative_writing", "creative_ideation")
GRADED = (*CREATIVE, "summarization")
STARTER = Path(thinkaloud.__file__).parent / "data" / "starter"
FIELDS = {"question", "answer", "rationale", "split"}
_FUNCTION_WORDS = (
    "a an the and or but nor so yet if then than that this these those of in on at by for to from with without into "
    "onto over under up down out off as is are was were be been being am do does did have has had will would can "
    "could should may might must shall i you he she it we they me him her us them my your his its our their who whom "
    "whose which what when where why how not no any all each every one two three four five there here just only very "
    "too also about between after before during while"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
SUFFIXES = ("ingly", "edly", "ings", "ing", "ied", "ies", "ed", "es", "ly", "s", "er", "e")
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}

Row = dict[str, Any]


def load(domain: str) -> list[Row]:
    lines = (STARTER / f"{domain}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def stem(word: str) -> str:
    word = re.sub(r"'s?$", "", word)
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] in "yi" else word


def stems(text: str) -> set[str]:
    return {stem(word) for word in words(text) if word not in FUNCTION_WORDS}


def grams(text: str, size: int) -> set[tuple[str, ...]]:
    tokens = words(text)
    return {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


def jaccard(left: set[Any], right: set[Any]) -> float:
    return len(left & right) / max(1, len(left | right))


def window_diversity(text: str, window: int = 20) -> float:
    """Mean share of distinct words over every run of `window` words."""
    tokens = words(text)
    window = min(window, len(tokens))
    runs = [tokens[i : i + window] for i in range(len(tokens) - window + 1)]
    return sum(len(set(run)) / window for run in runs) / len(runs)


def sentences(text: str) -> int:
    """Number of sentences; a stop inside a quotation that the sentence goes on after does not count."""
    return len(re.findall(r"[.!?][\"']?(?=\s+[\"']?[A-Z]|$)", re.sub(r"\b(Mr|Mrs|Dr)\.", r"\1", text)))


def source_text(row: Row) -> str:
    return str(row["question"]).partition("\n\n")[2]


def test_the_independent_measures_are_sound() -> None:
    assert stem("hears") == stem("hearing") == stem("hear")
    assert stem("rainy") == stem("rain")
    assert stem("baking") == stem("bakes") == stem("bake")
    assert stem("stories") != stem("storms")
    assert window_diversity("a b a b", window=2) == 1.0
    assert window_diversity("a a b b", window=2) == pytest.approx(2 / 3)
    assert sentences('"Go!" he said. Then he left.') == 2
    assert sentences("Mr. Bell rang, and nobody came.") == 1
    assert grams("One two three four", 3) == {("one", "two", "three"), ("two", "three", "four")}


@pytest.mark.parametrize("domain", GRADED)
def test_sixty_four_tasks_are_split_44_10_10(domain: str) -> None:
    rows = load(domain)
    assert Counter(row["split"] for row in rows) == {"train": 44, "validation": 10, "test": 10}
    assert all(set(row) == FIELDS for row in rows)


@pytest.mark.parametrize("domain", GRADED)
def test_text_is_plain_trimmed_and_free_of_tags(domain: str) -> None:
    for row in load(domain):
        for name in ("question", "answer", "rationale"):
            text = row[name]
            assert isinstance(text, str)
            assert text == text.strip()
            assert not re.search(r"[<>*#`_\t]|\\n| {2}", text), text


@pytest.mark.parametrize("domain", GRADED)
def test_rationales_and_answers_keep_to_their_word_limits(domain: str) -> None:
    low, high = (15, 30) if domain == "summarization" else (16, 40)
    for row in load(domain):
        assert 21 <= len(row["rationale"].split()) <= 36, row["rationale"]
        assert low <= len(row["answer"].split()) <= high, row["answer"]


@pytest.mark.parametrize("domain", CREATIVE)
def test_creative_questions_are_one_compact_line(domain: str) -> None:
    for row in load(domain):
        assert 8 <= len(row["question"].split()) <= 25, row["question"]
        assert "\n" not in row["question"]
        assert 3 <= len(stems(row["question"])) <= 12, row["question"]


def test_summarization_questions_are_an_instruction_and_a_source_text() -> None:
    rows = load("summarization")
    for row in rows:
        instruction, gap, text = row["question"].partition("\n\n")
        assert gap
        assert "\n" not in instruction + text
        assert 55 <= len(text.split()) <= 95, text
    assert len({row["question"].partition("\n\n")[0] for row in rows}) >= 5


@pytest.mark.parametrize("domain", GRADED)
def test_no_two_tasks_are_alike(domain: str) -> None:
    rows = load(domain)
    assert len({task_id(domain, row["question"]) for row in rows}) == len(rows)
    asked = [source_text(row) or row["question"] for row in rows]
    for name, texts in (
        ("question", asked),
        ("answer", [row["answer"] for row in rows]),
        ("rationale", [row["rationale"] for row in rows]),
    ):
        shingles = [grams(text, 3) for text in texts]
        for one, other in combinations(range(len(rows)), 2):
            assert jaccard(shingles[one], shingles[other]) < 0.25, (name, texts[one], texts[other])


def test_no_question_or_answer_serves_two_domains() -> None:
    texts = [row[name] for domain in GRADED for row in load(domain) for name in ("question", "answer", "rationale")]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("domain", GRADED)
@pytest.mark.parametrize("name", ["rationale", "answer"])
def test_openings_vary(domain: str, name: str) -> None:
    openings = Counter(tuple(words(row[name])[:2]) for row in load(domain))
    assert max(openings.values()) <= 5, openings.most_common(3)


@pytest.mark.parametrize("domain", GRADED)
def test_answers_and_rationales_are_lexically_diverse(domain: str) -> None:
    for row in load(domain):
        assert window_diversity(row["answer"]) >= 0.85, row["answer"]
        assert window_diversity(row["rationale"]) >= 0.8, row["rationale"]


@pytest.mark.parametrize("domain", CREATIVE)
def test_answers_are_about_their_question_without_echoing_it(domain: str) -> None:
    for row in load(domain):
        asked = stems(row["question"])
        share = len(asked & stems(row["answer"])) / len(asked)
        assert share >= 0.5, (share, row["question"], row["answer"])
        assert jaccard(grams(row["question"], 3), grams(row["answer"], 3)) < 0.25, row["question"]


@pytest.mark.parametrize("domain", CREATIVE)
def test_rationales_do_not_give_the_answer_away_word_for_word(domain: str) -> None:
    for row in load(domain):
        assert not grams(row["rationale"], 6) & grams(row["answer"], 6), row["rationale"]


def test_creative_answers_have_the_form_that_was_asked_for() -> None:
    for row in load("creative_writing"):
        lines = re.search(r"\b(two|three|four)[- ]lines?\b|\bin (four) lines\b", row["question"])
        if lines:
            expected = NUMBERS[lines[1] or lines[2]]
            assert len(row["answer"].split("\n")) == expected, row["question"]
        asked = re.search(r"\b(one|two|three) sentences?\b", row["question"])
        if asked:
            assert sentences(row["answer"]) == NUMBERS[asked[1]], row["answer"]


def test_summaries_are_one_sentence_in_their_own_words() -> None:
    for row in load("summarization"):
        text, summary = source_text(row), row["answer"]
        assert sentences(summary) == 1, summary
        assert not grams(text, 8) & grams(summary, 8), summary
        first = re.split(r"(?<=[.!?])\s", text)[0]
        assert jaccard(grams(first, 2), grams(summary, 2)) < 0.4, (first, summary)


def test_summaries_stay_with_their_source_and_draw_on_all_of_it() -> None:
    for row in load("summarization"):
        text, summary = source_text(row), row["answer"]
        said, source = stems(summary), stems(text)
        assert len(said & source) / len(said) >= 0.55, (said - source, summary)
        assert len(said & source) / len(source) >= 0.2, (source - said, summary)
        parts = [stems(part) for part in re.split(r"(?<=[.!?])\s", text)]
        drawn = sum(len(part & said) >= 2 for part in parts)
        assert drawn >= min(3, len(parts)), (drawn, summary)
        figures = set(re.findall(r"\d+", summary))
        assert figures <= set(re.findall(r"\d+", text)), summary


@pytest.mark.parametrize("domain", GRADED)
def test_golds_earn_nearly_all_of_the_reward(domain: str) -> None:
    """Guards against hacks cost a few honest answers a little: no measure of words is a verdict."""
    tasks = [Task(id=task_id(domain, row["question"]), domain=domain, source="starter", **row) for row in load(domain)]
    scores = [check.score for check in check_golds(tasks)]
    assert {score.status for score in scores} == {Status.GRADED}
    rewards = [score.reward for score in scores]
    assert sum(rewards) / len(rewards) >= 0.96
    assert sum(reward >= 0.9 for reward in rewards) >= 0.9 * len(rewards)
