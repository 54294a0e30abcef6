"""Yes/no templates of three and four steps; as in `logic_short`, no word of a question tells its answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from thinkaloud.data.templates.logic_short import EVENTS
from thinkaloud.data.templates.record import NAMES, THINGS, Template, logic_template

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
COMPARISONS = (("taller", "shorter"), ("older", "younger"), ("faster", "slower"), ("stronger", "weaker"))
DIRECTIONS = ("north", "east", "south", "west")
TURNS = {"right": 1, "around": 2, "left": 3}


@logic_template(steps=3)
def weekday(rng: Random, truth: bool) -> tuple[str, str]:
    start, days, back = rng.randrange(7), rng.randint(8, 60), rng.random() < 0.5
    weeks, rest = divmod(days, 7)
    there = (start - rest if back else start + rest) % 7
    shown = there if truth else (there + rng.randint(1, 6)) % 7
    return (
        f"Today is {DAYS[start]}. {'Was' if back else 'Is'} it {DAYS[shown]} {days} days "
        f"{'ago' if back else 'from now'}?",
        f"{weeks} x 7 = {7 * weeks} days are full weeks. The rest is {days} - {7 * weeks} = {rest}. Counting {rest} "
        f"{'back' if back else 'on'} from {DAYS[start]} gives {DAYS[there]}. The question names {DAYS[shown]}, "
        f"{'the same' if truth else 'another'} day.",
    )


def _facts(rng: Random, order: Sequence[str], more: str, less: str) -> list[str]:
    """Each two neighbours compared, from the one or the other, in any order."""
    facts = [rng.choice((f"{a} is {more} than {b}", f"{b} is {less} than {a}")) for a, b in pairwise(order)]
    rng.shuffle(facts)
    return facts


@logic_template(steps=3)
def chain(rng: Random, truth: bool) -> tuple[str, str]:
    first, second, third = rng.sample(NAMES, 3)
    more, less = rng.choice(COMPARISONS)
    asked = rng.choice((more, less))
    left, right = (first, third) if truth == (asked == more) else (third, first)
    facts = _facts(rng, (first, second, third), more, less)
    return (
        f"{facts[0]}, and {facts[1]}. Is {left} {asked} than {right}?",
        f"{first} is {more} than {second}, and {second} is {more} than {third}. "
        f"{first} is {more} than {third}, and {third} is {less} than {first}.",
    )


@logic_template(steps=3, by_numbers=True)
def entry(rng: Random, truth: bool) -> tuple[str, str]:
    name, least, both = rng.choice(NAMES), rng.randint(6, 40), rng.random() < 0.5
    asked, wanted = rng.choice(((f"May {name} go on", True), (f"Is {name} kept off", False)))
    allowed = truth == wanted
    options = [(o, t) for o in (True, False) for t in (True, False) if ((o and t) if both else (o or t)) == allowed]
    old, ticket = rng.choice(options)
    age = least + rng.randint(0, 12) if old else least - rng.randint(1, 5)
    has = "has a ticket" if ticket else "has no ticket"
    return (
        f"Exactly those who are at least {least} years old {'and' if both else 'or'} have a ticket may go on a ride. "
        f"{name} is {age} and {has}. {asked} the ride?",
        f"{age} is {'at least' if old else 'less than'} {least}, and {name} {has}. With {'and' if both else 'or'}, "
        f"{'both' if both else 'one'} must hold, and {sum((old, ticket))} of 2 "
        f"{'hold' if old == ticket else 'holds'}. "
        f"{name} {'may go on' if allowed else 'is kept off'} the ride.",
    )


@logic_template(steps=3, by_numbers=True)
def products(rng: Random, truth: bool) -> tuple[str, str]:
    while True:
        a, b, c, d = (rng.randint(2, 12) for _ in range(4))
        left, right = a * b, c * d
        asked = "more" if left > right else "less"
        if 0 < abs(left - right) <= 15:
            break
    asked = asked if truth else {"more": "less", "less": "more"}[asked]
    return (
        f"Is {a} x {b} {asked} than {c} x {d}?",
        f"{a} x {b} = {left}. {c} x {d} = {right}. And {left} is {'more' if left > right else 'less'} than {right}.",
    )


@logic_template(steps=3, held_out=True)
def contraposition(rng: Random, truth: bool) -> tuple[str, str]:
    first, second, third = rng.sample(EVENTS, 3)
    denied = rng.random() < 0.5
    fact, asked = (first, third) if truth != denied else (third, first)
    not_ = "it is not true that " if denied else ""
    way = f"Whenever {first}, {second}, and then {third}."
    why = {
        (True, False): f"{way} The first is the case, and so is the last.",
        (True, True): f"{way} The last is not the case, so the first cannot be.",
        (False, False): f"{way} But the last may have another reason than the first.",
        (False, True): f"{way} But without the first, the last may have another reason.",
    }[truth, denied]
    return (
        f"Whenever {first}, {second}. Whenever {second}, {third}. Now {not_}{fact}. Is it certain that {not_}{asked}?",
        why,
    )


@logic_template(steps=3, held_out=True, by_numbers=True)
def film(rng: Random, truth: bool) -> tuple[str, str]:
    hour, start, length = rng.randint(9, 20), rng.randint(0, 59), rng.randint(61, 119)
    total = start + length
    hours, rest = divmod(total, 60)
    end = 60 * (hour + hours) + rest
    asked, gap = rng.choice(("over", "still running")), rng.randint(2, 25)
    shown = end + gap if truth == (asked == "over") else end - gap
    clock = f"{shown // 60}:{shown % 60:02d}"
    return (
        f"A film starts at {hour}:{start:02d} and lasts {length} minutes. Is it {asked} at {clock}?",
        f"From {hour}:00 on, {start} + {length} = {total} minutes pass. {total} - {60 * hours} = {rest}, so it ends at "
        f"{hour + hours}:{rest:02d}. {clock} is {'later' if shown > end else 'earlier'}.",
    )


@logic_template(steps=4, by_numbers=True)
def enough(rng: Random, truth: bool) -> tuple[str, str]:
    name, (one, other) = rng.choice(NAMES), rng.sample(THINGS, 2)
    a, b, p, q = rng.randint(2, 7), rng.randint(2, 7), rng.randint(2, 9), rng.randint(2, 9)
    cost, asked = a * p + b * q, rng.choice(("enough", "too little"))
    fits = truth == (asked == "enough")
    has = cost + rng.randint(0, 6) if fits else cost - rng.randint(1, 6)
    return (
        f"{name} wants {a} {one} at {p} dollars each and {b} {other} at {q} dollars each, and has {has} dollars. "
        f"Is this {asked}?",
        f"{a} x {p} = {a * p}. {b} x {q} = {b * q}. Together {a * p} + {b * q} = {cost}. {has} is "
        f"{'at least' if fits else 'less than'} {cost}, {'enough' if fits else 'too little'}.",
    )


@logic_template(steps=4)
def ranking(rng: Random, truth: bool) -> tuple[str, str]:
    names = rng.sample(NAMES, 4)
    more, less = rng.choice(COMPARISONS)
    facts = _facts(rng, names, more, less)
    high, low = rng.choice(((0, 2), (1, 3), (0, 3)))
    asked = rng.choice((more, less))
    left, right = (high, low) if truth == (asked == more) else (low, high)
    return (
        f"{facts[0]}. {facts[1]}. {facts[2]}. Is {names[left]} {asked} than {names[right]}?",
        f"From most to least {more[:-2]}, the order is {', '.join(names)}. {names[left]} is number {left + 1} and "
        f"{names[right]} number {right + 1}, so {names[left]} is {more if left < right else less}.",
    )


@logic_template(steps=4, by_numbers=True)
def lamp(rng: Random, truth: bool) -> tuple[str, str]:
    people, (a, b, c) = rng.sample(NAMES, 3), (rng.randint(2, 15) for _ in range(3))
    start, total = rng.random() < 0.5, a + b + c
    end = start == (total % 2 == 0)
    asked = "on" if truth == end else "off"
    return (
        f"A lamp is {'on' if start else 'off'}, and each press of its switch changes that. {people[0]} presses "
        f"{a} times, {people[1]} {b} times and {people[2]} {c} times. Is the lamp {asked} now?",
        f"{a} + {b} = {a + b}, and {a + b} + {c} = {total} presses. {total} is {'odd' if total % 2 else 'even'}, so "
        f"the lamp {'changes' if total % 2 else 'stays as it was'}. It is {'on' if end else 'off'}.",
    )


@logic_template(steps=4)
def turns(rng: Random, truth: bool) -> tuple[str, str]:
    start = rng.randrange(4)
    made = [rng.choice(tuple(TURNS)) for _ in range(4)]
    path = [start]
    for turn in made:
        path.append((path[-1] + TURNS[turn]) % 4)
    end = path[-1]
    shown = end if truth else (end + rng.randint(1, 3)) % 4
    steps = ". ".join(f"{turn.capitalize()}: {DIRECTIONS[now]}" for turn, now in zip(made, path[1:], strict=True))
    return (
        f"A robot faces {DIRECTIONS[start]}. It turns {', then '.join(made)}. Does it face {DIRECTIONS[shown]} now?",
        f"{steps}. At the end it faces {DIRECTIONS[end]}{', not ' + DIRECTIONS[shown] if not truth else ''}.",
    )


@logic_template(steps=4, by_numbers=True)
def passing(rng: Random, truth: bool) -> tuple[str, str]:
    name, mean, a, b = rng.choice(NAMES), rng.randint(6, 25), rng.randint(-4, 4), rng.randint(-4, 4)
    scores = (mean + a, mean + b, mean - a - b)
    asked, wanted = rng.choice(((f"Does {name} pass", True), (f"Does {name} fail", False)))
    passes = truth == wanted
    least = mean - rng.randint(0, 3) if passes else mean + rng.randint(1, 4)
    total = sum(scores[:2])
    return (
        f"To pass a test, one needs an average of at least {least}. {name} has {scores[0]}, {scores[1]} and "
        f"{scores[2]} points. {asked}?",
        f"{scores[0]} + {scores[1]} = {total}, and {total} + {scores[2]} = {3 * mean}. The average is {3 * mean} / 3 = "
        f"{mean}. This is {'at least' if passes else 'less than'} {least}, so {name} "
        f"{'passes' if passes else 'fails'}.",
    )


@logic_template(steps=4, held_out=True)
def cups(rng: Random, truth: bool) -> tuple[str, str]:
    thing, place = rng.choice(("ball", "coin", "key", "ring", "pea")), rng.randint(1, 3)
    swaps = [rng.choice(((1, 2), (2, 3), (1, 3))) for _ in range(4)]
    text, now, told = [], place, []
    for one, other in swaps:
        now = other if now == one else one if now == other else now
        text.append(f"{one} and {other}")
        told.append(f"After {one} and {other}: {now}")
    shown = now if truth else rng.choice([cup for cup in (1, 2, 3) if cup != now])
    return (
        f"A {thing} is under cup {place} of three. We swap the cups at {', then '.join(text)}. "
        f"Is the {thing} under cup {shown} now?",
        f"{'. '.join(told)}. It ends under cup {now}{f', not {shown}' if not truth else ''}.",
    )


TEMPLATES: tuple[Template, ...] = (
    *(weekday, chain, entry, products, contraposition, film),
    *(enough, ranking, lamp, turns, passing, cups),
)
