"""Math templates of three and four steps."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from thinkaloud.data.templates.record import NAMES, THINGS, Draft, Template, math_template


@math_template(steps=3)
def fence(rng: Random) -> Draft:
    width, extra, gate = rng.randint(3, 25), rng.randint(1, 20), rng.randint(1, 5)
    length = width + extra
    half, whole = length + width, 2 * (length + width)
    return Draft(
        f"A field is {length} metres long and {width} metres wide, and has a gate of {gate} metres. "
        "How many metres of fence close the rest?",
        str(whole - gate),
        f"One long and one short side are {length} + {width} = {half} metres. All around it is 2 x {half} = {whole}. "
        f"Without the gate that is {whole} - {gate} = {whole - gate}.",
    )


@math_template(steps=3)
def fraction_left(rng: Random) -> Draft:
    (one, other), bottom = rng.sample(NAMES, 2), rng.randint(4, 24)
    first = rng.randint(1, bottom - 2)
    second = rng.randint(1, bottom - 1 - first)
    eaten, left = first + second, bottom - first - second
    return Draft(
        f"{one} eats {first}/{bottom} of a cake and {other} eats {second}/{bottom} of it. "
        "What fraction of the cake is left, in lowest terms?",
        str(Fraction(left, bottom)),
        f"Together they eat {first} + {second} = {eaten} of the {bottom} parts. {bottom} - {eaten} = {left} parts are "
        f"left. In lowest terms, {left}/{bottom} = {Fraction(left, bottom)}.",
    )


@math_template(steps=3)
def two_kinds(rng: Random) -> Draft:
    name, (one, other) = rng.choice(NAMES), rng.sample(THINGS, 2)
    a, b, p, q = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 10), rng.randint(2, 10)
    return Draft(
        f"{name} buys {a} {one} at {p} dollars each and {b} {other} at {q} dollars each. "
        "How many dollars does this cost?",
        str(a * p + b * q),
        f"The {one} cost {a} x {p} = {a * p}. The {other} cost {b} x {q} = {b * q}. Together this is "
        f"{a * p} + {b * q} = {a * p + b * q}.",
    )


@math_template(steps=3)
def discount(rng: Random) -> Draft:
    what, tens, tenth = rng.choice(("coat", "lamp", "chair", "tent", "clock")), rng.randint(2, 8), rng.randint(2, 30)
    price, off = 10 * tenth, tens * tenth
    return Draft(
        f"A {what} costs {price} dollars. In a sale it is {10 * tens}% cheaper. How many dollars is it in the sale?",
        str(price - off),
        f"10% of the price is {price} / 10 = {tenth}. {10 * tens}% is {tens} x {tenth} = {off}. The new price is "
        f"{price} - {off} = {price - off}.",
    )


@math_template(steps=3)
def relations(rng: Random) -> Draft:
    (one, two, three), thing = rng.sample(NAMES, 3), rng.choice(THINGS)
    base, times, more = rng.randint(2, 15), rng.randint(2, 5), rng.randint(2, 15)
    second = base * times
    third = second + more
    return Draft(
        f"{one} has {base} {thing}. {two} has {times} times as many as {one}, and {three} has {more} more than {two}. "
        f"How many {thing} do {one} and {three} have together?",
        str(base + third),
        f"{two} has {times} x {base} = {second}. {three} has {second} + {more} = {third}. {one} and {three} together "
        f"have {base} + {third} = {base + third}.",
    )


@math_template(steps=3)
def bus(rng: Random) -> Draft:
    start, on, later = rng.randint(5, 40), rng.randint(2, 20), rng.randint(2, 20)
    full = start + on
    off = rng.randint(2, full - 1)
    rest = full - off
    return Draft(
        f"A bus leaves with {start} people. At the first stop {on} get on, at the second {off} get off, and at the "
        f"third {later} get on. How many people are on the bus then?",
        str(rest + later),
        f"We follow the bus. First stop: {start} + {on} = {full}. Second stop: {full} - {off} = {rest}. Third stop: "
        f"{rest} + {later} = {rest + later}.",
    )


@math_template(steps=3, held_out=True)
def saving(rng: Random) -> Draft:
    name, weeks, gain, spent = rng.choice(NAMES), rng.randint(2, 12), rng.randint(2, 9), rng.randint(1, 9)
    has, rest = rng.randint(5, 50), weeks * gain
    return Draft(
        f"A bike costs {has + rest} dollars. {name} has {has} dollars, gets {gain + spent} dollars a week and spends "
        f"{spent} of them. After how many weeks can {name} buy the bike?",
        str(weeks),
        f"Each week brings {gain + spent} - {spent} = {gain} dollars. {has + rest} - {has} = {rest} dollars are "
        f"missing. That takes {rest} / {gain} = {weeks} weeks.",
    )


@math_template(steps=3, held_out=True)
def bags_sold(rng: Random) -> Draft:
    (one, other), thing = rng.sample(NAMES, 2), rng.choice(THINGS)
    bags, size, price = rng.randint(2, 10), rng.randint(3, 10), rng.randint(2, 9)
    total = bags * size
    first = rng.randint(1, total - 1)
    return Draft(
        f"{one} collects {first} {thing} and {other} collects {total - first}. They fill bags of {size} and sell each "
        f"bag for {price} dollars. How many dollars do they get?",
        str(bags * price),
        f"They have {first} + {total - first} = {total} {thing}. That makes {total} / {size} = {bags} bags. They get "
        f"{bags} x {price} = {bags * price} dollars.",
    )


@math_template(steps=4)
def shopping(rng: Random) -> Draft:
    name, (one, other) = rng.choice(NAMES), rng.sample(THINGS, 2)
    a, b, p, q = rng.randint(2, 6), rng.randint(2, 6), rng.randint(2, 9), rng.randint(2, 9)
    cost = a * p + b * q
    note = next(n for n in (20, 50, 100, 200) if n > cost)
    return Draft(
        f"{name} pays for {a} {one} at {p} dollars each and {b} {other} at {q} dollars each with {note} dollars. "
        "How many dollars come back?",
        str(note - cost),
        f"The {one}: {a} x {p} = {a * p}. The {other}: {b} x {q} = {b * q}. Both: {a * p} + {b * q} = {cost}. "
        f"Back come {note} - {cost} = {note - cost}.",
    )


@math_template(steps=4)
def reading(rng: Random) -> Draft:
    name, times, less, first = rng.choice(NAMES), rng.randint(2, 4), rng.randint(1, 9), rng.randint(5, 20)
    second = times * first
    third = second - less
    return Draft(
        f"{name} reads {first} pages on Monday, {times} times as many on Tuesday, and on Wednesday {less} pages fewer "
        "than on Tuesday. How many pages is that in all?",
        str(first + second + third),
        f"Tuesday: {times} x {first} = {second}. Wednesday: {second} - {less} = {third}. Monday and Tuesday: "
        f"{first} + {second} = {first + second}. In all: {first + second} + {third} = {first + second + third}.",
    )


@math_template(steps=4)
def brackets(rng: Random) -> Draft:
    letter, outer, inner = rng.choice("abkmn"), rng.randint(2, 5), rng.randint(2, 5)
    shift, root = rng.randint(1, 9), rng.randint(1, 9)
    inside = inner * root + shift
    product = outer * inside
    take = rng.randint(1, min(9, product - 1))
    return Draft(
        f"Find {letter} if {outer}({inner}{letter} + {shift}) - {take} = {product - take}.",
        str(root),
        f"We undo each part from the outside. {product - take} + {take} = {product}. {product} / {outer} = {inside}. "
        f"{inside} - {shift} = {inside - shift}. {inside - shift} / {inner} = {root}.",
    )


@math_template(steps=4)
def lessons(rng: Random) -> Draft:
    name, number, length, pause = rng.choice(NAMES), rng.randint(2, 6), rng.randint(20, 45), rng.randint(3, 15)
    taught, pauses = number * length, number - 1
    return Draft(
        f"{name} has {number} lessons of {length} minutes with a break of {pause} minutes between any two. "
        "How many minutes pass from the start to the end?",
        str(taught + pauses * pause),
        f"Lessons: {number} x {length} = {taught} minutes. Breaks: {number} - 1 = {pauses}, which take {pauses} x "
        f"{pause} = {pauses * pause} minutes. Altogether {taught} + {pauses * pause} = {taught + pauses * pause}.",
    )


@math_template(steps=4)
def frame(rng: Random) -> Draft:
    width, length, gap, price = rng.randint(2, 12), rng.randint(2, 15), rng.randint(1, 4), rng.randint(2, 5)
    half, whole = length + width, 2 * (length + width)
    rest = whole - gap
    return Draft(
        f"A garden of {length} by {width} metres gets a hedge all around, except for a door of {gap} metres. A metre "
        f"of hedge costs {price} dollars. How many dollars does the hedge cost?",
        str(rest * price),
        f"Two sides are {length} + {width} = {half}. All four are 2 x {half} = {whole}. The door leaves {whole} - "
        f"{gap} = {rest} metres. They cost {rest} x {price} = {rest * price}.",
    )


@math_template(steps=4)
def sale(rng: Random) -> Draft:
    name, thing, number, price, tens = (
        *(rng.choice(NAMES), rng.choice(THINGS)),
        *(rng.randint(2, 9), 10 * rng.randint(1, 4), rng.randint(2, 9)),
    )
    full = number * price
    tenth, off = full // 10, tens * full // 10
    return Draft(
        f"{name} orders {number} {thing} at {price} dollars each and gets {10 * tens}% off the total. "
        f"How many dollars does {name} pay?",
        str(full - off),
        f"The full price is {number} x {price} = {full}. 10% of it is {full} / 10 = {tenth}. {10 * tens}% is {tens} x "
        f"{tenth} = {off}. {name} pays {full} - {off} = {full - off}.",
    )


@math_template(steps=4, held_out=True)
def fourth_score(rng: Random) -> Draft:
    name, mean = rng.choice(NAMES), rng.randint(13, 25)
    a, b, c = (mean + rng.randint(-4, 4) for _ in range(3))
    goal = 4 * mean
    last = goal - a - b - c
    return Draft(
        f"{name} scored {a}, {b} and {c} points in three games. With the fourth game the average is {mean}. "
        "How many points did the fourth game bring?",
        str(last),
        f"Four games with average {mean} bring 4 x {mean} = {goal} points. The first two gave {a} + {b} = {a + b}, all "
        f"three {a + b} + {c} = {a + b + c}. The fourth brought {goal} - {a + b + c} = {last}.",
    )


@math_template(steps=4, held_out=True)
def pooled(rng: Random) -> Draft:
    thing, friends, each, packs = rng.choice(THINGS), rng.randint(2, 8), rng.randint(3, 15), rng.randint(2, 6)
    size = rng.choice([n for n in range(2, 17) if packs * n % friends == 0])
    own, bought = friends * each, packs * size
    total = own + bought
    return Draft(
        f"{friends} friends have {each} {thing} each. They buy {packs} packs of {size} more and share everything "
        f"fairly. How many {thing} does each friend have then?",
        str(total // friends),
        f"At first they have {friends} x {each} = {own}. The packs hold {packs} x {size} = {bought}. Together this is "
        f"{own} + {bought} = {total}. Each friend has {total} / {friends} = {total // friends}.",
    )


TEMPLATES: tuple[Template, ...] = (
    *(fence, fraction_left, two_kinds, discount, relations, bus, saving, bags_sold),
    *(shopping, reading, brackets, lessons, frame, sale, fourth_score, pooled),
)
