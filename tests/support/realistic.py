"""Synthetic rows that look like the real sources': templates with numbers, short questions, articles."""

from __future__ import annotations

from random import Random

NAMES = (
    *("Ann", "Bo", "Cleo", "Dan", "Eve", "Fay", "Gus", "Hal", "Ida", "Jim", "Kay", "Leo", "Mia", "Ned", "Ola", "Pam"),
    *("Quin", "Ray", "Sue", "Tom", "Una", "Vic", "Will", "Xena", "Yan", "Zoe"),
)
THINGS = (
    *("apples", "books", "cards", "clips", "coins", "cups", "eggs", "flowers", "marbles", "pencils", "shells"),
    *("stamps", "stickers", "toys", "trees"),
)
PLACES = (
    *("market", "library", "school", "station", "harbour", "bakery", "museum", "garden", "workshop", "farm", "park"),
    *("office"),
)


def vocabulary(rng: Random, size: int) -> list[str]:
    """Invented content words, so that chance alone makes no two questions alike."""
    syllables = ["ba", "cor", "den", "fi", "gul", "hes", "jo", "kam", "lin", "mor", "nep", "ost", "pra", "qui", "ter"]
    words: dict[str, None] = {}
    while len(words) < size:
        words["".join(rng.choices(syllables, k=rng.randint(2, 3)))] = None
    return list(words)


def make_rows(count: int, seed: int) -> list[str]:
    """A mixed pool: a third templates, a third short questions, a third longer texts."""
    rng = Random(seed)
    words = vocabulary(rng, 3000)
    return [(_template, _question, _article)[index % 3](rng, words) for index in range(count)]


def _template(rng: Random, words: list[str]) -> str:
    name, other = rng.sample(NAMES, 2)
    a, b, c = (rng.randint(2, 900) for _ in range(3))
    thing, place = rng.choice(THINGS), rng.choice(PLACES)
    return (
        f"{name} bought {a} {thing} at the {place} and {other} bought {b} more than that. They gave {c} of them to the "
        f"{rng.choice(words)} club. How many {thing} do {name} and {other} have left altogether?"
    )


def _question(rng: Random, words: list[str]) -> str:
    a, b, c, d = rng.sample(words, 4)
    return rng.choice(
        [
            f"Which {a} is used by a {b} to produce the {c} in its {d}?",
            f"What do we call the {a} {b} that forms when a {c} meets {d}?",
            f"Could a {a} carry the {b} of a {c} through the {d}?",
            f"Write a function to find the {a} of a {b} from the given {c} {d}.",
        ]
    )


def _article(rng: Random, words: list[str]) -> str:
    return " ".join(
        f"The {rng.choice(words)} of {rng.choice(words)} said that its {rng.choice(words)} will {rng.choice(words)} "
        f"the {rng.choice(words)} in {rng.randint(1900, 2030)}."
        for _ in range(rng.randint(3, 9))
    )


def light_copy(text: str, rng: Random, words: list[str]) -> str:
    """A copy that differs in case, punctuation, or one word that is no number."""
    kind = rng.choice(["case", "punctuation", "word"])
    if kind == "case":
        return rng.choice([str.upper, str.lower, str.title])(text)
    if kind == "punctuation":
        return text.rstrip("?.!").replace(",", "").replace(" ", "  ") + rng.choice(["", " ...", "!", " ?"])
    parts = text.split()
    places = [place for place, part in enumerate(parts) if not any(c.isdigit() for c in part)]
    parts[rng.choice(places)] = rng.choice(words)
    return " ".join(parts)
