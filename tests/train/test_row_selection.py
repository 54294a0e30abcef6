"""Which sampled answers become rows of the cold start, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from thinkaloud.config import ColdStartConfig
from thinkaloud.domains import BUILTIN
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.train.row_selection import Candidate, candidates_of, put_into_format, select

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma", system="S")


def group(domain: str, *members: tuple[str, Status, Finish]) -> RolloutGroup:
    task = Task(id=f"{domain}-1", domain=domain, source="s", question="q", answer="4")
    return RolloutGroup(
        task=task,
        prompt_ids=(),
        completions=tuple(Completion(text=text, finish=finish) for text, _, finish in members),
        scores=tuple(Score(reward=0.5, status=status) for _, status, _ in members),
    )


def candidate(task: str, reasoning: str, num_tokens: int, reward: float = 1.0) -> Candidate:
    return Candidate(task_id=task, reasoning=reasoning, answer="4", reward=reward, num_tokens=num_tokens)


def chosen(candidates: list[Candidate], verifiable: bool = True, **settings: Any) -> list[tuple[str, str]]:
    config = ColdStartConfig(**{"self_length_percentile": 100.0, **settings})
    return [(one.task_id, one.reasoning) for one in select(candidates, verifiable, config)]


GOOD = "<reasoning> two and two </reasoning><answer>4</answer>"
LONG = f"<reasoning>{'x' * 100}</reasoning><answer>4</answer>"


def test_only_right_well_formed_answers_that_fit_are_candidates() -> None:
    sampled = group(
        "math",
        (GOOD, Status.CORRECT, Finish.STOP),
        (GOOD, Status.WRONG, Finish.STOP),
        (GOOD, Status.NO_ANSWER, Finish.STOP),
        (GOOD, Status.CORRECT, Finish.LENGTH),
        ("4", Status.BAD_FORMAT, Finish.STOP),
        (LONG, Status.CORRECT, Finish.STOP),
    )
    (found,) = candidates_of([sampled], CONTRACT, BUILTIN, max_tokens=100)
    # <reasoning>two and two</reasoning>\n<answer>4</answer> has 53 bytes, and the end of turn follows
    assert found == Candidate(task_id="math-1", reasoning="two and two", answer="4", reward=0.5, num_tokens=54)


def test_answers_outside_the_tags_are_put_into_the_format() -> None:
    sampled = group(
        "math",
        ("Two and two make 4.", Status.BAD_FORMAT, Finish.STOP),
        ("So <answer>4</answer>", Status.BAD_FORMAT, Finish.STOP),
        (GOOD, Status.CORRECT, Finish.STOP),
        ("Two and two make 4, then", Status.BAD_FORMAT, Finish.LENGTH),
        ("I do not know.", Status.BAD_FORMAT, Finish.STOP),
    )
    (found,) = put_into_format([sampled], CONTRACT, BUILTIN)
    assert [one.text for one in found.completions] == [
        "<reasoning>Two and two make 4.</reasoning>\n<answer>4</answer>",
        "<reasoning>So 4</reasoning>\n<answer>4</answer>",
        GOOD,
        "Two and two make 4, then",
        "I do not know.",
    ]
    creative = group("creative_writing", ("A story.", Status.BAD_FORMAT, Finish.STOP))
    assert put_into_format([creative], CONTRACT, BUILTIN) == [creative]


def test_code_is_the_answer_and_not_a_part_of_the_reasoning() -> None:
    code = "def f(x):\n    return x"
    task = Task(id="c", domain="coding", source="s", question="q", answer="", tests=("assert f(1) == 1",))
    texts = (f"It returns its argument.\n\n```python\n{code}\n```\n", f"```python\n{code}\n```")
    asked = RolloutGroup(task=task, prompt_ids=(), completions=tuple(Completion(text=text) for text in texts))
    (found,) = put_into_format([asked], CONTRACT, BUILTIN)
    assert [one.text for one in found.completions] == [
        f"<reasoning>It returns its argument.</reasoning>\n<answer>{code}</answer>",
        texts[1],  # nothing but code: no reasoning
    ]


def test_heuristic_domains_keep_every_valid_answer_that_has_a_score() -> None:
    sampled = group(
        "creative_writing",
        (GOOD, Status.GRADED, Finish.STOP),
        (GOOD, Status.UNSCORABLE, Finish.STOP),
        ("none", Status.BAD_FORMAT, Finish.STOP),
    )
    assert len(list(candidates_of([sampled], CONTRACT, BUILTIN, max_tokens=100))) == 1


def test_the_shortest_right_answer_of_each_task_is_kept() -> None:
    assert chosen([candidate("a", "long", 9), candidate("b", "other", 7), candidate("a", "short", 5)]) == [
        ("a", "short"),
        ("b", "other"),
    ]


def test_equal_reasoning_is_kept_once_and_the_task_falls_back_to_its_next_answer() -> None:
    found = chosen([candidate("a", "Add them up.", 5), candidate("b", "add them UP", 4), candidate("b", "Count.", 6)])
    assert found == [("a", "Add them up."), ("b", "Count.")]
    assert chosen([candidate("a", "Same.", 5), candidate("b", "same", 4)]) == [("a", "Same.")]


def test_answers_over_the_length_percentile_are_dropped() -> None:
    five = [candidate(name, f"reason {name}", length) for name, length in zip("abcde", (5, 1, 4, 2, 3), strict=True)]
    assert [task for task, _ in chosen(five, self_length_percentile=60.0)] == ["b", "d", "e"]
    assert [task for task, _ in chosen(five, self_length_percentile=61.0)] == ["b", "c", "d", "e"]
    assert len(chosen(five)) == 5


@pytest.mark.parametrize(("share", "kept"), [(0.25, ["c", "d"]), (0.26, ["b", "c", "d"]), (1.0, list("abcdefgh"))])
def test_heuristic_domains_keep_the_best_share(share: float, kept: list[str]) -> None:
    rewards = (0.2, 0.7, 0.9, 0.8, 0.3, 0.4, 0.5, 0.6)
    eight = [candidate(name, f"reason {name}", 5, reward) for name, reward in zip("abcdefgh", rewards, strict=True)]
    assert [task for task, _ in chosen(eight, verifiable=False, self_top_share=share)] == kept
    assert len(chosen(eight)) == 8, "in verifiable domains all candidates are right"


def test_nothing_is_chosen_of_nothing() -> None:
    assert chosen([]) == []
    assert chosen([], verifiable=False) == []
