"""Yes/no templates of one and two steps.

No word of a question tells its answer: wherever a form such as "older", "odd" or "none" could, its opposite is drawn as
often, and the answer decides how the rest is drawn.
"""

from __future__ import annotations

from random import Random

from thinkaloud.data.templates.record import NAMES, THINGS, Template, logic_template

KINDS = (
    *("blickets", "daxes", "feps", "gorps", "lums", "mivs", "pims", "rells", "tovas", "wugs", "yarks", "zups"),
    *("bemps", "fendles", "kraps", "noms"),
)
WORDS = (
    *("planet", "garden", "silver", "window", "bridge", "carpet", "orange", "kitten", "shadow", "pencil", "forest"),
    *("market", "winter", "candle", "rabbit", "island", "dragon", "mirror", "pillow", "hammer", "butter", "throne"),
    *("anchor", "basket", "circle", "donkey", "engine", "flower", "guitar", "jacket", "lemon", "needle", "rocket"),
)
LETTERS = "abcdefghijklmnoprstuvwxyz"
EVENTS = (
    *("the bell rings", "the light turns red", "the wind blows", "the kettle boils", "the moon is full"),
    *("the dog barks", "the gate closes", "the flag comes down", "the baby wakes up", "the robot stops"),
    *("the music starts", "the door opens", "the rain stops", "the train arrives", "the cat hides", "the alarm sounds"),
    *("the shop closes", "the lights go out", "the phone rings", "the pump starts"),
)


@logic_template(steps=1, by_numbers=True)
def older(rng: Random, truth: bool) -> tuple[str, str]:
    (one, other), asked = rng.sample(NAMES, 2), rng.choice(("older", "younger"))
    low = rng.randint(3, 60)
    high = low + rng.randint(1, 25)
    first, second = (high, low) if truth == (asked == "older") else (low, high)
    return (
        f"{one} is {first} years old, and {other} is {second}. Is {one} {asked} than {other}?",
        f"We compare the ages. {first} is {'more' if first > second else 'less'} than {second}, which makes {one} "
        f"{'older' if first > second else 'younger'}.",
    )


@logic_template(steps=1)
def listed(rng: Random, truth: bool) -> tuple[str, str]:
    picked, place = rng.sample(THINGS, 5), rng.choice(("drawer", "basket", "suitcase", "cupboard", "bucket"))
    asked = picked[rng.randrange(4)] if truth else picked[4]
    content = f"{picked[0]}, {picked[1]}, {picked[2]} and {picked[3]}"
    return (
        f"A {place} contains only {content}. Are there {asked} in the {place}?",
        f"In the {place} we find {content}. The {asked} {'are' if truth else 'are not'} among them.",
    )


@logic_template(steps=1)
def letter(rng: Random, truth: bool) -> tuple[str, str]:
    code = "".join(rng.sample(LETTERS, 6))
    asked = rng.choice(code if truth else [other for other in LETTERS if other not in code])
    found = f"{asked} is letter {code.index(asked) + 1}" if truth else f"{asked} is none of them"
    return (
        f"Does the code {code} contain the letter {asked}?",
        f"Spelled out, the code is {', '.join(code)}. Here {found}.",
    )


@logic_template(steps=1)
def rule(rng: Random, truth: bool) -> tuple[str, str]:
    cause, effect = rng.sample(EVENTS, 2)
    fact, asked = (cause, effect) if truth else (effect, cause)
    why = (
        f"The rule says what follows when {cause}, and this is the case."
        if truth
        else f"The rule leads from the first part to the second, not back. Something else may be why {effect}."
    )
    return (
        f"There is a rule without exceptions: whenever {cause}, {effect}. Right now {fact}. "
        f"Is it certain that {asked}?",
        why,
    )


@logic_template(steps=1)
def alphabet(rng: Random, truth: bool) -> tuple[str, str]:
    one, other = rng.sample(WORDS, 2)
    while one[0] == other[0]:
        one, other = rng.sample(WORDS, 2)
    first, second = sorted((one, other))
    asked = rng.choice(("before", "after"))
    left, right = (first, second) if truth == (asked == "before") else (second, first)
    return (
        f"Does the word {left} come {asked} the word {right} in a dictionary?",
        f"The first letters are {left[0]} and {right[0]}. In the alphabet {first[0]} stands before {second[0]}, so "
        f"{first} comes before {second}.",
    )


@logic_template(steps=1, held_out=True, by_numbers=True)
def last_digit(rng: Random, truth: bool) -> tuple[str, str]:
    of, tens, asked = rng.choice((2, 5, 10)), rng.randint(2, 99), rng.choice((True, False))
    digit = rng.choice([d for d in range(10) if (d % of == 0) == (truth == asked)])
    ends = {2: "an even digit", 5: "0 or 5", 10: "0"}[of]
    return (
        f"Is it {'true' if asked else 'false'} that {10 * tens + digit} is a multiple of {of}?",
        f"Multiples of {of} end in {ends}. The last digit of {10 * tens + digit} is {digit}, which "
        f"{'fits' if truth == asked else 'does not fit'}.",
    )


@logic_template(steps=2, by_numbers=True)
def parity(rng: Random, truth: bool) -> tuple[str, str]:
    asked = rng.choice(("even", "odd"))
    a, b = rng.randint(3, 70), 2 * rng.randint(1, 30)
    b += a % 2 if truth == (asked == "even") else 1 - a % 2
    total = a + b
    return (
        f"Is {a} + {b} an {asked} number?",
        f"{a} + {b} = {total}. The last digit of {total} is {total % 10}, so the sum is "
        f"{'odd' if total % 2 else 'even'}.",
    )


@logic_template(steps=2, by_numbers=True)
def divisible(rng: Random, truth: bool) -> tuple[str, str]:
    divisor, times = rng.randint(3, 12), rng.randint(2, 14)
    wanted = rng.choice((True, False))
    rest = 0 if truth == wanted else rng.randint(1, divisor - 1)
    number = divisor * times + rest
    question = f"Is {number} divisible by {divisor}?" if wanted else f"Does {number} / {divisor} leave a remainder?"
    return (
        question,
        f"The nearest multiple from below is {divisor} x {times} = {divisor * times}. The remainder is {number} - "
        f"{divisor * times} = {rest}.",
    )


@logic_template(steps=2, by_numbers=True)
def product(rng: Random, truth: bool) -> tuple[str, str]:
    a, b, gap = rng.randint(3, 12), rng.randint(3, 12), rng.randint(1, 9)
    asked = rng.choice(("greater", "less"))
    limit = a * b - gap if truth == (asked == "greater") else a * b + gap
    return (
        f"Is {a} times {b} {asked} than {limit}?",
        f"{a} x {b} = {a * b}. And {a * b} is {'greater' if a * b > limit else 'less'} than {limit}.",
    )


@logic_template(steps=2)
def classes(rng: Random, truth: bool) -> tuple[str, str]:
    low, middle, high = rng.sample(KINDS, 3)
    inside = rng.random() < 0.5
    asked = "every one" if truth == inside else "none"
    return (
        f"All {low} are {middle}. {'All' if inside else 'No'} {middle} are {high}. "
        f"Does it follow that {asked} of the {low} is among the {high}?",
        f"The {low} are {middle}, and the {middle} are {'all inside' if inside else 'all outside'} the {high}. Hence "
        f"{'every one' if inside else 'none'} of the {low} is among the {high}.",
    )


@logic_template(steps=2, held_out=True)
def denials(rng: Random, truth: bool) -> tuple[str, str]:
    name, thing, layers, has = rng.choice(NAMES), rng.choice(THINGS), rng.randint(1, 4), rng.random() < 0.5
    claim = "It is false that " + "it is false that " * (layers - 1)
    fact = has == (layers % 2 == 0)
    asked = "have" if truth == fact else "lack"
    return (
        f"{claim}{name} {'has' if has else 'lacks'} {thing}. Does {name} {asked} {thing}?",
        f"Each denial turns the meaning around. There are {layers}, so {name} in fact "
        f"{'has' if fact else 'lacks'} {thing}.",
    )


@logic_template(steps=2, held_out=True, by_numbers=True)
def between(rng: Random, truth: bool) -> tuple[str, str]:
    a, b = rng.randint(5, 60), rng.randint(5, 40)
    width, total = rng.randint(4, 12), a + b
    if truth:
        low = total - rng.randint(1, width - 1)
    else:
        low = rng.choice((total + rng.randint(1, 4), total - width - rng.randint(1, 4)))
    return (
        f"Does {a} + {b} lie between {low} and {low + width}?",
        f"{a} + {b} = {total}. "
        + (
            f"This is more than {low} and less than {low + width}."
            if truth
            else f"This is less than {low}."
            if total < low
            else f"This is more than {low + width}."
        ),
    )


TEMPLATES: tuple[Template, ...] = (
    *(older, listed, letter, rule, alphabet, last_digit),
    *(parity, divisible, product, classes, denials, between),
)
