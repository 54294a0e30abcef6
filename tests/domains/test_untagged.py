from __future__ import annotations

import pytest

from support.growth import assert_linear
from thinkaloud.domains import BUILTIN
from thinkaloud.domains.answer_kind import AnswerKind, expected_of
from thinkaloud.domains.untagged import read_answer_without_tags
from thinkaloud.prompt.chat_templates import ANSWER_PLACEHOLDER, TASK_TEMPLATE
from thinkaloud.prompt.parse import Tags
from thinkaloud.records import Completion, Status, Task
from thinkaloud.rewards import score_batch

OPTIONS = ("mitochondria", "nucleus", "ribosome", "cell wall")


def task_of(domain: str, gold: str, choices: tuple[str, ...] = ()) -> Task:
    return Task(id="t", domain=domain, source="s", question="Which?", answer=gold, choices=choices)


FOUR = task_of("math", "4")
NUCLEUS = task_of("science", "B", OPTIONS)
YES = task_of("logic", "yes")


def solves(task: Task, text: str) -> bool:
    """Whether the verifier accepts the answer that is read from a text."""
    answer = read_answer_without_tags(text, task, BUILTIN[task.domain])
    if answer is None:
        return False
    completion = Completion(text=f"<reasoning>so</reasoning><answer>{answer}</answer>")
    return score_batch([task], [completion])[0].status is Status.CORRECT


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 4.",
        "**Answer:** 4",
        "#### 4",
        "#### Step 1\nAdd.\n#### Step 2\nSo 2 + 2 = 4",
        "We add.\nThe final answer is:\n\n$$\n\\boxed{4}\n$$",
        "The answer is 4 apples because 2 + 2 is that many.",
        "The answer is 4, not 3.",
        "First 2 + 2. That makes 4 apples.",
        "Therefore, x = 4",
        "The total is $4.00",
        "First \\boxed{2}, then twice that. The final answer is $4$. I hope it is correct.",
        "The final answer is 3, no: \\boxed{4}",
        "4 is the answer.",
        "<answer>4",
        "<answer>4</answer> I hope that helps.",
        "<reasoning>2 and 2</reasoning>\n4",
        f"<answer>{ANSWER_PLACEHOLDER}</answer>\nThe sum is 4.",
        "2 + 2 = 4\n\nTask: What is 3 + 3?\n6",
        "<answer>\nWe add 2 and 2.\nThe answer is 4",
    ],
)
def test_a_number_is_found_where_models_write_it(text: str) -> None:
    assert solves(FOUR, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "3 or 4",
        "I think it is 3 or 4.",
        "The answer is 3 or 4.",
        "The answer is 3 or the answer is 4",
        "The answer is 3. Or the answer is 4.",
        "so \\boxed{3} or \\boxed{4}",
        "It lies between 3 and 4",
        "You need 3-4 cups",
        "It is not 4.",
        "Is it 4?",
        "The answer is not 4.",
        "<answer>3 or 4",
        "First 4, then 2 more, which makes 6.",
    ],
)
def test_a_number_that_is_not_stated_is_not_found(text: str) -> None:
    assert not solves(FOUR, text)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("B", True),
        ("**B) nucleus**", True),
        ("The correct answer is (B) because A makes energy.", True),
        ("The correct answer is **B) nucleus**, as it holds the DNA, unlike A.", True),
        ("B) nucleus\n\nThe nucleus holds DNA. The ribosome makes proteins.", True),
        ("A) mitochondria: energy\nB) nucleus: DNA\nSo the answer is B.", True),
        ("The nucleus stores DNA.", True),
        ("C", False),
        ("B) mitochondria", False),
        ("A) mitochondria\nB) nucleus", False),
        ("A) mitochondria\nB) nucleus\nI would pick the nucleus.", True),
        ("A or B", False),
        ("The answer is A or B", False),
        ("It could be B. Either A or B.", False),
        ("not B", False),
    ],
)
def test_an_option_is_read_unless_two_are_offered(text: str, right: bool) -> None:
    assert solves(NUCLEUS, text) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Yes, because all birds fly.", True),
        ("**Yes**\n\nExplanation: the rule holds.", True),
        ("All men are mortal. So the answer is yes.", True),
        ("The statement is true.", True),
        ("No", False),
        ("Yes or no", False),
        ("maybe yes", False),
        ("Yes. It holds.\nTherefore it is false.", False),
        ("Yes. The premises say so.\nTherefore the answer is no.", False),
    ],
)
def test_a_polarity_is_read_where_the_text_does_not_contradict_itself(text: str, right: bool) -> None:
    assert solves(YES, text) is right


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("5 km", "He ran 5000 m."),
        ("1/2", "So it is \\frac{1}{2}."),
        ("1,200", "That makes $1,200 in all"),
        ("-3", "The value is -3."),
        ("x^2+1", "We get\n$x^2+1$"),
        ("18", "She makes 9 * 2 = $<<9*2=18>>18 every day."),
        ("18", "Thus Janet makes **$18** every day."),
    ],
)
def test_other_values_keep_sign_and_unit(gold: str, text: str) -> None:
    assert solves(task_of("math", gold), text)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Iron", True),
        ("The element with the symbol Fe is Iron.", True),
        ("The symbol for **iron** (Fe) is Fe.", True),
        ("Answer: iron", True),
        ("It is iron or gold.", False),
        ("The element is not iron.", False),
        ("Iron, gold and silver are elements.", False),
        ("The element with the symbol Fe is gold.", False),
    ],
)
def test_a_sentence_names_what_the_question_does_not(text: str, right: bool) -> None:
    task = Task(id="t", domain="science", source="s", question="Which element has the symbol Fe?", answer="iron")
    assert solves(task, text) is right


CODE = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is:\n```python\n{CODE}```\nUse it so:\n```python\nprint(f(1))\n```",
        f"```\n{CODE}",
        f"Sure.\n\n{CODE}\nThis function adds one.",
        f"<answer>```python\n{CODE}```",
        f"<answer>{CODE}</answer>",
    ],
)
def test_code_is_the_last_block_that_defines_something(text: str) -> None:
    found = read_answer_without_tags(text, task_of("coding", CODE), BUILTIN["coding"])
    assert found is not None
    assert found.strip() == CODE.strip()
    assert read_answer_without_tags("Add one to it.", task_of("coding", CODE), BUILTIN["coding"]) is None


def test_other_tag_names_are_the_contract_s() -> None:
    tags = Tags(reasoning="think", answer="final")
    assert read_answer_without_tags("<final>4</final> 5", FOUR, BUILTIN["math"], tags) == "4"
    assert read_answer_without_tags("<final>4</final> 5", FOUR, BUILTIN["math"]) == "5"


def test_the_placeholder_stands_in_the_template() -> None:
    assert f"<answer>{ANSWER_PLACEHOLDER}</answer>" in TASK_TEMPLATE


@pytest.mark.parametrize("task", [FOUR, NUCLEUS, YES, task_of("coding", CODE), task_of("math", "x+1")])
@pytest.mark.parametrize(
    "piece",
    ["answer is ", "\\boxed{", "1 or ", "\n", "1 ", "<answer>", "```\n", "A or B. ", "yes no. ", "Task: \n", "def "],
)
def test_hostile_text_takes_linear_time(task: Task, piece: str) -> None:
    domain = BUILTIN[task.domain]
    assert_linear(lambda text: read_answer_without_tags(text, task, domain), piece, size=1_000_000)


@pytest.mark.parametrize(
    ("task", "kind", "chance", "constant"),
    [
        (FOUR, AnswerKind.NUMBER, None, "4"),
        (NUCLEUS, AnswerKind.CHOICE, 0.25, "B"),
        (task_of("science", "ribosome", OPTIONS), AnswerKind.CHOICE, 0.25, "C"),
        (task_of("logic", "unknown", ("yes", "no", "unknown")), AnswerKind.CHOICE, 1 / 3, "C"),
        (YES, AnswerKind.POLARITY, 0.5, "yes"),
        (task_of("science", "False."), AnswerKind.POLARITY, 0.5, "no"),
        (task_of("math", "x + 1"), AnswerKind.TEXT, None, "x + 1"),
        (task_of("coding", CODE), AnswerKind.CODE, None, ""),
    ],
)
def test_what_a_task_expects(task: Task, kind: AnswerKind, chance: float | None, constant: str) -> None:
    found = expected_of(task, BUILTIN[task.domain])
    assert (found.kind, found.chance, found.constant) == (kind, chance, constant)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("We solve it. So the pair $(x, y)$ is $(7, 6)$.", True),
        ("So the pair is \\((7, 6)\\). Good.", True),
        ("So the pair is $(6, 7)$.", False),
        ("So the pair is $(7, 6)$ or $(6, 7)$.", False),
        ("The pair is not $(7, 6)$.", False),
        ("Is the pair $(7, 6)$?", False),
    ],
)
def test_a_formula_is_found_in_the_last_sentence(text: str, right: bool) -> None:
    assert solves(task_of("math", "(7, 6)"), text) is right


def test_a_part_of_a_malformed_number_is_none() -> None:
    assert not solves(task_of("math", "1.2"), "We get 1.2.3")
    assert solves(task_of("math", "1.2"), "We get 1.2. Done.")
