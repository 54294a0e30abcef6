"""Trials of the math verdicts on real rows: right answers in eight ways of writing, and near misses.

    python scripts/verdict_trials.py FOLDER

FOLDER holds `train.jsonl` of GSM8K (`question`, and `answer` that ends in `#### gold`). Prints how many of the right
answers earn full marks, how many near misses are paid, and answers scored per second. Exits with 1 where a right answer
is unpaid or more than 0.1 % of the near misses are paid.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from thinkaloud.domains.math import score
from thinkaloud.domains.values.question import Asked, read_question
from thinkaloud.domains.values.units import UNITS
from thinkaloud.records import Task

MAX_SHOWN = 10
MAX_PAID_SHARE = 0.001


def read_tasks(path: Path) -> Iterator[Task]:
    """The rows of a file as tasks."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            gold = row["answer"].rpartition("####")[2].strip()
            yield Task(id=str(number), domain="math", source="gsm8k", question=row["question"], answer=gold)


def ways_of_writing(gold: str, asked: Asked) -> dict[str, str]:
    """The same number in eight ways."""
    value = Fraction(gold.replace(",", ""))
    plain = gold.replace(",", "")
    whole = value.denominator == 1
    return {
        "plain": plain,
        "with commas": f"{int(value):,}" if whole else plain,
        "in dollar signs": f"${plain}$",
        "boxed": f"\\boxed{{{plain}}}",
        "sentence": f"The answer is {plain}.",
        "unit": f"{plain} {unit_name(asked)}",
        "full stop": f"{plain}.",
        "decimals": f"{plain}.0" if whole else f"{plain}0",
    }


def unit_name(asked: Asked) -> str:
    """The name of the unit that a question asks for, else the noun after "how many"."""
    unit = asked.unit
    if unit is not None and len(unit.dimension) == 1:
        base, power = unit.dimension[0]
        for name, entry in UNITS.items():
            if power == 1 and entry == (base, unit.factor) and len(name) > 2:
                return name
    asking = re.split(r"(?<=[.!?]) ", asked.text)[-1]
    nouns = re.findall(r"how many (?:more |less |fewer |total )?([a-z]{4,})", asking)
    return nouns[-1] if nouns and unit is None else "in all"


def near_misses(gold: str) -> dict[str, str]:
    """Wrong numbers that look like the right one."""
    value = Fraction(gold.replace(",", ""))
    plain = gold.replace(",", "")
    digit = next(at for at, char in enumerate(plain) if char.isdigit())
    changed = plain[:digit] + str((int(plain[digit]) + 3) % 9 + 1) + plain[digit + 1 :]
    if Fraction(changed) == value:
        changed = plain[:digit] + str((int(plain[digit]) + 4) % 9 + 1) + plain[digit + 1 :]
    misses = {
        "plus one": _text(value + 1),
        "minus one": _text(value - 1),
        "a digit changed": changed,
        "in a sentence": f"The answer is {_text(value + 1)}.",
    }
    if value:
        misses["times ten"] = _text(value * 10)
        misses["sign changed"] = _text(-value)
        misses["minus in words"] = f"The answer is minus {plain.lstrip('-')}." if value > 0 else plain.lstrip("-")
    return misses


def _text(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"


def main() -> int:
    """Run the trials and print the figures."""
    parser = argparse.ArgumentParser(description="Trials of the math verdicts on the rows of GSM8K.")
    parser.add_argument("folder", type=Path)
    tasks = list(read_tasks(parser.parse_args().folder / "train.jsonl"))
    unpaid: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    num_right = num_wrong = 0
    start = time.process_time()
    for task in tasks:
        asked = read_question(task.question)
        for way, answer in ways_of_writing(task.answer, asked).items():
            num_right += 1
            found = score(task, "", answer)
            if found.status != "correct":
                unpaid[way] += 1
                if sum(unpaid.values()) <= MAX_SHOWN:
                    print(f"unpaid: gold {task.answer!r}, answer {answer!r}: {found.explanation}")
        for kind, answer in near_misses(task.answer).items():
            num_wrong += 1
            if score(task, "", answer).value:
                paid[kind] += 1
                if sum(paid.values()) <= MAX_SHOWN:
                    print(f"paid: gold {task.answer!r}, answer {answer!r}: {kind}")
    seconds = time.process_time() - start
    print(f"{len(tasks):,} gold answers; right answers paid: {num_right - sum(unpaid.values()):,} of {num_right:,}")
    for way, count in unpaid.most_common():
        print(f"  unpaid, {way}: {count}")
    print(f"near misses paid: {sum(paid.values()):,} of {num_wrong:,} ({sum(paid.values()) / num_wrong:.4%})")
    for kind, count in paid.most_common():
        print(f"  paid, {kind}: {count}")
    print(f"{(num_right + num_wrong) / seconds:,.0f} answers per second of processor time")
    return int(bool(unpaid) or sum(paid.values()) > MAX_PAID_SHARE * num_wrong)


if __name__ == "__main__":
    sys.exit(main())
