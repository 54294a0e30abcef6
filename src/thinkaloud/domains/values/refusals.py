"""Words by which an answer hedges, denies, bounds or leaves something to compute: nothing is paid for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from thinkaloud.domains.values.lexer import Token
from thinkaloud.domains.values.vocabulary import phrase_set, word_set

_DENIALS = word_set(
    "not never neither nor no none cannot cant dont doesnt isnt wont without except excluding but besides instead "
    "unlike wrong incorrect false untrue incorrectly wrongly mistaken mistake error erroneous invalid impossible "
    "inaccurate fake bogus rejected reject rejects ruled disproved disproven contrary opposite unless fails failed "
    "avoid denied excluded ruling unequal differs refuse disagree doubt doubtful nonsense nope nah unsolvable lie lies "
    "misleading unrelated other another isn aren wasn doesn didn"
)
_HEDGES = word_set(
    "either maybe perhaps possibly probably presumably likely unlikely sometimes somewhat approximately approx roughly "
    "about around circa ca nearly almost virtually practically hardly barely scarcely might may could guess guessing "
    "guessed suppose estimate estimated estimates unsure uncertain unclear unknown possible plausible alternatively "
    "otherwise versus vs between ish say depends depending range ranges ranging some any anything something give if "
    "assuming hopefully seemingly apparently supposedly allegedly conceivably close closer near nearest"
)
_BOUNDS = word_set(
    "over above under below beyond exceeds exceed exceeding exceeded surpasses surpass surpassing greater less fewer "
    "larger smaller bigger higher lower most least maximum minimum max min upwards upper bound bounded beneath within "
    "underneath"
)
_LIMITS = word_set("maximum minimum max tops least most upwards over above upward")
_SIGNED = word_set("$ € £ - ( { a the")
_FILLING = _SIGNED | word_set("of number value is")
_PHRASES = phrase_set(
    "a different|all but|and above|and over|and up|apart from|as few|as if|as many|as much|aside from|at least|"
    "at most|far from|fewer than|greater than|heavier than|in excess|is different|is off|just over|just under|"
    "less than|longer than|more than|next to|north of|number after|number before|off by|older than|one after|"
    "one before|or equal|or less|or more|or so|order of|other than|out of|rather than|short of|shorter than|shy of|"
    "south of|taller than|too big|too few|too high|too large|too low|too many|too much|too small|up to|"
    "younger than|upwards of"
)
_MULTIPLES = word_set("twice thrice double doubled triple tripled quadruple half halve halved halving")
_OPERATIONS = word_set(
    "root square cube cubed factorial sum product difference quotient remainder multiple multiples factor power log "
    "logarithm reciprocal inverse negation negative third quarter fourth fifth sixth tenth thirds quarters fourths "
    "fifths percent percentage fraction part half halves hundredth hundredths tenths dozen % double"
)
_AFTER = word_set("squared cubed factorial minus plus divided multiplied modulo mod choose halved doubled tripled")
_SIGNS = frozenset({
    "~~", "<!--", "\\sim", "\\neg", "\\not", "\\cancel", "\\sout", "\\xcancel", "\\bcancel", "\\st", "\\approx", "~",
    "?", "...", "..", "\\ldots", "\\dots", "\\cdots", "≉", "¬", "✗", "❌",
})  # fmt: skip


def refusal(tokens: Sequence[Token], *, rounded: bool = False) -> str:
    """Why nothing is read from an answer, or the empty string.

    Args:
        rounded: the question asks for a rounded value, so that "about" and `≈` are no hedges.
    """
    words = [token.lower for token in tokens]
    for at, (token, word) in enumerate(zip(tokens, words, strict=True)):
        if token.kind == "word":
            if token.text == "May" or (token.text == "NO" and "{" in words[max(0, at - 1) : at]):
                continue  # a month, a segment in \\frac{NO}{AB}
            if word in _DENIALS or word.endswith("n't"):
                return f"the answer denies or excludes ({token.text})"
            if word in _HEDGES and not (rounded and word in _ROUNDING):
                return f"the answer hedges ({token.text})"
        elif token.text in _SIGNS and not (rounded and token.text in ("\\approx", "~")):
            return f"the answer hedges or strikes out ({token.text.strip()})"
    for first, second in pairwise(words):
        if (first, second) in _PHRASES:
            return f"a bound or a hedge, not a value ({first} {second})"
    return _bound(tokens, words) or _unevaluated(tokens, words)


_ROUNDING = word_set("approximately approx about around roughly nearest")


def _bound(tokens: Sequence[Token], words: Sequence[str]) -> str:
    """`over 14`, `above fourteen`: a bound directly before a number, or `14 at most`."""
    for at, word in enumerate(words):
        if word == "min" and at and tokens[at - 1].kind == "number":
            continue  # minutes
        if word in _BOUNDS and (_number_follows(tokens, at + 1, _SIGNED) or word.startswith(("exceed", "surpass"))):
            return f"a bound, not a value ({word})"
        if word == "c" and words[at + 1 : at + 2] == ["."] and _number_follows(tokens, at + 2, _SIGNED):
            return "the answer hedges (c.)"
        if word in _LIMITS and at and at == len(words) - 1:
            return f"a bound, not a value ({word})"
    return ""


def _number_follows(tokens: Sequence[Token], at: int, skipped: frozenset[str]) -> bool:
    """Whether a number stands at `at`, after tokens that may be skipped."""
    while at < len(tokens) and tokens[at].lower in skipped:
        at += 1
    if at + 1 < len(tokens) and len(tokens[at].text) == 1 and tokens[at + 1].text == "=":
        at += 2  # over x = 4
    return at < len(tokens) and (tokens[at].kind == "number" or tokens[at].text == "\\frac")


def _unevaluated(tokens: Sequence[Token], words: Sequence[str]) -> str:
    """`twice 14`, `a quarter of 14`, `14 squared`: something left to compute."""
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _MULTIPLES and word != "half" and _number_follows(tokens, at + 1, _FILLING):
            return f"left unevaluated ({word} …)"
        if word == "half" and following and tokens[at + 1].kind == "number":
            return "left unevaluated (half …)"
        if word in _OPERATIONS and following == "of" and _number_follows(tokens, at + 2, _FILLING):
            return f"left unevaluated ({word} of …)"
        if word in _AFTER and at and (tokens[at - 1].kind == "number" or words[at - 1] in (")", "}", "%")):
            return f"left unevaluated (… {word})"
        if word == "times" and (following in ("itself", "that", "as") or _number_follows(tokens, at + 1, _SIGNED)):
            return "left unevaluated (times …)"
    return ""
