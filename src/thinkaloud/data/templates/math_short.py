"""Math templates of one and two steps."""

from __future__ import annotations

from random import Random

from thinkaloud.data.templates.record import NAMES, THINGS, Draft, Template, math_template


@math_template(steps=1)
def gain(rng: Random) -> Draft:
    name, thing, had, got = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 70), rng.randint(2, 40)
    return Draft(
        f"{name} owns {had} {thing} and is given {got} more. How many {thing} does {name} own now?",
        str(had + got),
        f"Being given more means that we add. {had} + {got} = {had + got}.",
    )


@math_template(steps=1)
def loss(rng: Random) -> Draft:
    name, thing, lost, kept = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 40), rng.randint(1, 60)
    had = lost + kept
    return Draft(
        f"{name} had {had} {thing} but gave {lost} of them away. How many {thing} did {name} keep?",
        str(kept),
        f"Giving away makes the number smaller, so we subtract: {had} - {lost} = {kept}.",
    )


@math_template(steps=1)
def groups(rng: Random) -> Draft:
    thing, each = rng.choice(THINGS), rng.randint(2, 25)
    bags = rng.randint(2, min(12, 150 // each))
    return Draft(
        f"There are {bags} bags on a table with {each} {thing} in each bag. How many {thing} are there in total?",
        str(bags * each),
        f"There are {bags} equal bags of {each}. We multiply, and {bags} x {each} = {bags * each}.",
    )


@math_template(steps=1)
def sharing(rng: Random) -> Draft:
    name, thing, each = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 25)
    friends = rng.randint(2, min(12, 150 // each))
    return Draft(
        f"{name} hands out {friends * each} {thing} fairly to {friends} friends. "
        f"How many {thing} does each friend receive?",
        str(each),
        f"A fair share means that we divide: {friends * each} / {friends} = {each}.",
    )


@math_template(steps=1)
def distance(rng: Random) -> Draft:
    name, speed = rng.choice(NAMES), rng.randint(3, 30)
    hours = rng.randint(2, min(12, 160 // speed))
    return Draft(
        f"{name} moves at a steady {speed} km per hour. How many km are covered in {hours} hours?",
        str(speed * hours),
        f"Each hour brings {speed} km, so {hours} hours bring {hours} x {speed} = {speed * hours} km.",
    )


@math_template(steps=1)
def missing(rng: Random) -> Draft:
    name, thing, has, needs = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 60), rng.randint(2, 40)
    goal = has + needs
    return Draft(
        f"{name} wants to collect {goal} {thing} and has {has} so far. How many {thing} are still missing?",
        str(needs),
        f"What is missing is the goal minus what is there. That is {goal} - {has} = {needs}.",
    )


@math_template(steps=1, held_out=True)
def difference(rng: Random) -> Draft:
    (one, other), thing = rng.sample(NAMES, 2), rng.choice(THINGS)
    fewer, gap = rng.randint(2, 60), rng.randint(2, 40)
    more = fewer + gap
    return Draft(
        f"{one} found {more} {thing}, and {other} found {fewer}. How many more {thing} did {one} find?",
        str(gap),
        f"We compare the two numbers by subtracting: {more} - {fewer} = {gap}.",
    )


@math_template(steps=1, held_out=True)
def boxes(rng: Random) -> Draft:
    thing, number = rng.choice(THINGS), rng.randint(2, 25)
    size = rng.randint(2, min(12, 150 // number))
    return Draft(
        f"A machine puts {size} {thing} into each box. How many boxes does it fill with {size * number} {thing}?",
        str(number),
        f"We count how often {size} fits into {size * number}. {size * number} / {size} = {number}.",
    )


@math_template(steps=2)
def change(rng: Random) -> Draft:
    name, thing, number, price = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 9), rng.randint(2, 12)
    cost = number * price
    note = rng.choice([n for n in (20, 50, 100, 200) if n > cost][:2])
    return Draft(
        f"{name} buys {number} {thing} at {price} dollars each and pays with {note} dollars. "
        "How many dollars of change are due?",
        str(note - cost),
        f"Together the {thing} cost {number} x {price} = {cost} dollars. The change is {note} - {cost} = "
        f"{note - cost} dollars.",
    )


@math_template(steps=2)
def equation(rng: Random) -> Draft:
    letter, factor, shift, root = rng.choice("abkmn"), rng.randint(2, 9), rng.randint(1, 20), rng.randint(1, 15)
    scaled = factor * root
    return Draft(
        f"Find {letter} if {factor}{letter} + {shift} = {scaled + shift}.",
        str(root),
        f"We undo the sum first: {scaled + shift} - {shift} = {scaled}, so {factor}{letter} = {scaled}. Then "
        f"{letter} = {scaled} / {factor} = {root}.",
    )


@math_template(steps=2)
def fraction_of(rng: Random) -> Draft:
    thing, bottom, unit = rng.choice(THINGS), rng.randint(3, 9), rng.randint(2, 16)
    top = rng.randint(2, bottom - 1)
    return Draft(
        f"A jar holds {bottom * unit} {thing}, and {top}/{bottom} of them are red. How many {thing} are red?",
        str(top * unit),
        f"One part of {bottom} is {bottom * unit} / {bottom} = {unit}. There are {top} red parts, and "
        f"{top} x {unit} = {top * unit}.",
    )


@math_template(steps=2)
def sequence(rng: Random) -> Draft:
    start, step = rng.randint(1, 50), rng.randint(2, 15)
    terms = [start + step * k for k in range(5)]
    return Draft(
        f"Which number continues the row {terms[0]}, {terms[1]}, {terms[2]}, {terms[3]}?",
        str(terms[4]),
        f"The row grows by {terms[1]} - {terms[0]} = {step} each time. The next number is {terms[3]} + {step} = "
        f"{terms[4]}.",
    )


@math_template(steps=2)
def minutes(rng: Random) -> Draft:
    name, hours, rest = rng.choice(NAMES), rng.randint(1, 6), rng.randint(1, 59)
    return Draft(
        f"{name} travels for {hours} h and {rest} min. How many minutes is that altogether?",
        str(60 * hours + rest),
        f"The full hours have {hours} x 60 = {60 * hours} minutes. With the rest we get {60 * hours} + {rest} = "
        f"{60 * hours + rest}.",
    )


@math_template(steps=2)
def percent(rng: Random) -> Draft:
    name, tens, tenth = rng.choice(NAMES), rng.randint(2, 9), rng.randint(1, 30)
    return Draft(
        f"{name} saves {10 * tens}% of {10 * tenth} dollars. How many dollars is that?",
        str(tens * tenth),
        f"10% is {10 * tenth} / 10 = {tenth}. {10 * tens}% is {tens} times as much: {tens} x {tenth} = {tens * tenth}.",
    )


@math_template(steps=2, held_out=True)
def average(rng: Random) -> Draft:
    name, mean, low, high = rng.choice(NAMES), rng.randint(5, 30), rng.randint(1, 4), rng.randint(1, 4)
    scores = [mean - low, mean + high, mean + low - high]
    rng.shuffle(scores)
    first, second, third = scores
    return Draft(
        f"{name} scored {first}, {second} and {third} points in three rounds. What was the average score?",
        str(mean),
        f"We add the scores: {first} + {second} + {third} = {sum(scores)}. There were 3 rounds, and "
        f"{sum(scores)} / 3 = {mean}.",
    )


@math_template(steps=2, held_out=True)
def daily(rng: Random) -> Draft:
    name, thing, each, days = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 12), rng.randint(2, 9)
    used, left = each * days, rng.randint(1, 40)
    return Draft(
        f"{name} has {used + left} {thing} and uses {each} of them every day. How many {thing} are left after {days} "
        "days?",
        str(left),
        f"In {days} days {name} uses {days} x {each} = {used} {thing}. What is left is {used + left} - {used} = "
        f"{left}.",
    )


TEMPLATES: tuple[Template, ...] = (
    *(gain, loss, groups, sharing, distance, missing, difference, boxes),
    *(change, equation, fraction_of, sequence, minutes, percent, average, daily),
)
