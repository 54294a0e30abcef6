"""Free text against a gold answer: paraphrases out-earn false answers, and the gold answer earns everything."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.growth import assert_linear
from thinkaloud.config.load import parse_recipe
from thinkaloud.domains import BUILTIN, Registry, registry_of
from thinkaloud.domains.opposites import are_opposite, opposites_in
from thinkaloud.domains.reference import Words, root, rouge_l, score, token_f1
from thinkaloud.errors import UserError
from thinkaloud.records import Status, Task
from thinkaloud.rewards import score_batch
from thinkaloud.rewards.gold import check_gold, gold_completion

# question, gold answer, paraphrases, false answers: the first seven set the constants, the others were written later
TRIALS: list[tuple[str, str, list[str], list[str]]] = [
    (
        "Why does ice float on water?",
        "Ice floats because it is less dense than liquid water.",
        [
            "Because the density of ice is lower than that of liquid water, it stays on top.",
            "Ice is less dense than water, so it rises to the surface.",
            "Frozen water has a lower density than liquid water.",
        ],
        [
            "Ice floats because it is more dense than liquid water.",
            "Ice floats because it is not less dense than liquid water.",
            "Ice floats because it is warmer than the air above it.",
            "Ice does not float on water.",
        ],
    ),
    (
        "What does a comet's tail consist of?",
        "It consists of gas and dust that sunlight and the solar wind drive away from the nucleus.",
        [
            "Dust and gas blown off the nucleus by sunlight and the solar wind.",
            "The tail is gas with dust, pushed away from the nucleus by the solar wind.",
        ],
        [
            "It consists of burning rock that gravity pulls towards the nucleus.",
            "It consists of water that the moon drives away from the earth.",
            "It consists of no gas and dust that sunlight and the solar wind drive away from the nucleus.",
        ],
    ),
    (
        "When did the bridge open and who designed it?",
        "The bridge opened in 1932 and was designed by John Bradfield.",
        [
            "John Bradfield designed the bridge, which opened in 1932.",
            "It was opened in 1932; its designer was John Bradfield.",
            "Designed by Bradfield, it opened in 1932.",
        ],
        [
            "The bridge opened in 1923 and was designed by John Bradfield.",
            "The bridge opened in 1932 and was designed by Peter Moore.",
            "The bridge opened in 1932.",
            "The bridge never opened in 1932 and was not designed by John Bradfield, who died.",
        ],
    ),
    (
        "What is the capital of Australia?",
        "The capital of Australia is Canberra.",
        ["Canberra is the capital of Australia.", "Canberra", "Australia's capital is the city of Canberra."],
        [
            "The capital of Australia is Sydney.",
            "Sydney is the capital of Australia.",
            "The capital of Australia is not Canberra.",
            "The capital of Australia",
        ],
    ),
    (
        "How do vaccines protect people?",
        "They train the immune system to recognise a pathogen, so that it responds faster to a later infection.",
        [
            "A vaccine teaches the immune system to recognise the pathogen: a later infection meets a fast response.",
            "The immune system learns to recognise the pathogen and responds faster when infected later.",
            "By training the immune system to recognise pathogens, which makes it respond faster to infection.",
        ],
        [
            "They kill the pathogen in the blood, so that no infection can ever happen.",
            "They train the immune system to ignore a pathogen, so that it responds slower to a later infection.",
            "They do not train the immune system to recognise a pathogen, so it responds faster to a later infection.",
            "They replace the immune system.",
        ],
    ),
    (
        "What happens to the volume of a gas when it is heated at constant pressure?",
        "The volume increases in proportion to the absolute temperature.",
        [
            "It increases proportionally to the absolute temperature.",
            "The gas expands: its volume increases in proportion to absolute temperature.",
        ],
        [
            "The volume decreases in proportion to the absolute temperature.",
            "The volume does not change with the absolute temperature.",
            "The volume stays constant.",
        ],
    ),
    (
        "How long should tenants keep the receipt?",
        "Tenants should keep the receipt for at least 5 years after they move out.",
        [
            "Keep it for 5 years or more after moving out.",
            "The receipt should be kept at least 5 years after the tenant moves out.",
        ],
        [
            "Tenants should keep the receipt for at least 2 years after they move out.",
            "Tenants should throw the receipt away after they move out.",
            "Tenants should keep the receipt for at least 5 years before they move out.",
        ],
    ),
    (
        "Why do leaves turn yellow in autumn?",
        "The green chlorophyll breaks down, and the yellow pigments that were always there become visible.",
        [
            "Chlorophyll, which is green, breaks down, so that yellow pigments become visible.",
            "As green chlorophyll is broken down, we see the yellow pigments that were there all along.",
        ],
        [
            "The yellow pigments break down, and the green chlorophyll becomes invisible.",
            "The green chlorophyll does not break down, and the yellow pigments become visible.",
            "Cold air paints the leaves with dust.",
        ],
    ),
    (
        "How should the battery be stored?",
        "Store the battery in a cool, dry place at about 40 % charge.",
        [
            "Keep it cool and dry, charged to about 40 %.",
            "A cool, dry place is best, with the battery at around 40 % charge.",
        ],
        [
            "Store the battery in a warm, wet place at about 40 % charge.",
            "Store the battery in a cool, dry place at about 90 % charge.",
            "Never store the battery in a cool, dry place.",
        ],
    ),
    (
        "Who wrote the report and for whom?",
        "Maria Lindqvist wrote it for the harbour council of Visby.",
        [
            "The report was written by Maria Lindqvist for Visby's harbour council.",
            "It was written for the harbour council of Visby by Maria Lindqvist.",
        ],
        [
            "Anna Berg wrote it for the harbour council of Visby.",
            "Maria Lindqvist wrote it for the school board of Oslo.",
            "Maria Lindqvist did not write it for the harbour council of Visby.",
        ],
    ),
    (
        "What happens when interest rates rise?",
        "Borrowing becomes more expensive, so that people spend less and prices grow more slowly.",
        [
            "Loans get more expensive, people spend less, and prices grow more slowly.",
            "Since borrowing becomes expensive, people spend less, which slows the growth of prices.",
        ],
        [
            "Borrowing becomes less expensive, so that people spend more and prices grow faster.",
            "Borrowing becomes cheaper and people buy houses.",
            "Banks close on Mondays.",
        ],
    ),
]


def task(question: str, gold: str) -> Task:
    return Task(id="t", domain="mine", source="test", question=question, answer=gold)


def reward(question: str, gold: str, answer: str) -> float:
    return 0.2 + score(task(question, gold), "", answer).value


@pytest.mark.parametrize(("question", "gold", "paraphrases", "false"), TRIALS, ids=[t[0][:20] for t in TRIALS])
def test_every_paraphrase_out_earns_every_false_answer(
    question: str, gold: str, paraphrases: list[str], false: list[str]
) -> None:
    worst = min(reward(question, gold, answer) for answer in paraphrases)
    best = max(reward(question, gold, answer) for answer in false)
    assert worst >= best + 0.1
    assert reward(question, gold, gold) == pytest.approx(1.0)


def test_means_over_all_trials() -> None:
    right = [reward(q, gold, answer) for q, gold, answers, _ in TRIALS for answer in answers]
    wrong = [reward(q, gold, answer) for q, gold, _, answers in TRIALS for answer in answers]
    assert fmean(right) > 0.85
    assert fmean(wrong) < 0.35


def test_measures_by_hand() -> None:
    assert token_f1([], ["a"]) == token_f1(["b"], ["a"]) == 0.0
    assert token_f1(["a", "a", "b"], ["a", "b", "c"]) == pytest.approx(2 / 3)
    gunman = ["police", "killed", "the", "gunman"]  # Lin 2004, section 3
    assert rouge_l(["police", "kill", "the", "gunman"], gunman) == 0.75
    assert rouge_l(["the", "gunman", "kill", "police"], gunman) == 0.5
    assert root("density") == root("dense")
    read = Words.read("1. In 1,932.0 the Opera opened. Sydney was glad.")
    assert read.numbers == {"1932"}
    assert (read.names, read.openings) == ({root("opera")}, {root("sydney")})


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "...",
        "What is a comet's tail made of?",
        "the the the",
        "ga\u200bs",
        "nothing to do with it",
        "gas " * 50_000,
    ],
)
def test_what_earns_nothing(answer: str) -> None:
    assert reward("What is a comet's tail made of?", "It is made of gas and dust.", answer) == pytest.approx(0.2)


def test_an_echo_earns_nothing_and_a_passage_is_no_echo() -> None:
    asked = "Is the otter a fish or a mammal?"
    assert reward(asked, "The otter is a mammal.", asked) == pytest.approx(0.2)
    assert reward(asked, "The otter is a mammal.", "a mammal, the otter") > 0.5
    passage = "The mill of Arle was built in 1788 and burnt down in 1803. " + "It stood beside the river. " * 15
    assert reward(passage + "When was it built?", "It was built in 1788.", "built in 1788") > 0.9
    assert reward(passage + "When was it built?", "It was built in 1788.", "It was built in 1803.") < 0.3
    assert reward(passage + "When was it built?", "It was built in 1788.", passage) < 0.5


def test_the_explanation_names_the_contradiction() -> None:
    found = score(task("How far?", "It is 12 miles to the coast."), "", "It is 21 miles to the coast.")
    assert "21" in found.explanation
    assert sum(found.components.values()) == pytest.approx(found.value)


def registry(domain: str, scored_as: str = "reference") -> Registry:
    source = {"path": "x.csv", "domain": domain, "scored_as": scored_as}
    return registry_of(parse_recipe({"name": "r", "model": "tiny", "data": {"sources": {"mine": source}}}))


def test_a_source_is_scored_as_reference() -> None:
    own = registry("manuals")["manuals"]
    assert (own.kind, own.uses_gold, "reference" in BUILTIN) == ("heuristic", True, False)
    assert registry("reference")["reference"].uses_gold
    with pytest.raises(UserError, match=r"scored_as.*reference"):
        registry("manuals", "creative")


def test_the_gold_check_demands_full_marks() -> None:
    mine = registry("mine")
    right = task("What?", "A lake that a river feeds.")
    assert check_gold(right, registry=mine).score.reward == pytest.approx(1.0)
    assert not check_gold(task("What?", " "), registry=mine).passed
    completion = gold_completion(right)
    assert score_batch([right], [completion], creative="original", registry=mine)[0].reward == pytest.approx(1.0)


@given(st.text(max_size=120), st.text(max_size=120), st.text(max_size=120))
def test_any_text_is_scored(question: str, gold: str, answer: str) -> None:
    found = score(task(question, gold), "", answer)
    assert 0.0 <= found.value <= 0.8 + 1e-9
    assert found.status in (Status.GRADED, Status.NO_ANSWER, Status.UNSCORABLE)


@given(st.text(min_size=1, max_size=120))
def test_every_gold_answer_is_right(gold: str) -> None:
    assume(gold.strip())
    assert score(task("What?", gold), "", gold).value == pytest.approx(0.8)


@pytest.mark.parametrize("piece", ["gas ", "Gas. ", "17 ", "not ", "a", "1,000", "\\boxed{", "- x\n", "ѕ", "'s"])
def test_long_texts_take_linear_time(piece: str) -> None:
    assert_linear(lambda text: score(task(text, text[:-1] + "b"), "", text), piece, size=100_000)


def test_opposites_are_found_among_others_by_group_and_by_prefix() -> None:
    others = frozenset({"outer", "row", "unstable", "table", "active", "inner", "able", "unable"})
    assert opposites_in("inner", others) == {"outer", "inner"}  # the group's words, itself among them
    assert opposites_in("stable", others) == {"unstable"}
    assert opposites_in("inactive", others) == {"active"}
    assert opposites_in("able", frozenset({"unable"})) == {"unable"}
    assert opposites_in("one", frozenset({"anyone", "none"})) == set()  # too short for a prefix
    for one in others:
        assert opposites_in(one, others) == {other for other in others if are_opposite(other, one)}
