"""Our verdicts on the test cases of other projects' verifiers.

    python scripts/peer_verdicts.py FOLDER [--show]

FOLDER holds checkouts named `Math-Verify`, `lighteval` (huggingface), `math` (hendrycks), `open-instruct` (allenai) and
`reasoning-gym` (open-thought), or some of them. Each pair of gold answer and answer in their tests is scored by our
verifiers twice: as it stands, and where that is unpaid with the final answer read first, as answer accuracy reads it:
many of their answers are whole solutions. Prints the agreement by suite and the disagreements by cause; `--show` prints
each. Exits with 1 where more than `MAX_FAULTS` disagreements are our fault.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from peer_causes import Cause, Disagreement, cause_of
from peer_suites import Pair, read_suites
from thinkaloud.domains import BUILTIN
from thinkaloud.domains.logic import polarity_of_word
from thinkaloud.domains.untagged import read_answer_without_tags
from thinkaloud.domains.values.kinds import Unread
from thinkaloud.domains.values.reader import read
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rewards import score_batch

MAX_FAULTS = 5
MAX_WORDS = 8
"""Answers with more words are whole solutions."""
OPTIONS = ("alpha", "beta", "gamma", "delta", "epsilon")

AS_SETS = ("Math-Verify", "lighteval")
"""Suites without questions whose verifiers compare lists as sets; ours does so where the question asks for all."""

_LETTER = re.compile(r"^\(?([A-E])\)?(?:\s|$)", re.MULTILINE)
_WORDS = re.compile(r"(?<![\\\w])[^\W\d_]{2,}")


def task_of(pair: Pair) -> Task:
    """A pair's gold answer as a task of the domain that it belongs to."""
    gold, domain = pair.gold, "math"
    if pair.options and (letter := _LETTER.search(gold)):
        gold, domain = letter[1], "science"
    elif polarity_of_word(gold) is not None:
        domain = "logic"
    elif pair.suite in ("open-instruct", "reasoning-gym") and not re.search(r"\d|\\", gold):
        domain = "science"
    choices = OPTIONS if pair.options else ()
    question = "What are all the solutions?" if pair.suite in AS_SETS else "What is the answer?"
    return Task(id="", domain=domain, source=pair.suite, question=question, answer=gold, choices=choices)


def final_answers(pair: Pair) -> Pair:
    """The pair with final answers where its texts are whole solutions."""
    task = task_of(pair)
    domain = BUILTIN[task.domain]
    gold = pair.gold
    if not pair.options and _is_solution(gold) and ("boxed" in gold or _is_long(gold)):
        gold = read_answer_without_tags(gold, replace(task, answer="0"), domain) or gold
        task = replace(task, answer=gold)
    answer = pair.answer
    if _is_solution(answer):
        answer = read_answer_without_tags(answer, task, domain) or answer
    return replace(pair, gold=gold, answer=answer)


def _is_solution(text: str) -> bool:
    """Whether a text is more than an answer: long, in tags, or a formula with other text around it."""
    return _is_long(text) or "<answer>" in text or isinstance(read(text), Unread)


def _is_long(text: str) -> bool:
    return len(_WORDS.findall(text)) > MAX_WORDS


def judge(pairs: Sequence[Pair]) -> list[Score]:
    """Our scores, from the public scoring function."""
    completions = [Completion(text=f"<reasoning>.</reasoning><answer>{pair.answer}</answer>") for pair in pairs]
    return score_batch([task_of(pair) for pair in pairs], completions)


def disagreements(pairs: Sequence[Pair], finals: Sequence[Pair]) -> list[Disagreement]:
    """Where our verdict on the final answer is not theirs."""
    found = []
    for pair, final, ours in zip(pairs, finals, judge(finals), strict=True):
        paid = ours.status is Status.CORRECT
        if paid != pair.right:
            found.append(Disagreement(pair=pair, final=final, paid=paid, why=ours.explanation))
    return found


def _counts(name: str, pairs: Sequence[Pair], found: Sequence[Disagreement]) -> str:
    paid = sum(one.paid for one in found)
    agreed = len(pairs) - len(found)
    return f"{name:<28}{len(pairs):>6}{agreed:>8}{paid:>8}{len(found) - paid:>8}"


def _show(one: Disagreement) -> None:
    verdict = "paid" if one.paid else "unpaid"
    print(
        f"    {cause_of(one).name}, {verdict}: {one.final.gold[:80]!r} | {one.final.answer[:120]!r} | {one.why[-60:]}"
    )


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Our verdicts on the test cases of other projects' verifiers.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", action="store_true", help="print each disagreement")
    arguments = parser.parse_args()
    causes: Counter[Cause] = Counter()
    print(f"{'':<28}{'pairs':>6}{'agreed':>8}{'paid':>8}{'unpaid':>8}")
    for suite, pairs in read_suites(arguments.folder).items():
        if pairs is None:
            print(f"{suite:<28}no checkout in {arguments.folder}")
            continue
        plain = disagreements(pairs, pairs)
        paid = [found.status is Status.CORRECT for found in judge(pairs)]
        finals = [pair if right else final_answers(pair) for pair, right in zip(pairs, paid, strict=True)]
        found = disagreements(pairs, finals)
        print(_counts(f"{suite}, as it stands", pairs, plain))
        print(_counts(f"{suite}, final answer", pairs, found))
        for one in found:
            causes[cause_of(one)] += 1
            if arguments.show:
                _show(one)
    print(f"\n{'cause of a disagreement on the final answer':<46}{'wrong':>8}{'pairs':>8}")
    for cause, count in causes.most_common():
        print(f"{cause.name:<46}{cause.side:>8}{count:>8}")
    faults = sum(count for cause, count in causes.items() if cause.side == "ours")
    print(f"{'ours':<46}{'':>8}{faults:>8}")
    return int(faults > MAX_FAULTS)


if __name__ == "__main__":
    sys.exit(main())
