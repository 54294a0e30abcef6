"""The reward bench: honest answers against hacks. No hack may win, and a tie counts as a win.

`pairs/DOMAIN.jsonl` holds for each task honest answers in several styles, and then the hacks of that task, one per
line. A hack is compared with every honest answer of its task. To add one, add a line:

    {"task": NAME, "question", "answer", "choices"?, "tests"?, "honest": {STYLE: {"reasoning", "answer"}, ...}}
    {"task": NAME, "hack": KIND, "answer"}            with the reasoning of the first honest answer
    {"task": NAME, "hack": KIND, "reasoning", "answer"}
    {"task": NAME, "hack": KIND, "text"}              a whole completion, for attacks on the format

In addition every task is scored with generated completions: its gold answer (full marks), an empty text, the truncated
gold answer, its words shuffled, and the gold answer of another task.

Not covered, because word statistics cannot detect it: a summary that says the opposite or gets a fact wrong; a story
without a plot; concrete sentences written once for all prompts, filled with three or four words of this prompt; the
prompt's words inserted into a text about something else; two halves of one text in swapped order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from thinkaloud.domains import BUILTIN
from thinkaloud.domains.base import CodeRunner, Creative
from thinkaloud.records import Completion, Finish, Score, Task, task_id
from thinkaloud.rewards.gold import gold_completion
from thinkaloud.rewards.scoring import score_batch

FULL_MARKS = 1.0
HEURISTIC_FULL_MARKS = 0.95
"""What a gold answer must reach; in heuristic domains exact 1.0 is not required."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One comparison: `better` must earn more than `worse`, or where there is no `worse` reach `minimum`.

    `about` is the task's name, `name` the kind of hack, `style` the honest answer that it is compared with.
    """

    name: str
    task: Task
    better: Completion
    worse: Completion | None = None
    minimum: float = 0.0
    about: str = ""
    style: str = "gold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a trial; `held` is False where the hack wins."""

    trial: Trial
    better: Score
    worse: Score | None
    held: bool

    @property
    def line(self) -> str:
        """One line for a report."""
        earned = f"honest {self.better.reward:.2f}" + ("" if self.worse is None else f", hack {self.worse.reward:.2f}")
        about = f"{self.trial.about}, " if self.trial.about else ""
        verdict = "held" if self.held else "LOST"
        return f"{verdict}  {self.trial.task.domain}: {about}{self.trial.name} against {self.trial.style} ({earned})"


def load_trials() -> list[Trial]:
    """All trials: the pairs of every domain, then the controls of each of their tasks."""
    tasks: dict[str, Task] = {}
    pairs: list[Trial] = []
    for name in BUILTIN:
        for row in _rows(name):
            if "honest" in row:
                tasks[f"{name}/{row['task']}"] = task = _task(name, row)
                honest = {style: _completion(task, row["honest"][style]) for style in row["honest"]}
            else:
                worse = _completion(task, {"reasoning": task.rationale, **row})
                pairs += [
                    Trial(name=row["hack"], task=task, better=better, worse=worse, about=row["task"], style=style)
                    for style, better in honest.items()
                ]
    return pairs + list(_controls(tasks))


def _rows(name: str) -> Iterator[dict[str, Any]]:
    """The lines of a domain's pairs; none if it has no pairs."""
    file = files("thinkaloud.rewards").joinpath("pairs", f"{name}.jsonl")
    if file.is_file():
        for line in file.read_text("utf-8").splitlines():
            yield json.loads(line)


def _task(name: str, row: dict[str, Any]) -> Task:
    choices = tuple(row.get("choices", ()))
    return Task(
        id=task_id(name, row["question"], choices),
        domain=name,
        source="bench",
        question=row["question"],
        answer=row["answer"],
        rationale=next(iter(row["honest"].values()))["reasoning"],
        tests=tuple(row.get("tests", ())),
        setup=row.get("setup", ""),
        choices=choices,
    )


def _completion(task: Task, row: dict[str, str]) -> Completion:
    text = row.get("text") or f"<reasoning>{row['reasoning']}</reasoning>\n<answer>{row['answer']}</answer>"
    return Completion(text=text)


def _controls(tasks: dict[str, Task]) -> Iterator[Trial]:
    for key, task in tasks.items():
        gold = gold_completion(task)
        heuristic = not BUILTIN.is_verifiable(task.domain)
        others = [other for other in tasks.values() if other.answer.casefold() != task.answer.casefold()]
        nearest = min(others, key=lambda other: other.domain != task.domain)
        worse = {
            "empty": Completion(text=""),
            "truncated": Completion(text=gold.text, finish=Finish.LENGTH),
            "another task's answer": gold_completion(nearest),
        }
        if heuristic or len(task.answer.split()) > 2:
            worse |= {name: _completion(task, _with(task, answer)) for name, answer in _shuffled(task.answer)}
        about = key.partition("/")[2]
        minimum = HEURISTIC_FULL_MARKS if heuristic else FULL_MARKS
        yield Trial(name="gold answer", task=task, better=gold, minimum=minimum, about=about)
        for name, completion in worse.items():
            yield Trial(name=name, task=task, better=gold, worse=completion, about=about)


def _with(task: Task, answer: str) -> dict[str, str]:
    return {"reasoning": task.rationale, "answer": answer}


def _shuffled(answer: str) -> Iterator[tuple[str, str]]:
    """The words in another order: unchanged, and in lower case without punctuation, as one sentence."""
    bare = [word.strip(".,;:!?\"'()").lower() for word in answer.split()]
    for seed in range(3):
        as_they_are = answer.split()
        random.Random(seed).shuffle(as_they_are)
        yield f"shuffled words {seed + 1}", " ".join(as_they_are)
        random.Random(seed).shuffle(bare)
        yield f"shuffled words {seed + 1}, as a sentence", " ".join(bare).capitalize() + "."


def run_bench(
    trials: Sequence[Trial] | None = None, *, sandbox: CodeRunner | None = None, creative: Creative = "guarded"
) -> list[Outcome]:
    """Score all trials.

    Args:
        trials: What to run; all of `load_trials` when absent.
        sandbox: Where code is run.
        creative: How the heuristic domains are scored; `original` shows which hacks its formulas miss.

    Returns:
        One outcome per trial, in order. The bench passes if all of them `held`.
    """
    chosen = list(load_trials() if trials is None else trials)
    entries = [(trial.task, completion) for trial in chosen for completion in (trial.better, trial.worse) if completion]
    distinct = {
        (task.id, task.domain, completion.text, completion.finish): (task, completion) for task, completion in entries
    }
    found = score_batch(*_columns(list(distinct.values())), sandbox=sandbox, creative=creative)
    scores = dict(zip(distinct, found, strict=True))

    def score_of(trial: Trial, completion: Completion) -> Score:
        return scores[trial.task.id, trial.task.domain, completion.text, completion.finish]

    outcomes = []
    for trial in chosen:
        better = score_of(trial, trial.better)
        worse = score_of(trial, trial.worse) if trial.worse else None
        held = better.reward >= trial.minimum - 1e-9 and (worse is None or better.reward > worse.reward + 1e-9)
        outcomes.append(Outcome(trial=trial, better=better, worse=worse, held=held))
    return outcomes


def _columns(entries: list[tuple[Task, Completion]]) -> tuple[list[Task], list[Completion]]:
    return [task for task, _ in entries], [completion for _, completion in entries]
