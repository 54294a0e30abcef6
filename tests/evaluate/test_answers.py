from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from support.eval_rows import row
from support.scorers import grouped
from thinkaloud.domains import BUILTIN
from thinkaloud.evaluate.answers import read_answers
from thinkaloud.evaluate.rows import read_rows, write_rows
from thinkaloud.evaluate.summary import summarize
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.scoring import score_batch

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma", system="S")
FOUR = Task(id="four", domain="math", source="s", question="2 + 2?", answer="4")
STORY = Task(id="story", domain="creative_writing", source="s", question="A story.", answer="")
YES = Task(id="yes", domain="logic", source="s", question="Is it?", answer="yes")
LETTER = Task(id="b", domain="science", source="s", question="Which?", answer="B", choices=("iron", "gold"))
GOOD = "<reasoning>so</reasoning><answer>{}</answer>"

scored: list[str] = []


@grouped
def verify(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    scored.extend(completion.text for completion in completions)
    return score_batch(tasks, completions)


def group_of(task: Task, *texts: str, finish: Finish = Finish.STOP) -> RolloutGroup:
    made = RolloutGroup(
        task=task, prompt_ids=(), completions=tuple(Completion(text=text, finish=finish) for text in texts)
    )
    return verify([made])[0]


def test_answers_are_right_with_and_without_tags_and_scored_once() -> None:
    texts = (GOOD.format(4), GOOD.format(5), "So it is 4.", "3 or 4", "Hm.", "The answer is 4.", "It is 4.0.")
    groups = [group_of(FOUR, *texts), group_of(STORY, "Once upon a time.")]
    scored.clear()
    (found, story) = read_answers(groups, verify, CONTRACT, BUILTIN)
    assert [one.correct for one in found] == [True, False, True, False, False, True, True]
    assert [one.text for one in found] == ["4", "5", "4", "", "", "4.", "4.0"]
    assert len(scored) == 3, "'4', '4.' and '4.0' of the completions without format, each once"
    assert [(one.text, one.correct) for one in story] == [("", None)]


def test_a_truncated_completion_may_have_said_its_answer() -> None:
    (found,) = read_answers([group_of(FOUR, "It is 4. Let me", finish=Finish.LENGTH)], verify, CONTRACT, BUILTIN)
    assert [one.correct for one in found] == [True]


def test_a_failure_of_the_scorer_is_no_verdict() -> None:
    broken = Task(id="none", domain="math", source="s", question="?", answer=" ")
    (found,) = read_answers([group_of(broken, GOOD.format(4), "It is 4.")], verify, CONTRACT, BUILTIN)
    assert [one.correct for one in found] == [None, None]


def test_equal_answers_are_those_that_the_verifier_takes_for_equal() -> None:
    texts = (GOOD.format("1/2"), GOOD.format("0.5"), "It is 3.", GOOD.format("\\frac{1}{2}"), "Hm.")
    (found,) = read_answers([group_of(FOUR, *texts)], verify, CONTRACT, BUILTIN)
    assert [one.group for one in found] == [0, 0, 1, 0, None]
    (alone,) = read_answers([group_of(FOUR, GOOD.format(4))], verify, CONTRACT, BUILTIN)
    assert [one.group for one in alone] == [None], "nothing to compare with"


PIECES = st.sampled_from(
    ["4", "yes", "B", " ", "\n", "<reasoning>", "</reasoning>", "<answer>", "</answer>", "so", "or", "3", "\\boxed{4}"]
)


@given(
    st.sampled_from([FOUR, YES, LETTER]),
    st.one_of(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["4", "B", "yes", "gold"]).map(GOOD.format)),
    st.sampled_from(list(Finish)),
)
def test_what_is_strictly_correct_has_a_correct_answer(task: Task, text: str, finish: Finish) -> None:
    group = group_of(task, text, finish=finish)
    ((answer,),) = read_answers([group], verify, CONTRACT, BUILTIN)
    assert answer.correct is not None
    assert answer.correct or group.scores[0].status is not Status.CORRECT


def test_both_accuracies_come_from_the_same_completions() -> None:
    rows = [
        row("a", answer_correct=True),
        row("b", status="bad_format", answer_correct=True),
        row("c", status="truncated", answer_correct=False),
        row("d", status="wrong", answer_correct=False),
        row("e", "creative_writing", "graded"),
    ]
    overall = summarize(rows, BUILTIN)["overall"]
    assert (overall["accuracy"], overall["answer_accuracy"]) == (1 / 4, 2 / 4)
    assert overall["answer_accuracy_interval"][0] < 0.5 < overall["answer_accuracy_interval"][1]
    assert summarize([row("a")], BUILTIN)["overall"]["answer_accuracy"] is None, "rows of an older version"


def test_older_files_lack_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "base.parquet"
    rows = [row("a", answer="4", answer_correct=True, answer_group=0, chance=0.25, constant="B")]
    write_rows(path, rows)
    assert read_rows(path) == rows
    table = pq.read_table(path, partitioning=None)
    added = ["answer", "answer_correct", "answer_group", "chance", "constant"]
    pq.write_table(pa.Table.from_pylist(table.drop_columns(added).to_pylist()), path)
    assert read_rows(path) == [row("a")]
