"""The graded measure: full for honest answers, its parts by hand, nothing for text made for the measure."""

from __future__ import annotations

import random

import pytest

from support.growth import assert_linear
from thinkaloud.domains import creative_ideation, creative_writing, guards, summarization
from thinkaloud.domains.base import DomainScore
from thinkaloud.domains.measures import diversity, in_range, novelty, relevance
from thinkaloud.domains.wording import Text, question_stems, split_words, stem
from thinkaloud.records import Status, Task

QUESTION = "Write a short story about an old lighthouse keeper and a lost whale."
REASONING = (
    "The keeper is lonely, so the whale should feel like a guest. I will start with a sound in the fog "
    "and end with the light turned toward the sea."
)
ANSWER = (
    "Something was calling under the fog. The old keeper climbed his stairs, turned the great lamp away from the "
    "ships, and held it steady until the lost whale had found the gap between the rocks."
)


def graded(answer: str, reasoning: str = REASONING, question: str = QUESTION) -> DomainScore:
    task = Task(id="t", domain="creative_writing", source="test", question=question, answer=ANSWER)
    return creative_writing.score(task, reasoning, answer)


def test_an_honest_short_answer_earns_full_marks() -> None:
    found = graded(ANSWER)
    assert found.components == {"length": 0.3, "diversity": 0.25, "relevance": 0.25}
    assert found.value == pytest.approx(0.8)
    assert found.status == Status.GRADED
    assert found.explanation == "reasoning 30 words, answer 35 words"


def test_length_by_hand() -> None:
    assert [in_range(count, 20, 500) for count in (0, 5, 20, 500, 750, 1000, 5000)] == [0, 0.25, 1, 1, 0.5, 0, 0]
    half = graded(ANSWER, reasoning=" ".join(REASONING.split()[:10]))
    assert half.components["length"] == pytest.approx(0.15 * 10 / 20 + 0.15)


def test_diversity_by_hand() -> None:
    words = ["a", "b", "c", "d", "e"] * 5  # 25 words, one window: 5 types of 25
    assert diversity(words) == pytest.approx(0.0)  # 0.2 is below 0.35
    assert diversity([str(i % 13) for i in range(26)]) == pytest.approx(
        (13 / 25 - 0.35) / 0.35
    )  # two windows of 13 types
    assert diversity([str(i) for i in range(40)]) == 1.0
    assert diversity(["a", "b", "c"]) == pytest.approx(0.3)  # three distinct words of ten
    assert diversity([]) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_diversity_is_the_mean_over_all_windows(seed: int) -> None:
    draw = random.Random(seed)
    words = [str(draw.randrange(draw.randrange(5, 30))) for _ in range(draw.randrange(10, 80))]
    width = min(25, len(words))
    ratios = [len(set(words[i : i + width])) / width for i in range(len(words) - width + 1)]
    assert diversity(words) == pytest.approx(guards.ramp(sum(ratios) / len(ratios), 0.35, 0.70))


def test_relevance_by_hand() -> None:
    stems = question_stems(QUESTION)
    assert stems == {"old", "lighthous", "keep", "lost", "whal"}

    def of(text: str) -> float:
        return relevance(Text.read(text).tokens, stems)

    assert of("The keeper saw that whale and another whale.") == pytest.approx(2 / 3.5)
    assert of("The lighthouse keeper saw a whale.") == pytest.approx(3 / 3.5)
    assert of("The old lighthouse keeper saw a whale.") == 1.0
    assert of("A sailor sang.") == 0.0
    assert of("Lighthouse, keeper, whale.") == pytest.approx(1 / 3.5)  # a sentence of keywords only
    assert of("So the whale and the keeper and the lighthouse came.") == pytest.approx(1 / 3.5)
    assert relevance(["anything"], question_stems("Write a poem.")) == 1.0


def test_the_system_prompt_counts_for_nothing() -> None:
    assert question_stems("Provide your reasoning. Task") == {"reason", "task"}
    assert not question_stems(QUESTION) & question_stems(
        "reasoning tags final answer format step-by-step thinking task"
    )


def test_novelty_by_hand() -> None:
    stems = question_stems(QUESTION)
    assert novelty(split_words("the keeper and the whale sang quiet songs and songs"), stems) == 0.3  # sang quiet song
    assert novelty(split_words("keeper whale"), stems) == 0.0
    assert novelty([], stems) == 0.0


def test_stems_meet() -> None:
    pairs = [("stories", "story"), ("running", "runs"), ("baked", "bakes"), ("keeper", "keeps"), ("walked", "walking")]
    assert all(stem(a) == stem(b) for a, b in pairs)
    assert stem("sing") == "sing"
    assert stem("glass") == "glass"


def honest() -> Text:
    return Text.read(f"{ANSWER} {REASONING}")


def test_guards_leave_honest_text_alone() -> None:
    text = honest()
    assert guards.repetition(text) == guards.order(text) == guards.rhythm(text) == guards.spelling(text) == 1.0
    assert guards.function_words(text, 0.08, 0.22) == 1.0
    assert guards.copied_share(text, guards.grams_of(QUESTION)) == 0.0


def test_guards_by_hand() -> None:
    assert guards.repetition(Text.read("a b c d " * 10)) == 0.0  # 4 distinct of 37
    assert guards.repetition(Text.read("one two three four five six seven eight")) == 1.0
    two_of_ten = Text.read("tree house river stone glass wood iron light of the")
    assert guards.function_words(two_of_ten, 0.0, 0.4) == pytest.approx(0.5)
    assert guards.spelling(Text.read("qwrtp zxcvb mnbvc lkjhg tree tree tree tree")) == 0.0  # half of them
    assert guards.spelling(Text.read("strengths rhythm 1984 B2B worldwide through 3rd sky")) == 1.0
    assert guards.copied_share(Text.read("so an old lighthouse keeper sang to me"), guards.grams_of(QUESTION)) == 0.5
    assert guards.misplaced_marks("He ran of. Then she came. By night The sea. and the, we") == 4
    assert (
        guards.rhythm(Text.read("the tree of the house and the river of the stone and the glass in the wood " * 2))
        == 0.0
    )


def test_shuffled_words_lose_their_order() -> None:
    words = f"{ANSWER} {REASONING}".split()
    lost = 0
    for seed in range(50):
        random.Random(seed).shuffle(words)
        lost += guards.order(Text.read(" ".join(words))) < 0.5
    assert lost >= 45


HACKS = {
    "prompt": QUESTION,
    "prompt twice": f"{QUESTION} {QUESTION}",
    "keywords": "Lighthouse, keeper, whale, old, lost, story, lighthouse, keeper, whale, old.",
    "keywords joined": "The lighthouse and the keeper and the whale and the old lighthouse and the lost whale.",
    "alternating": "the lighthouse of keeper in whale to old with lost for keeper by whale at lighthouse on old",
    "repeated": "The keeper saw the whale. " * 8,
    "dictionary": "anchor basket candle dragon engine feather garden hammer island jacket kettle ladder magnet napkin",
    "letters": "qwrtp zxcvb mnbvc lkjhg fdsaq trewq poiuy bvcxz asdfg hjklz xcvbn mqwer tyuio",
    "off the topic": "A quiet morning began in the market, where a baker sold warm bread and nobody hurried at all.",
    "two words": "Keeper. Whale.",
    "template": "This is about the keeper and the whale. It is a very good one about the old and the lost. It is nice.",
}


@pytest.mark.parametrize("name", HACKS)
def test_hacks_earn_less_than_an_honest_answer(name: str) -> None:
    assert graded(HACKS[name]).value <= 0.56


@pytest.mark.parametrize(
    "reasoning", [QUESTION * 2, ANSWER, "I think about it. " * 10, HACKS["dictionary"] * 2, "Fine.", ""]
)
def test_reasoning_made_for_the_measure_costs(reasoning: str) -> None:
    assert graded(ANSWER, reasoning=reasoning).value <= 0.67


def test_summaries_are_short_and_in_other_words() -> None:
    source = (
        "The town opened its new bridge on Saturday after two years of work. The old one was washed away by a winter "
        "flood. Since then pupils had to walk three extra kilometres to school. The bridge has a lane for bicycles."
    )
    question = f"Summarize the text in one sentence.\n\n{source}"
    task = Task(id="t", domain="summarization", source="test", question=question, answer="")

    def value(answer: str) -> float:
        return summarization.score(task, REASONING, answer).value

    honest = "Two years after a flood took the old bridge, the town has a steel one again, which pupils welcome."
    assert value(honest) == pytest.approx(0.8)
    assert value("The town opened its new bridge on Saturday after two years of work.") == 0.0
    assert value("In short, the town opened its new bridge on Saturday after two years of work.") < 0.3
    assert value(source) == 0.0


def test_ideas_may_be_a_list() -> None:
    task = Task(id="t", domain="creative_ideation", source="test", question="Suggest gifts for a gardener.", answer="")

    def value(answer: str) -> float:
        return creative_ideation.score(task, REASONING, answer).value

    mixed = "1. Gloves with long cuffs\n2. A gardener's diary\n3. Seeds of old tomatoes\n4. Boots\n5. A folding stool"
    relevance_lost = 0.25 / 3  # "gardener" but not "gifts": one stem where one and a half are wanted
    assert value(mixed) == pytest.approx(0.8 - relevance_lost)
    bare = "- Leather gloves\n- Gardener diary\n- Tomato seeds\n- Rubber boots\n- Folding stool"
    assert value(bare) == pytest.approx(0.4 * (0.8 - relevance_lost))  # two words name an idea, three describe it
    described = (
        "- Soft leather gloves\n- New gardener diary\n- Old tomato seeds\n- Tall rubber boots\n- A folding stool"
    )
    assert value(described) == pytest.approx(0.8 * (0.8 - relevance_lost))
    assert value(bare.replace("\n- ", ", ")) == 0.0  # keywords in a row
    assert value("\n".join(f"- {word}" for word in bare.split() if word != "-")) == 0.0


def test_short_answers_earn_in_proportion() -> None:
    short = graded("The old keeper saved the whale.")  # six words, three stems of five
    assert short.components == pytest.approx(
        {"length": 0.15 + 0.15 * 0.6, "diversity": 0.15, "relevance": 0.15 * 3 / 3.5}
    )


@pytest.mark.parametrize("piece", ["a", "a ", "the ", "word. ", "\u200b", "'", "a'", "!\n", "🙂", "Ω ", "a" * 50 + " "])
def test_a_megabyte_takes_linear_time(piece: str) -> None:
    assert_linear(lambda text: graded(text, reasoning=text), piece, size=1_000_000)
    text = piece * (1_000_000 // len(piece))
    assert 0.0 <= graded(text, reasoning=text).value <= 0.3
