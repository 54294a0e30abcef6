"""Templates of generated math tasks: each draws small numbers and fills in question, answer and rationale.

The answer is computed from the drawn numbers, so it is right by construction. It is a whole number, or a fraction in
lowest terms where the question asks for one. To add a template, write a function from a
random generator to a `Draft` and list it in `MATH_TEMPLATES`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import NamedTuple


class Draft(NamedTuple):
    """The parts of a task that depend on the numbers drawn."""

    question: str
    answer: str
    rationale: str


NAMES = ("Ada", "Bela", "Carl", "Dora", "Emil", "Femi", "Gita", "Hugo", "Ines", "Jon", "Kira", "Luis", "Mona", "Nils")
THINGS = ("stamps", "shells", "buttons", "cards", "beads", "plums", "nuts", "coins", "badges", "pens")


def _gain(rng: Random) -> Draft:
    name, thing, had, got = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 30), rng.randint(2, 20)
    return Draft(
        f"{name} owns {had} {thing} and is given {got} more. How many {thing} does {name} own now?",
        str(had + got),
        f"Being given more makes the number larger, so we add. {name} starts with {had} {thing} and receives {got} on "
        f"top of that, and {had} plus {got} is {had + got}.",
    )


def _loss(rng: Random) -> Draft:
    name, thing, lost, kept = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 15), rng.randint(1, 25)
    had = lost + kept
    return Draft(
        f"{name} had {had} {thing} but gave {lost} of them away. How many {thing} did {name} keep?",
        str(kept),
        f"Giving things away makes the number smaller, so we subtract. Out of {had} {thing}, {lost} are gone. Taking "
        f"{lost} from {had} leaves {kept} of them.",
    )


def _groups(rng: Random) -> Draft:
    thing, bags, each = rng.choice(THINGS), rng.randint(2, 9), rng.randint(2, 12)
    return Draft(
        f"There are {bags} bags on a table with {each} {thing} in each bag. How many {thing} are there in total?",
        str(bags * each),
        f"Every bag holds the same number of {thing}, so we can multiply. With {bags} bags and {each} in each of them, "
        f"the total is {bags} times {each}, or {bags * each}.",
    )


def _sharing(rng: Random) -> Draft:
    name, thing, friends, each = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 9), rng.randint(2, 12)
    total = friends * each
    return Draft(
        f"{name} hands out {total} {thing} fairly to {friends} friends. How many {thing} does each friend receive?",
        str(each),
        f"A fair share means that we divide {total} by {friends}. Since {friends} times {each} makes {total}, every "
        f"friend receives {each} {thing} and nothing is left over.",
    )


def _change(rng: Random) -> Draft:
    name, thing, number, price = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 6), rng.randint(2, 7)
    note = rng.choice([n for n in (10, 20, 50) if n > number * price])
    cost = number * price
    return Draft(
        f"{name} buys {number} {thing} at {price} dollars each and pays with {note} dollars. "
        "How many dollars of change are due?",
        str(note - cost),
        f"First we find the price of everything: {number} times {price} dollars is {cost} dollars. Then we subtract "
        f"this from the money paid, and {note} minus {cost} is {note - cost}.",
    )


def _equation(rng: Random) -> Draft:
    letter, factor, shift, root = rng.choice("xyz"), rng.randint(2, 9), rng.randint(1, 12), rng.randint(1, 12)
    total = factor * root + shift
    return Draft(
        f"Find {letter} if {factor}{letter} + {shift} = {total}.",
        str(root),
        f"Subtracting {shift} from both sides leaves {factor}{letter} = {total - shift}. Then we divide both sides by "
        f"{factor} to get {letter} alone, and {total - shift} divided by {factor} is {root}.",
    )


def _percent(rng: Random) -> Draft:
    name, percent, base = rng.choice(NAMES), rng.choice((10, 20, 25, 40, 50, 75)), 20 * rng.randint(1, 20)
    part = percent * base // 100
    return Draft(
        f"{name} saves {percent}% of {base} dollars. How many dollars is that?",
        str(part),
        f"One percent is one of a hundred equal parts, so we multiply {base} by {percent} and divide by 100. The "
        f"product is {base * percent}, and dividing it by 100 gives {part}.",
    )


def _fraction_of(rng: Random) -> Draft:
    thing, bottom, unit = rng.choice(THINGS), rng.randint(3, 8), rng.randint(2, 9)
    top = rng.randint(2, bottom - 1)
    return Draft(
        f"A jar holds {bottom * unit} {thing}, and {top}/{bottom} of them are red. How many {thing} are red?",
        str(top * unit),
        f"One part out of {bottom} is {bottom * unit} divided by {bottom}, which is {unit}. We need {top} such parts, "
        f"so we multiply {unit} by {top} and get {top * unit} red {thing}.",
    )


def _fence(rng: Random) -> Draft:
    width, extra = rng.randint(2, 20), rng.randint(1, 20)
    length = width + extra
    return Draft(
        f"A field is {length} metres long and {width} metres wide. How many metres of fence go around it?",
        str(2 * (length + width)),
        f"Going around the field we walk two long sides and two short sides. One of each makes {length} plus {width}, "
        f"or {length + width} metres, and twice that is {2 * (length + width)}.",
    )


def _average(rng: Random) -> Draft:
    name, mean, low, high = rng.choice(NAMES), rng.randint(5, 20), rng.randint(1, 4), rng.randint(1, 4)
    scores = [mean - low, mean + high, mean + low - high]
    rng.shuffle(scores)
    first, second, third = scores
    return Draft(
        f"{name} scored {first}, {second} and {third} points in three rounds. What was the average score?",
        str(mean),
        f"To find an average we add everything up and divide by how many numbers there are. The three scores add up "
        f"to {sum(scores)}, and {sum(scores)} divided by 3 is {mean}.",
    )


def _sequence(rng: Random) -> Draft:
    start, step = rng.randint(1, 30), rng.randint(2, 12)
    terms = [start + step * k for k in range(5)]
    return Draft(
        f"Which number continues the row {terms[0]}, {terms[1]}, {terms[2]}, {terms[3]}?",
        str(terms[4]),
        f"We compare neighbours. From {terms[0]} to {terms[1]} the row grows by {step}, and the later steps are just "
        f"as large. Adding {step} to {terms[3]} gives {terms[4]}.",
    )


def _minutes(rng: Random) -> Draft:
    name, hours, minutes = rng.choice(NAMES), rng.randint(1, 9), 5 * rng.randint(1, 11)
    return Draft(
        f"{name} travels for {hours} h and {minutes} min. How many minutes is that altogether?",
        str(60 * hours + minutes),
        f"An hour has 60 minutes, so the full hours are {hours} times 60, or {60 * hours} minutes. Adding the other "
        f"{minutes} minutes brings the time to {60 * hours + minutes} minutes.",
    )


def _fraction_sum(rng: Random) -> Draft:
    bottom = rng.randint(4, 15)
    first = rng.randint(1, bottom - 2)
    second = rng.randint(1, bottom - 1 - first)
    total = Fraction(first + second, bottom)
    return Draft(
        f"Add {first}/{bottom} and {second}/{bottom}. Write the sum in lowest terms.",
        str(total),
        f"Both fractions have the bottom number {bottom}, so only the tops are added: {first} plus {second} is "
        f"{first + second}. In lowest terms, {first + second} over {bottom} is written {total}.",
    )


def _distance(rng: Random) -> Draft:
    name, speed, hours = rng.choice(NAMES), rng.randint(4, 25), rng.randint(2, 8)
    return Draft(
        f"{name} moves at a steady {speed} km per hour. How many km are covered in {hours} hours?",
        str(speed * hours),
        f"At a steady speed the same distance is added every hour. Each hour brings {speed} km, so {hours} hours "
        f"bring {hours} times {speed}, which is {speed * hours} km.",
    )


MATH_TEMPLATES: tuple[Callable[[Random], Draft], ...] = (
    _gain,
    _loss,
    _groups,
    _sharing,
    _change,
    _equation,
    _percent,
    _fraction_of,
    _fence,
    _average,
    _sequence,
    _minutes,
    _fraction_sum,
    _distance,
)
"""All math templates, in the order in which the generator uses them."""
