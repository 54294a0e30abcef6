#!/usr/bin/env python3
"""Try the science and logic verifiers on every row of the real data sets, and coding on MBPP's programs.

    python scripts/verdict_trials_text.py ../shared/data [--sandbox]

Each gold answer is written in several ways, all of which must earn full marks. Each near miss (another option, a
rejected option, two options, a negated or changed polarity, one word more) must earn nothing. Prints a table; the exit
status is 1 where a way of writing is unpaid in 0.1 % of the trials or more, or a near miss is paid that often.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from thinkaloud.config import SourceConfig
from thinkaloud.data.read import open_source
from thinkaloud.domains import BUILTIN
from thinkaloud.domains.choices import LETTERS
from thinkaloud.records import Task

LIMIT = 0.001
SHOWN = 3
Trial = tuple[str, bool, str]
"""How the answer is written, whether it must be paid, the answer."""


def choice_trials(task: Task) -> Iterator[Trial]:
    right = task.choices.index(task.answer)
    other = (right + 1) % len(task.choices)
    letter, text = LETTERS[right], task.choices[right]
    for name, answer in {
        "letter": letter,
        "letter and bracket": f"{letter})",
        "letter in brackets": f"({letter.lower()})",
        "text": text,
        "letter and text": f"{letter}) {text}",
        "boxed": f"\\boxed{{{letter}}}",
        "boxed text": f"\\boxed{{\\text{{{letter}}}}}",
        "sentence": f"The answer is {letter}.",
        "sentence with text": f"The answer is {text}",
        "letter in bold": f"**{letter}**",
        "option": f"Option {letter}",
        "because": f"{letter} because it fits best",
    }.items():
        yield name, True, answer
    wrong, wrong_text = LETTERS[other], task.choices[other]
    for name, answer in {
        "another letter": wrong,
        "another text": wrong_text,
        "another letter boxed": f"\\boxed{{{wrong}}}",
        "letter and another text": f"{letter}) {wrong_text}",
        "another letter and text": f"{wrong}) {text}",
        "two letters": f"{letter} or {wrong}",
        "two options": f"option {letter.lower()}, option {wrong.lower()}",
        "two texts": f"{text} or {wrong_text}",
        "not the letter": f"not {letter}",
        "not the text": f"not {text}",
        "ruled out": f"rule out {letter}",
        "everything but": f"everything but {letter}",
        "is wrong": f"{letter} is wrong",
        "another and the letter": f"{wrong}, choice {letter.lower()}",
    }.items():
        yield name, False, answer


def free_trials(task: Task) -> Iterator[Trial]:
    gold = task.answer
    for name, answer in {
        "text": gold,
        "capitals": gold.upper(),
        "full stop": f"{gold}.",
        "article": f"the {gold}",
        "boxed": f"\\boxed{{{gold}}}",
        "text in LaTeX": f"\\text{{{gold}}}",
        "sentence": f"The answer is {gold}.",
        "bold": f"**{gold}**",
    }.items():
        yield name, True, answer
    for name, answer in {
        "not": f"not {gold}",
        "or": f"{gold} or nitrogen",
        "one word more": f"{gold} membrane",
        "sign": f"-{gold}",
        "last letter changed": gold[:-1] + ("x" if gold[-1] != "x" else "z"),
        "struck out": f"~~{gold}~~",
    }.items():
        yield name, False, answer


def polarity_trials(task: Task) -> Iterator[Trial]:
    gold, other = ("yes", "no") if task.answer == "yes" else ("no", "yes")
    true, false = ("true", "false") if gold == "yes" else ("false", "true")
    for name, answer in {
        "word": gold,
        "capital": f"{gold.capitalize()}.",
        "true or false": true,
        "boxed": f"\\boxed{{{gold}}}",
        "sentence": f"The answer is {gold}.",
        "bold": f"**{gold.capitalize()}**",
        "with reason": f"{gold.capitalize()}, because {task.rationale.split('.')[0] or 'it is known'}.",
        "double negation": f"It is not {false}",
    }.items():
        yield name, True, answer
    for name, answer in {
        "other polarity": other,
        "other in a sentence": f"The answer is {other}.",
        "both": f"{gold} and {other}",
        "negated": f"not {true}",
        "cannot be": f"It can't be {true}",
        "from afar": f"It would be wrong to say {gold}",
        "not think": f"I do not think it is {true}",
        "contradicted": f"{gold.capitalize()}. {'Nope' if gold == 'yes' else 'Yep'}",
        "hedged": f"{gold.capitalize()}, maybe",
    }.items():
        yield name, False, answer


def trials_of(task: Task) -> Iterator[Trial]:
    if task.domain == "logic":
        return polarity_trials(task)
    return choice_trials(task) if task.choices else free_trials(task)


def tasks_of(name: str, folder: Path) -> list[Task]:
    return [row for row in open_source(name, SourceConfig(), folder).rows() if isinstance(row, Task)]


def run_texts(folder: Path) -> bool:
    """Try SciQ, ARC and StrategyQA; True where every rate is under the limit."""
    good = True
    for name in ("sciq", "ARC-Easy", "ARC-Challenge", "strategyqa"):
        tried, missed = Counter[tuple[str, bool]](), Counter[tuple[str, bool]]()
        examples = defaultdict[tuple[str, bool], list[str]](list)
        start, tasks = time.perf_counter(), tasks_of(name, folder)
        for task in tasks:
            for way, paid, answer in trials_of(task):
                score = BUILTIN[task.domain].score(task, "", answer, None)
                tried[way, paid] += 1
                if (score.value > 0) != paid:
                    missed[way, paid] += 1
                    examples[way, paid].append(f"gold {task.answer!r}: {answer!r}: {score.explanation}")
        seconds = time.perf_counter() - start
        print(f"{name}: {len(tasks)} tasks, {tried.total()} verdicts, {tried.total() / seconds:,.0f} a second")
        for paid, heading in ((True, "right, unpaid"), (False, "near misses, paid")):
            count = sum(n for (_, want), n in missed.items() if want is paid)
            total = sum(n for (_, want), n in tried.items() if want is paid)
            good = good and count < LIMIT * total
            print(f"  {heading}: {count} of {total} ({count / total:.3%})")
            for (way, want), number in sorted(missed.items()):
                if want is paid:
                    print(f"    {way}: {number}")
                    for line in examples[way, want][:SHOWN]:
                        print(f"      {line[:200]}")
    return good


def run_programs(folder: Path) -> bool:
    """Try MBPP's reference programs as plain and as fenced code, and each program on the next task's tests."""
    tasks = tasks_of("mbpp", folder)
    ways = {
        "plain": (True, [(task, "", task.answer) for task in tasks]),
        "fenced": (True, [(task, "", f"```python\n{task.answer}\n```") for task in tasks]),
        "another program": (False, [(task, "", tasks[i - 1].answer) for i, task in enumerate(tasks)]),
        "StopIteration": (False, [(task, "", f"{task.answer}\nraise StopIteration") for task in tasks]),
    }
    good = True
    for way, (paid, items) in ways.items():
        scores = BUILTIN["coding"].score_batch(items, None)
        missed = [task.id for (task, _, _), score in zip(items, scores, strict=True) if (score.value > 0) != paid]
        good = good and len(missed) < max(1, LIMIT * len(items))
        print(f"mbpp, {way}: {len(missed)} of {len(items)} {'unpaid' if paid else 'paid'} {missed[:5]}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the data sets")
    parser.add_argument("--sandbox", action="store_true", help="run MBPP's programs too")
    arguments = parser.parse_args()
    good = run_texts(arguments.folder)
    if arguments.sandbox:
        good = run_programs(arguments.folder) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
