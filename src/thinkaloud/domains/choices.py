"""Multiple choice: how options are shown, and which one an answer picks.

An answer may give the letter, the option's text, or both where they agree. Naming two options picks none, and neither
does naming one in order to reject it ("rule out A", "everything but iron").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from thinkaloud.domains.base import Domain
from thinkaloud.domains.markup import disguise, unwrapped
from thinkaloud.domains.short_text import LEVELS, loosest_level, normal, tokens
from thinkaloud.domains.text import MAX_CHARS, plain, singular, without_lead_in

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OPTION = "□"
"""Stands for an option's text where it was found in an answer."""

_SHOWN = re.compile(r"^[ \t]*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])[).:])[ \t]+(\S.*)$", re.MULTILINE)
_LABEL_FIRST = re.compile(r"^\s*[(\[]?([A-Za-z]|\d{1,2})(?:\s*[)\]][.:]?|[.:]|\s+[-–—])\s+(?=\S)")
_LABEL_ONLY = re.compile(r"^[(\[]?\s*([A-Za-z]|\d{1,2})\s*[)\]]?[.:]?$")
_LABEL_NAMED = re.compile(
    r"^(?:option|choice|answer|letter)\s*:?\s*[(\[]?\s*([A-Za-z]|\d{1,2})\s*[)\]]?[.:]?$", re.IGNORECASE
)
_LETTER_LIST = re.compile(r"[a-z](?:\s*(?:,|/|&|\bor\b|\band\b)\s*[a-z]\b)+")
_LETTER_END = (
    r"(?=\s*(?:$|[][.,;:/&)=!?(]|-(?!\w)|(?<=\s)[A-Z](?!\w)|(?:or|and|but|not|because|since|as|due|is|was|with)\b))"
)
_LETTER_INSIDE = re.compile(
    r"(?<!\w)[(\[]\s*([A-Za-z])\s*[)\]]"  # (B)
    r"|\b(?i:option|choice|letter)s?\s*:?\s*[\"'(\[]?([A-Za-z])(?![\w'’-])"  # option b
    r"|\b(?i:option|choice|answer|letter)\s*(?:(?i:is|was|would\s+be)\s*)?[:=]?\s*[\"'(\[]?([B-HJ-Zb-hj-z])(?![\w'’-])"
    r"|\b(?i:option|choice|answer|letter)\s*(?:(?i:is|was|would\s+be)\s*)?[:=]?\s*[\"'(\[]?([AaIi])" + _LETTER_END + r""
    r"|(?<![\w'’-])([B-HJ-Z])(?![\w'’-])"  # a letter alone, unless it is the word A or I
    r"|(?<![\w'’-])([AI])" + _LETTER_END  # A or I where it can be no word
)
_NUMBER_INSIDE = re.compile(r"\b(?:option|choice)\s+(\d{1,2})\b", re.IGNORECASE)
_ORDINALS = {word: index for index, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"))}
_ORDINAL_INSIDE = re.compile(rf"\b({'|'.join(_ORDINALS)}|last)\s+(?:option|choice|answer|one)\b", re.IGNORECASE)
_OTHERS_REJECTED = re.compile(
    r"\s*[,.;]\s*(?:(?i:but|and)\s+)?(?:(?i:it|this|that)\s*)?"
    r"(?i:is\s+not|['’]s\s+not|isn['’]t|not|can(?:['’]t|not)\s+be|couldn['’]t\s+be"
    r"|doesn['’]t\s+make\s+sense\s+for\s+it\s+to\s+be)"
    r"\s+(?i:(?:option|choice)\s+)?[(]?[A-Z][)]?(?:(?:,\s*[(]?[A-Z][)]?)*,?\s*(?:or|nor)\s+[(]?[A-Z][)]?)?$"
)
_SURE = re.compile(r"^(?:for sure|certainly|definitely|clearly|surely)\s+", re.IGNORECASE)
_REJECTION = re.compile(
    r"\b(?:not|never|neither|nor|no|non|none|nothing|nobody|cannot|can['’]?t|\w+n['’]t|isnt|arent|wasnt|doesnt|dont|wont"
    r"|except|exclud\w+|without|wrong|incorrect|false|untrue|mistaken|rul(?:e[sd]?|ing)\s+out|eliminat\w+|reject\w*"
    r"|discard\w*|dismiss\w*|avoid\w*|den(?:y|ies|ied)|other\s+than|rather\s+than|instead|but|far\s+from|opposite|contrary"
    r"|doubt\w*|impossible|unlike(?:ly)?|against|minus|anything|everything|all\s+of|all\s+the|both"
    r"|or|either|maybe|perhaps|possibly|probably|might|unsure|unless|versus|vs)\b|^!|[≠¬❌✗✘🚫]"
    rf"|[/^*<>~≈±]\s*{OPTION}|[-+]{OPTION}|{OPTION}\s*[/^*%<>]",  # a part of an expression
    re.IGNORECASE,
)


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


def options_shown(question: str) -> list[str]:
    """The options that a question shows, on lines that begin with `A)`, `B.`, `(c)` or `D:`; its last list of them."""
    texts: list[str] = []
    for bracketed, bare, text in _SHOWN.findall(question):
        letter = (bracketed or bare).upper()
        if letter == "A":
            texts = []
        if letter == LETTERS[len(texts) % len(LETTERS)]:
            texts.append(text.strip())
    return texts


def options_of(domain: Domain | None, question: str, answer: str, given: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The options of a task: those that are given, else those that the question shows.

    They are read from the question where they are two or more, the gold answer is one of them, and the domain (None:
    unknown) scores by options.
    """
    if given or domain is None or not domain.uses_choices:
        return given
    options = options_shown(question)
    return tuple(options) if len(options) > 1 and resolve_gold(answer, options) is not None else ()


def resolve_gold(gold: str, choices: Sequence[str]) -> int | None:
    """The index of the right option: by text, else by letter (`B`), else by digit label (`2`, from 1); else None."""
    for level in LEVELS:
        wanted = normal(gold, level)
        matches = [i for i, text in enumerate(choices) if normal(text, level) == wanted]
        if matches and wanted:
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
        `(b)`, `Option B`); else a sentence that names one option by letter or by text, and rejects nothing.
    """
    if len(answer) > MAX_CHARS:
        return Pick(None, 0, "the answer is too long to name one option")
    if reason := disguise(answer, " ".join(choices)):
        return Pick(None, 0, reason)
    flat = unwrapped(answer)
    level = loosest_level(choices)
    known = [normal(text, level) for text in choices]
    for text in (plain(flat), without_lead_in(flat)):
        labelled, rest = label_and_rest(text, choices) or (None, "")
        same = _by_text(rest, known, level)
        if labelled is not None and same is not None:
            if known[labelled] != known[same]:
                return Pick(None, 2, f"letter {LETTERS[labelled]} and the text of {LETTERS[same]} disagree")
            return Pick(same, 1, f"option {LETTERS[same]} by letter and text")
        same = _by_text(text, known, level)  # before lone labels: a text may be a letter, such as a chemical symbol
        if same is not None:
            return Pick(same, 1, f"option {LETTERS[same]} by its text")
        if (index := label_alone(text, choices)) is not None:
            return Pick(index, 1, f"option {LETTERS[index]}")
    return _picked_and_others_rejected(plain(flat), choices) or _named_in(flat, choices, level)


def _picked_and_others_rejected(text: str, choices: Sequence[str]) -> Pick | None:
    """`B, not A`, `The answer is B. It can't be A or C.`: one option by its letter, others only to reject them."""
    match = _OTHERS_REJECTED.search(text)
    if match is None:
        return None
    picked = without_lead_in(text[: match.start()])
    index = label_alone(_SURE.sub("", picked), choices)
    rejected = labels_inside(match[0], choices)
    if index is None or not rejected or index in rejected:
        return None
    return Pick(index, 1, f"option {LETTERS[index]}, others rejected")


def _by_text(text: str, known: list[tuple[str, ...]], level: str) -> int | None:
    form = normal(text, level)
    return known.index(form) if any(form) and form in known else None


def label_alone(text: str, choices: Sequence[str]) -> int | None:
    """The option that a text names by its label and nothing else (`B`, `(b)`, `Option B`, `2`)."""
    label = _LABEL_ONLY.match(text) or _LABEL_NAMED.match(text)
    return _index(label[1], choices, _counts_by_digits(choices)) if label else None


def label_and_rest(text: str, choices: Sequence[str]) -> tuple[int, str] | None:
    """The option that a text names by the label that it begins with (`B) ...`), and the text after the label."""
    label = _LABEL_FIRST.match(text)
    index = _index(label[1], choices, _counts_by_digits(choices)) if label else None
    return None if label is None or index is None else (index, text[label.end() :])


def labels_inside(text: str, choices: Sequence[str]) -> set[int]:
    """The options that a sentence names by letter, by number or by place ("the second option")."""
    found = [next(filter(None, groups)) for groups in _LETTER_INSIDE.findall(text)]
    if label := _LABEL_FIRST.match(text):
        found.append(label[1])
    if _LETTER_LIST.fullmatch(text):
        found += re.findall(r"\b[a-z]\b", text)
    indices = {_index(letter, choices, digits=False) for letter in found}
    if _counts_by_digits(choices):
        indices |= {_index(number, choices, digits=True) for number in _NUMBER_INSIDE.findall(text)}
    for word in _ORDINAL_INSIDE.findall(text):
        indices.add(_ORDINALS.get(word.casefold(), len(choices) - 1))
    return {index for index in indices if index is not None and index < len(choices)}


def _named_in(flat: str, choices: Sequence[str], level: str) -> Pick:
    """The one option that a sentence names."""
    text = plain(flat)
    by_text, rest = _texts_inside(text, choices, stems=level == "stems")
    named = by_text | labels_inside(rest, choices)
    if len(named) > 1:
        return Pick(None, len(named), "names " + " and ".join(LETTERS[i] for i in sorted(named)))
    if not named:
        return Pick(None, 0, "names none of the options")
    if rejection := _REJECTION.search(rest):
        return Pick(None, 1, f"not plain whether it picks or rejects the option that it names ({rejection[0]!r})")
    (only,) = named
    return Pick(only, 1, f"option {LETTERS[only]}")


def _texts_inside(text: str, choices: Sequence[str], stems: bool) -> tuple[set[int], str]:
    """The options whose text stands in `text`, and `text` with `OPTION` in their place.

    An option inside a longer option that is named ("cell" in "plant cell") is not named itself.
    """
    options: dict[tuple[str, ...], list[int]] = {}
    for index, choice in enumerate(choices):
        options.setdefault(normal(choice, "stems" if stems else "words"), []).append(index)
    widths = sorted({len(option) for option in options if option}, reverse=True)
    said = tokens(text)
    forms = [singular(token.word) if stems else token.word for token in said]
    named: set[int] = set()
    pieces: list[str] = []
    reach = cut = 0  # tokens up to `reach` belong to an option, and characters up to `cut` are in `pieces`
    for start in range(len(forms)):
        left = len(forms) - start
        width = next((w for w in widths if w <= left and tuple(forms[start : start + w]) in options), 0)
        if start + width <= reach or not width:
            continue
        named.update(options[tuple(forms[start : start + width])])
        reach = start + width
        pieces += [text[cut : max(cut, said[start].start)], OPTION]
        cut = said[reach - 1].end
    return named, "".join([*pieces, text[cut:]])


def _counts_by_digits(choices: Sequence[str]) -> bool:
    """Whether `2` can mean the second option: not where an option is a number itself."""
    return not any(plain(text).isdigit() for text in choices)


def _index(label: str, choices: Sequence[str], digits: bool) -> int | None:
    if label.isdigit():
        index = int(label) - 1 if digits else -1
    else:
        index = LETTERS.find(label.upper())
    return index if 0 <= index < len(choices) else None
