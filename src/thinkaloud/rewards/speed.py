"""Completions per second on one core, by domain, compared with math-verify alone on the same math answers.

The completions are made from the honest answers of the reward bench. Their reasoning is 100 to 300 words of randomly
chosen sentences, so that no two are the same. Math answers are numbers, LaTeX, and one in twenty an expression that
only math-verify can compare. Coding is left out: it runs programs, which `thinkaloud bench sandbox` measures.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from thinkaloud.domains import BUILTIN
from thinkaloud.records import Completion, Task, task_id
from thinkaloud.rewards.bench import load_trials
from thinkaloud.rewards.scoring import score_batch

MEASURED = tuple(name for name, domain in BUILTIN.items() if not domain.runs_code)

_MATH = (
    *(("10", answer) for answer in ("10", "\\boxed{10}", "10 pens", "$10$", "He has 10 pens left.", "12")),
    *(("3/4", answer) for answer in ("\\frac{3}{4}", "$\\frac{3}{4}$", "0.75", "\\boxed{\\frac{3}{4}}", "4/3")),
    *(("1,250", answer) for answer in ("1250", "$1,250", "1,250 dollars", "\\boxed{1250}", "1,250.00", "12.5", "1300")),
    ("2\\sqrt{3}", "2\\sqrt{3}"),
    ("2\\sqrt{3}", "\\sqrt{12}"),
)
"""Gold answers and answers to them."""


def run_speed(completions: int = 300, *, repeats: int = 3, seed: int = 0) -> dict[str, Any]:
    """Score generated completions in this process, after one warm-up pass.

    Args:
        completions: Completions per domain.
        repeats: Passes over them; the fastest is reported, as other load only slows them down.
        seed: Seed of the texts.

    Returns:
        JSON-ready: `completions` per domain, `mean_words` of a completion, `per_second` by domain, `mix_per_second`
        over all six, `math_verify_per_second` (parse both, then verify, on the same math answers) and `math_ratio`;
        and rates per second of this process's CPU time, which other load does not affect (the helper process that
        runs math-verify for expressions is not included).
    """
    batches = {name: _completions(name, completions, random.Random(f"{seed} {name}")) for name in MEASURED}
    seconds, processor = {}, {}
    for name, rows in batches.items():
        tasks, texts = _columns(rows)
        seconds[name], processor[name] = _fastest(partial(score_batch, tasks, texts), repeats)
    alone, alone_processor = _fastest(partial(_math_verify, batches["math"]), repeats)
    words = [len(completion.text.split()) for rows in batches.values() for _, completion in rows]
    return {
        "completions": completions,
        "mean_words": round(sum(words) / len(words), 1),
        "per_second": {name: round(completions / taken, 1) for name, taken in seconds.items()},
        "per_processor_second": {name: round(completions / taken, 1) for name, taken in processor.items()},
        "mix_per_second": round(completions * len(MEASURED) / sum(seconds.values()), 1),
        "mix_per_processor_second": round(completions * len(MEASURED) / sum(processor.values()), 1),
        "math_verify_per_second": round(completions / alone, 1),
        "math_verify_per_processor_second": round(completions / alone_processor, 1),
        "math_ratio": round(alone / seconds["math"], 2),
    }


def speed_lines(found: dict[str, Any]) -> list[str]:
    """The result as lines of text."""
    rates = [(name, rate, found["per_processor_second"][name]) for name, rate in found["per_second"].items()]
    rates += [
        (label, found[f"{key}_per_second"], found[f"{key}_per_processor_second"])
        for label, key in (("all six", "mix"), ("math-verify alone", "math_verify"))
    ]
    return [
        f"{found['completions']} completions per domain, {found['mean_words']} words each, one process",
        *(f"{name:<18} {rate:>9,.0f} a second {own:>9,.0f} a processor second" for name, rate, own in rates),
        f"math, ratio to math-verify alone: {found['math_ratio']}",
    ]


def _completions(name: str, number: int, draw: random.Random) -> list[tuple[Task, Completion]]:
    trials = [trial for trial in load_trials() if trial.task.domain == name]
    sentences = [sentence for trial in load_trials() for sentence in trial.task.rationale.split(". ")]
    honest = [(trial.task, trial.better.text.partition("<answer>")[2].partition("</answer>")[0]) for trial in trials]
    rows = []
    for at in range(number):
        if name == "math":
            gold, answer = _MATH[at % len(_MATH)]
            question = f"Task {at}: how many pens does Ben have left?"
            task = Task(id=task_id(name, question), domain=name, source="speed", question=question, answer=gold)
        else:
            task, answer = honest[draw.randrange(len(honest))]
        goal, thought = draw.randrange(100, 300), ""
        while thought.count(" ") < goal:
            thought += draw.choice(sentences).rstrip(".") + ". "
        text = f"<reasoning>{thought}</reasoning>\n<answer>{answer}</answer>"
        rows.append((task, Completion(text=text)))
    return rows


def _columns(rows: Sequence[tuple[Task, Completion]]) -> tuple[list[Task], list[Completion]]:
    return [task for task, _ in rows], [completion for _, completion in rows]


def _math_verify(rows: Sequence[tuple[Task, Completion]]) -> None:
    import logging

    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns at every call without a timeout

    for task, completion in rows:
        answer = completion.text.partition("<answer>")[2].partition("</answer>")[0]
        texts = (text if "$" in text or "\\boxed" in text else f"${text}$" for text in (task.answer, answer))
        gold, found = (parse(text, parsing_timeout=None) for text in texts)
        verify(gold, found, timeout_seconds=None)


def _fastest(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Wall time and CPU time of this process in seconds, each of its fastest pass; the first pass is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return min(wall for wall, _ in taken), min(own for _, own in taken)
