"""Writes shop.csv: 200 questions of a made-up garden shop with checkable answers and without rationales.

    python examples/own_data/make_shop.py

The same file every time. Prices and sizes are invented.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

ROWS = 200
GOODS = (
    ("bag of compost", "bags of compost"),
    ("clay pot", "clay pots"),
    ("tray of seedlings", "trays of seedlings"),
    ("roll of fleece", "rolls of fleece"),
    ("watering can", "watering cans"),
    ("pair of gloves", "pairs of gloves"),
)
UNITS = (("m", "cm", 100), ("kg", "g", 1000), ("l", "ml", 1000), ("km", "m", 1000), ("h", "minutes", 60))


def total(draw: random.Random) -> tuple[str, str]:
    one, many = draw.choice(GOODS)
    count, price = draw.randint(2, 9), draw.randint(3, 25)
    return f"A {one} costs ${price}. How much do {count} {many} cost?", f"${count * price}"


def change(draw: random.Random) -> tuple[str, str]:
    one, _ = draw.choice(GOODS)
    price, note = draw.randint(3, 38), draw.choice((20, 50, 100))
    note = note if note > price else 50
    return f"A customer pays for one {one} at ${price} with a ${note} note. How much change is due?", f"${note - price}"


def discount(draw: random.Random) -> tuple[str, str]:
    one, _ = draw.choice(GOODS)
    percent, price = draw.choice((10, 20, 25, 50)), 20 * draw.randint(1, 10)
    cut = price - price * percent // 100
    return f"A {one} for ${price} is sold with {percent} % off. What does it cost now?", f"${cut}"


def boxes(draw: random.Random) -> tuple[str, str]:
    _, many = draw.choice(GOODS)
    size, count = draw.randint(4, 12), draw.randint(3, 15)
    return f"A box holds {size} {many}. How many boxes are needed for {size * count} {many}?", str(count)


def convert(draw: random.Random) -> tuple[str, str]:
    large, small, factor = draw.choice(UNITS)
    amount = draw.randint(2, 40)
    return f"How many {small} are {amount} {large}?", f"{amount * factor} {small}"


def stock(draw: random.Random) -> tuple[str, str]:
    _, many = draw.choice(GOODS)
    start, sold, new = draw.randint(40, 90), draw.randint(5, 35), draw.randint(5, 60)
    return (
        f"The shop has {start} {many}, sells {sold} and gets {new} more. How many {many} does it have then?",
        str(start - sold + new),
    )


KINDS: tuple[Callable[[random.Random], tuple[str, str]], ...] = (total, change, discount, boxes, convert, stock)


def rows() -> list[dict[str, str]]:
    """The rows: every question once, the kinds in turn."""
    draw, found = random.Random(18), dict[str, str]()
    while len(found) < ROWS:
        question, answer = KINDS[len(found) % len(KINDS)](draw)
        found.setdefault(question, answer)
    return [
        {"id": str(number), "question": question, "answer": answer}
        for number, (question, answer) in enumerate(found.items(), start=1)
    ]


def write(path: Path) -> None:
    """Write the rows to a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "question", "answer"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows())


if __name__ == "__main__":
    write(Path(__file__).parent / "shop.csv")
