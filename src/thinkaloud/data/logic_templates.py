"""Templates of generated yes/no tasks: each takes the answer as an argument and draws a question that has it.

The answer is an argument so that the generator can balance yes and no within every template. To add a template, write
a function from a random generator and a truth value to (question, rationale), and list it in `LOGIC_TEMPLATES`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from thinkaloud.data.math_templates import NAMES, THINGS

KINDS = ("blickets", "daxes", "feps", "gorps", "lums", "mivs", "pims", "rells", "tovas", "wugs", "yarks", "zups")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WORDS = (
    *("planet", "garden", "silver", "window", "bridge", "carpet", "orange", "kitten", "shadow", "pencil", "forest"),
    *("market", "winter", "candle", "rabbit", "island", "dragon", "mirror", "pillow", "hammer", "butter", "throne"),
)
CAUSES = ("the bell rings", "the light turns red", "the wind blows hard", "the kettle boils", "the moon is full")
EFFECTS = ("the dog barks", "the gate closes", "the flag comes down", "the baby wakes up", "the robot stops")
COMPARISONS = ("taller", "older", "faster", "stronger", "louder")


def _chain(rng: Random, truth: bool) -> tuple[str, str]:
    first, second, third = rng.sample(NAMES, 3)
    more = rng.choice(COMPARISONS)
    left, right = (first, third) if truth else (third, first)
    verdict = "so the claim fits this order" if truth else "so the claim turns this order around"
    return (
        f"{first} is {more} than {second}, and {second} is {more} than {third}. Is {left} {more} than {right}?",
        f"We can put the three in one row. {first} comes before {second}, and {second} comes before {third}. This "
        f"makes {first} {more} than {third}, {verdict}.",
    )


def _classes(rng: Random, truth: bool) -> tuple[str, str]:
    low, middle, high = rng.sample(KINDS, 3)
    if truth:
        return (
            f"All {low} are {middle}. All {middle} are {high}. Must all {low} be {high}?",
            f"Every one of the {low} belongs to the {middle}, and the {middle} all belong to the {high}. Going through "
            f"the {middle}, each of the {low} is among the {high} too.",
        )
    return (
        f"All {low} are {middle}. No {middle} are {high}. Can any of the {low} be among the {high}?",
        f"Every one of the {low} belongs to the {middle}. The {middle} and the {high} share no member, so whatever is "
        f"one of the {low} has to stay outside the {high}.",
    )


def _parity(rng: Random, truth: bool) -> tuple[str, str]:
    a = rng.randint(3, 60)
    b = 2 * rng.randint(1, 25) + (a % 2 if truth else 1 - a % 2)
    total = a + b
    end = "so it splits into two equal halves" if truth else "so one is left over when it is halved"
    return (
        f"Is {a} + {b} an even number?",
        f"First we add the two numbers, and {a} plus {b} is {total}. The last digit of {total} is {total % 10}, {end}, "
        "which decides whether it is even.",
    )


def _divisible(rng: Random, truth: bool) -> tuple[str, str]:
    divisor, times = rng.randint(3, 12), rng.randint(2, 12)
    rest = 0 if truth else rng.randint(1, divisor - 1)
    number = divisor * times + rest
    end = "which is the number itself, so nothing is left over" if truth else f"and a remainder of {rest} is left over"
    return (
        f"Is {number} divisible by {divisor}?",
        f"We look for the largest multiple of {divisor} that is not greater than {number}. It is {divisor} times "
        f"{times}, or {divisor * times}, {end}.",
    )


def _forward(rng: Random, truth: bool) -> tuple[str, str]:
    start, days = rng.randrange(7), rng.randint(2, 20)
    there = (start + days) % 7
    shown = there if truth else (there + rng.randint(1, 6)) % 7
    verdict = "the day in the question" if truth else f"and not {DAYS[shown]}"
    return (
        f"Today is {DAYS[start]}. Will the day be {DAYS[shown]} in {days} days?",
        f"Whole weeks change nothing, so from {days} days only the remainder after division by 7 counts, which is "
        f"{days % 7}. Counting that far from {DAYS[start]} gives {DAYS[there]}, {verdict}.",
    )


def _listed(rng: Random, truth: bool) -> tuple[str, str]:
    picked = rng.sample(THINGS, 5)
    inside, asked = picked[:4], picked[rng.randrange(4)] if truth else picked[4]
    place = rng.choice(("drawer", "basket", "suitcase", "cupboard", "bucket"))
    found = f"we do find {asked} among them" if truth else f"we never come across {asked}"
    content = f"{inside[0]}, {inside[1]}, {inside[2]} and {inside[3]}"
    return (
        f"A {place} contains only {content}. Are there {asked} in the {place}?",
        f"We go through the things one by one: {content}. Comparing each of them with the thing in the question, "
        f"{found}, and nothing else is in the {place}.",
    )


def _rule(rng: Random, truth: bool) -> tuple[str, str]:
    cause, effect = rng.choice(CAUSES), rng.choice(EFFECTS)
    name = rng.choice(NAMES)
    rule = f"{name} knows a rule without exceptions: whenever {cause}, {effect}."
    if truth:
        return (
            f"{rule} Right now {cause}. Can {name} be sure that {effect}?",
            f"The rule has no exceptions and tells what must follow when {cause}. This is the case right now, "
            "so the second part follows with certainty.",
        )
    return (
        f"{rule} Right now {effect}. Can {name} be sure that {cause}?",
        f"The rule leads only in one direction, from reason to result. It does not say that nothing else can lead to "
        f"it, so seeing that {effect} proves nothing about the reason.",
    )


def _product(rng: Random, truth: bool) -> tuple[str, str]:
    a, b, gap = rng.randint(3, 12), rng.randint(3, 12), rng.randint(1, 6)
    limit = a * b - gap if truth else a * b + gap
    word = "more" if truth else "less"
    return (
        f"Is {a} times {b} greater than {limit}?",
        f"We work out the product first. Multiplying {a} by {b} gives {a * b}. Now we compare it with {limit}, and "
        f"{a * b} is {gap} {word} than {limit}.",
    )


def _denials(rng: Random, truth: bool) -> tuple[str, str]:
    name, thing, layers = rng.choice(NAMES), rng.choice(THINGS), 2 if truth else rng.choice((1, 3))
    count = {1: "one denial", 2: "two denials", 3: "three denials"}[layers]
    end = "an even number, so they all cancel" if truth else "an odd number, so one stays after pairs cancel"
    claim = "It is false that it is false" if layers > 1 else "It is false"
    claim += " that it is false" if layers > 2 else ""
    return (
        f"{claim} that {name} has {thing}. Does {name} have {thing}?",
        f"Each time we read that something is false, the meaning is turned around once. Here we count {count}, which "
        f"is {end}, and that settles the matter.",
    )


def _entry(rng: Random, truth: bool) -> tuple[str, str]:
    name, least = rng.choice(NAMES), rng.randint(6, 18)
    old, ticket = (True, True) if truth else rng.choice(((True, False), (False, True)))
    age = least + rng.randint(0, 9) if old else least - rng.randint(1, 4)
    has = "has a ticket" if ticket else "has no ticket"
    reason = "Both demands are met" if truth else "One of the two demands is not met"
    return (
        f"Exactly those who are at least {least} years old and have a ticket may go on a ride. "
        f"{name} is {age} and {has}. May {name} go on the ride?",
        f"There are two demands, and the word and means that both count. {name} is {age}, compared with the age of "
        f"{least}, and {has}. {reason}, which decides the case.",
    )


def _letter(rng: Random, truth: bool) -> tuple[str, str]:
    word = rng.choice(WORDS)
    outside = [c for c in "abcdefghiklmnoprstuw" if c not in word]
    letter = rng.choice(word) if truth else rng.choice(outside)
    spelled = ", ".join(word)
    found = f"at place {word.index(letter) + 1} we meet {letter}" if truth else f"at no place do we meet {letter}"
    return (
        f"Does the word {word} contain the letter {letter}?",
        f"We spell the word slowly, letter by letter: {spelled}. Looking at all of these {len(word)} letters from left "
        f"to right, {found}.",
    )


LOGIC_TEMPLATES: tuple[Callable[[Random, bool], tuple[str, str]], ...] = (
    _chain,
    _classes,
    _parity,
    _divisible,
    _forward,
    _listed,
    _rule,
    _product,
    _denials,
    _entry,
    _letter,
)
"""All logic templates, in the order in which the generator uses them."""
