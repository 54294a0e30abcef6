"""Each adapter on hand-written rows in the hub copies' field names: the tasks they become, and what is rejected."""

from __future__ import annotations

from typing import Any

import pytest

from support.domains import DOMAINS
from thinkaloud.config.sources import KNOWN_SOURCES
from thinkaloud.data.sources import SOURCES, InvalidRow
from thinkaloud.data.sources.base import new_task
from thinkaloud.domains import BUILTIN
from thinkaloud.records import Task
from thinkaloud.rewards.gold import check_golds


def mapped(name: str, **row: Any) -> Task:
    return SOURCES[name].to_task(row)


def refused(name: str, **row: Any) -> str:
    with pytest.raises(InvalidRow) as caught:
        SOURCES[name].to_task(row)
    return str(caught.value)


def test_every_known_source_has_its_adapter() -> None:
    assert {*SOURCES, "starter"} == set(KNOWN_SOURCES)
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.domains == KNOWN_SOURCES[name]
        assert set(source.caps) <= set(source.domains) <= set(DOMAINS)
        assert source.hub.count("/") == 1
        assert source.license


def test_evaluation_sets_never_train_and_test_splits_of_others_are_not_read() -> None:
    for name in ("svamp", "humaneval", "boolq"):
        assert set(SOURCES[name].splits.values()) == {"test"}
    for name in SOURCES.keys() - {"svamp", "humaneval", "boolq"}:
        assert "test" not in SOURCES[name].splits
        assert SOURCES[name].splits["train"] == "train"


def test_caps_are_the_original_mixture() -> None:
    further = {"no_robots", "cnn_dailymail"}
    total = dict.fromkeys(DOMAINS, 0)
    for name in SOURCES.keys() - further:
        for domain, cap in SOURCES[name].caps.items():
            total[domain] += cap
    assert total == {
        "math": 2_500,
        "coding": 900,
        "science": 3_400,
        "logic": 1_400,
        "creative_writing": 2_300,
        "creative_ideation": 1_600,
        "summarization": 2_900,
    }


def test_gsm8k() -> None:
    steps = "Two boxes hold 2*6 = <<2*6=12>>12 eggs.\nOne breaks: 12-1 = <<12-1=11>>11."
    found = mapped("gsm8k", question="How many\u00a0eggs?", answer=f"{steps}\n#### 1,100")
    assert found == new_task(
        domain="math",
        question="How many eggs?",
        answer="1,100",
        rationale="Two boxes hold 2*6 = 12 eggs.\nOne breaks: 12-1 = 11.",
    )
    assert found.key == "How many eggs?"
    assert check_golds([found])[0].passed
    assert refused("gsm8k", question="How many?", answer="eleven") == "no answer after ####"
    assert refused("gsm8k", question="How many?", answer="steps ####  ") == "no answer after ####"
    assert refused("gsm8k", question=" \u200b", answer="#### 1") == "no question"
    assert refused("gsm8k", question="How many?") == "no answer"
    assert refused("gsm8k", question=7, answer="#### 1") == "no question"


@pytest.mark.parametrize(
    ("number", "gold"),
    [("8.0", "8"), (8.0, "8"), (12, "12"), ("2.5", "2.5"), (0, "0"), (22090603.0, "22090603")],
)
def test_svamp(number: object, gold: str) -> None:
    row = {"Body": "Ann has 10 pens", "Question": "How many are left?", "Answer": number}
    found = mapped("svamp", **row)
    assert (found.question, found.answer) == ("Ann has 10 pens. How many are left?", gold)


MBPP = {
    "text": "Write a function to double a number.",
    "code": "def twice(n): \r\n\treturn 2 * n",
    "test_list": ["assert twice(2) == 4", "assert twice(-1) == -2"],
    "test_setup_code": "",
    "challenge_test_list": [],
}


def test_mbpp_shows_one_test_and_hides_others() -> None:
    found = mapped("mbpp", **MBPP)
    assert found.question == "Write a function to double a number.\nExample: assert twice(2) == 4"
    assert found.key == "Write a function to double a number."
    assert found.answer == "def twice(n):\n\treturn 2 * n"
    assert found.tests == ("assert twice(2) == 4", "assert twice(-1) == -2")
    assert any(test not in found.question for test in found.tests)


def test_mbpp_sanitized_and_refusals() -> None:
    row = {key: value for key, value in MBPP.items() if key not in ("text", "test_setup_code")}
    found = mapped("mbpp", **row, prompt="Double it.", test_imports=["import math"])
    assert (found.key, found.setup) == ("Double it.", "import math")
    assert refused("mbpp", **{**MBPP, "test_list": []}) == "no tests"
    assert refused("mbpp", **{**MBPP, "test_list": ["assert twice(1) == 2"] * 3}) == "no hidden test"
    assert refused("mbpp", **{**MBPP, "code": " "}) == "no answer"


HEAD = 'def twice(n):\n    """Double n."""'


def test_humaneval() -> None:
    lines = ["def check(candidate):", '    "doc"', "    assert candidate(2) == 4", "    assert True"]
    test = "\n".join(["METADATA = {}", *lines, '    assert candidate(0) == 0, "zero"'])
    row = {"prompt": HEAD + "\n", "canonical_solution": "    return 2 * n\n", "test": test, "entry_point": "twice"}
    found = mapped("humaneval", **row)
    assert found.answer == HEAD + "\n    return 2 * n"
    assert found.tests == ("assert twice(2) == 4", "assert twice(0) == 0, 'zero'")
    assert found.question.endswith(HEAD)
    loop = "def check(candidate):\n    for n in range(3):\n        assert candidate(n) == 2 * n\n"
    assert refused("humaneval", **{**row, "test": loop}) == "tests are more than assertions"
    assert refused("humaneval", **{**row, "test": "def check("}) == "tests are not Python"
    assert refused("humaneval", **{**row, "entry_point": "f(); import os"}) == "no tests"


SCIQ = {
    "question": "Which gas do plants take in?",
    "correct_answer": "carbon dioxide",
    "distractor1": "oxygen",
    "distractor2": "helium",
    "distractor3": "neon",
    "support": "Leaves take in carbon dioxide.",
}


def test_sciq_with_options() -> None:
    found = mapped("sciq", **SCIQ)
    assert set(found.choices) == {"carbon dioxide", "oxygen", "helium", "neon"}
    assert found.question.startswith("Which gas do plants take in?\n\nA) ")
    assert (found.key, found.answer) == ("Which gas do plants take in?", "carbon dioxide")
    assert found.rationale == "Leaves take in carbon dioxide."
    assert check_golds([found])[0].passed
    assert mapped("sciq", **SCIQ) == found


def test_sciq_puts_the_right_option_in_every_place() -> None:
    places = [mapped("sciq", **{**SCIQ, "question": f"Question {n}?"}) for n in range(80)]
    counts = [sum(found.choices.index(found.answer) == place for found in places) for place in range(4)]
    assert min(counts) >= 8


def test_sciq_without_options_is_short_text() -> None:
    bare = {**SCIQ, "distractor1": "", "distractor2": "", "distractor3": "Carbon Dioxide", "support": ""}
    found = mapped("sciq", **bare)
    assert (found.question, found.choices, found.rationale) == ("Which gas do plants take in?", (), "")
    assert check_golds([found])[0].passed
    assert refused("sciq", **{**bare, "correct_answer": ""}) == "no answer"


@pytest.mark.parametrize(
    ("labels", "key", "right"),
    [(["A", "B", "C", "D"], "C", 2), (["1", "2", "3"], "2", 1), (["A", "B", "C", "D", "E"], "E", 4)],
)
def test_arc_with_three_to_five_options_letters_or_digits(labels: list[str], key: str, right: int) -> None:
    texts = ["one metre", "two metres", "3", "2", "none of these"][: len(labels)]
    found = mapped("ARC-Easy", question="How long?", choices={"text": texts, "label": labels}, answerKey=key)
    assert found.choices == tuple(texts)
    assert found.answer == texts[right]
    assert found.question == "\n".join(["How long?", "", *(f"{'ABCDE'[i]}) {text}" for i, text in enumerate(texts))])
    assert check_golds([found])[0].passed


def test_arc_refusals() -> None:
    shown = {"text": ["a cat", "a dog"], "label": ["A", "B"]}
    assert (
        refused("ARC-Challenge", question="Who?", choices=shown, answerKey="C") == "the answer is none of the options"
    )
    assert refused("ARC-Challenge", question="Who?", choices=shown, answerKey="") == "no answer"
    assert refused("ARC-Challenge", question="Who?", choices=None, answerKey="A") == "no options"
    twice = {"text": ["a cat", "a cat"], "label": ["A", "B"]}
    assert refused("ARC-Challenge", question="Who?", choices=twice, answerKey="B") == "the right option appears twice"
    assert refused("ARC-Challenge", question="Who?", choices={"text": ["x"], "label": ["A"]}, answerKey="A") == (
        "fewer than two options"
    )


@pytest.mark.parametrize(("value", "word"), [(True, "yes"), (False, "no"), ("True", "yes"), ("no", "no"), (0, "no")])
def test_strategyqa(value: object, word: str) -> None:
    found = mapped("strategyqa", question="Can a fish climb?", answer=value, facts=["Fish swim", "Trees are tall. "])
    assert (found.answer, found.rationale) == (word, "Fish swim. Trees are tall.")
    assert check_golds([found])[0].passed


def test_strategyqa_copies_differ_and_refusals() -> None:
    assert mapped("strategyqa", question="Q?", answer=True, facts="One fact.").rationale == "One fact."
    assert mapped("strategyqa", question="Q?", answer=True).rationale == ""
    assert mapped("strategyqa", question="Q?", answer=True, facts=["an <answer> tag"]).rationale == ""
    assert refused("strategyqa", question="Q?", answer=None) == "no answer"
    assert refused("strategyqa", question="Q?", answer="perhaps") == "the answer is neither yes nor no"


def test_boolq() -> None:
    found = mapped("boolq", question="is tea a plant", passage="Tea is brewed\nfrom leaves.", answer=True)
    assert found.key == "Is tea a plant?"
    assert found.question.endswith("Tea is brewed\nfrom leaves.\n\nQuestion: Is tea a plant?")
    assert check_golds([found])[0].passed
    assert refused("boolq", question="is tea a plant", passage="", answer=True) == "no passage"


def test_writingprompts() -> None:
    found = mapped(
        "writingprompts", prompt="[ WP ] A door that ca n't open .\n", story="`` No , '' it said . \n \n It hummed ."
    )
    assert found.key == "A door that can't open."
    assert found.question == "Write a short story on this prompt.\n\nA door that can't open."
    assert found.answer == '"No," it said.\n\nIt hummed.'
    assert refused("writingprompts", prompt="[ IP ] A lake", story="x") == "the prompt is a picture or a song"
    assert refused("writingprompts", prompt="[ OT ] Hello", story="x") == "no prompt, but talk about the forum"
    assert refused("writingprompts", prompt="[ WP ]", story="x") == "no question"
    assert refused("writingprompts", prompt="[ WP ] A lake", story=" ") == "no answer"


def test_dolly() -> None:
    row = {
        "instruction": "Name uses for a brick.",
        "context": "",
        "response": "A doorstop.",
        "category": "brainstorming",
    }
    assert mapped("dolly15k", **row).domain == "creative_ideation"
    found = mapped("dolly15k", **{**row, "category": "creative_writing", "context": "Bricks are old.[3]"})
    assert (found.domain, found.question) == ("creative_writing", "Name uses for a brick.\n\nBricks are old.")
    assert refused("dolly15k", **{**row, "category": "open_qa"}) == "category open_qa"
    assert refused("dolly15k", **{**row, "category": "something else"}) == "unknown category"
    assert refused("dolly15k", **{**row, "response": ""}) == "no answer"


def test_longform_and_no_robots() -> None:
    row = {"input": "How to fold a boat?", "output": "Take paper.", "source": "WikiHow", "subset": "WikiHow"}
    assert mapped("longform", **row).domain == "creative_ideation"
    assert refused("longform", **{**row, "source": "BEA-GEC"}) == "a set task, not open writing"
    turns = [{"role": "user", "content": "Write an ode."}, {"role": "assistant", "content": "O tea!"}]
    talk = {"prompt": "Write an ode.", "messages": turns, "category": "Generation"}
    found = mapped("no_robots", **talk)
    assert (found.domain, found.question, found.answer) == ("creative_writing", "Write an ode.", "O tea!")
    assert mapped("no_robots", **{**talk, "category": "Summarize"}).domain == "summarization"
    assert mapped("no_robots", **{**talk, "category": "Brainstorm"}).domain == "creative_ideation"
    assert refused("no_robots", **{**talk, "category": "Coding"}) == "a category of no domain here"
    assert refused("no_robots", **{**talk, "messages": turns * 2}) == "more than one turn"


def test_summaries() -> None:
    found = mapped("xsum", document="A bridge fell.\nNobody was hurt.", summary=" A bridge\nfell. ", id="1")
    assert found.question == "Summarize the text in one sentence.\n\nA bridge fell.\nNobody was hurt."
    assert (found.key, found.answer) == ("A bridge fell.\nNobody was hurt.", "A bridge fell.")
    assert refused("xsum", document="", summary="A bridge fell.") == "no question"
    found = mapped("cnn_dailymail", article="Long ago .", highlights="A bridge fell .\nNobody was hurt .")
    assert found.answer == "A bridge fell. Nobody was hurt."


def test_registry_names_are_the_adapters_domains() -> None:
    assert {domain for source in SOURCES.values() for domain in source.domains} <= set(BUILTIN)
