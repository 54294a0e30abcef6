"""Multiple choice: how options are shown, and which one an answer picks.

An answer may give the letter, the option's text, or both where they agree. Naming two options picks none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from thinkaloud.domains.text import LEVELS, MAX_CHARS, loosest_level, normal, plain, without_lead_in

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_LABEL_FIRST = re.compile(r"^\s*[(\[]?([A-Za-z]|\d{1,2})(?:[)\]][.:]?|[.:]|\s+[-–—])\s+(?=\S)")
_LABEL_ONLY = re.compile(r"^[(\[]?([A-Za-z]|\d{1,2})[)\]]?[.:]?$")
_LABEL_NAMED = re.compile(
    r"^(?:option|choice|answer|letter)\s*:?\s*[(\[]?([A-Za-z]|\d{1,2})[)\]]?[.:]?$", re.IGNORECASE
)
_LETTER_INSIDE = re.compile(
    r"[(\[]([A-Z])[)\]]"  # (B)
    r"|\b(?:option|choice|answer|letter)\s+(?:is\s+)?[(\[]?([A-Z])\b(?!\s+[a-z])"  # option A; not "answer is A dog"
    r"|(?<![\w'’-])([B-HJ-Z])(?![\w'’-])"  # a letter alone, unless it is the word A or I
    r"|(?<![\w'’-])([AI])(?=\s*(?:$|[.,;:/&)]|\b(?:or|and)\b))"  # A or I where no word can follow it
    r"|\b(?:or|and)\s+([AI])(?![\w'’-]|\s+[a-z])"
)
_NEGATION = re.compile(r"\b(?:not|never|neither|nor|cannot|except)\b|n['’]t\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pick:
    """Which option an answer picks: `index`, or None and the reason why not; `named` counts the options it names."""

    index: int | None
    named: int
    why: str


def with_options(stem: str, choices: Sequence[str]) -> str:
    """A question that shows its options: the stem, a blank line, one line `A) text` an option.

    Raises:
        ValueError: more options than letters.
    """
    if len(choices) > len(LETTERS):
        raise ValueError(f"expected at most {len(LETTERS)} options, found {len(choices)}")
    return "\n".join([stem, "", *(f"{LETTERS[i]}) {' '.join(text.split())}" for i, text in enumerate(choices))])


def resolve_gold(gold: str, choices: Sequence[str]) -> int | None:
    """The index of the right option: by text, else by letter (`B`), else by digit label (`2`, from 1); else None."""
    for level in LEVELS:
        matches = [i for i, text in enumerate(choices) if normal(text, level) == normal(gold, level)]
        if matches:
            return matches[0]
    label = _LABEL_ONLY.match(plain(gold))
    return _index(label[1], choices, digits=True) if label else None


def resolve_answer(answer: str, choices: Sequence[str]) -> Pick:
    """Which option `answer` picks.

    Args:
        answer: the text between the answer tags.
        choices: the options' texts, in the order shown.

    Returns:
        The pick. Read in this order: a label and a text, which must agree; an option's text alone; a label alone (`B`,
        `(b)`, `Option B`); else a sentence that names one option by letter or by text, without a negation.
    """
    if len(answer) > MAX_CHARS:
        return Pick(None, 0, "the answer is too long to name one option")
    level = loosest_level(choices)
    known = [normal(text, level) for text in choices]
    digits = not any(plain(text).isdigit() for text in choices)
    for text in (plain(answer), without_lead_in(answer)):
        label = _LABEL_FIRST.match(text)
        if label and normal(text[label.end() :], level) in known:
            same = known.index(normal(text[label.end() :], level))
            labelled = _index(label[1], choices, digits)
            if labelled is not None and known[labelled] != known[same]:
                return Pick(None, 2, f"letter {LETTERS[labelled]} and the text of {LETTERS[same]} disagree")
            return Pick(same, 1, f"option {LETTERS[same]} by letter and text")
        if normal(text, level) in known:  # before lone labels: a text may be a letter, such as a chemical symbol
            same = known.index(normal(text, level))
            return Pick(same, 1, f"option {LETTERS[same]} by its text")
        label = _LABEL_ONLY.match(text) or _LABEL_NAMED.match(text)
        if label and (index := _index(label[1], choices, digits)) is not None:
            return Pick(index, 1, f"option {LETTERS[index]}")
    return _named_in(answer, choices, level)


def _named_in(answer: str, choices: Sequence[str], level: str) -> Pick:
    """The one option that a sentence names."""
    stems = "stems" if level == "stems" else "words"
    said = normal(answer, stems)
    spans: list[tuple[int, int, int]] = []
    for index, text in enumerate(choices):
        wanted = normal(text, stems)
        width = len(wanted)
        spans += [
            (start, start + width, index)
            for start in range(len(said) - width + 1)
            if width and said[start : start + width] == wanted
        ]
    # an option inside a longer option that is named ("cell" in "plant cell") is not named itself
    outer = [
        (start, end, index)
        for start, end, index in spans
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in spans)
    ]
    by_text = {index for _, _, index in outer}
    rest = plain(answer)
    for index in by_text:
        rest = re.sub(re.escape(plain(choices[index])), " ", rest, flags=re.IGNORECASE)
    label = _LABEL_FIRST.match(rest)
    letters = [next(filter(None, groups)) for groups in _LETTER_INSIDE.findall(rest)] + ([label[1]] if label else [])
    by_letter = {i for letter in letters if (i := _index(letter, choices, digits=False)) is not None}
    named = by_text | by_letter
    if len(named) > 1:
        return Pick(None, len(named), "names " + " and ".join(LETTERS[i] for i in sorted(named)))
    if not named:
        return Pick(None, 0, "names none of the options")
    if _NEGATION.search(rest):
        return Pick(None, 1, "negates the option that it names")
    (only,) = named
    return Pick(only, 1, f"option {LETTERS[only]}")


def _index(label: str, choices: Sequence[str], digits: bool) -> int | None:
    if label.isdigit():
        index = int(label) - 1 if digits else -1
    else:
        index = LETTERS.find(label.upper())
    return index if 0 <= index < len(choices) else None
