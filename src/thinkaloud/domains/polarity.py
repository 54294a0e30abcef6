"""Which polarity a text states: yes, no, or nothing plain. Read clause by clause.

A clause that consists of closed-class words ("the answer is no", "it isn't true", "it cannot") is a verdict. Other
clauses explain: "Yes, because there is no limit" says yes. Anything that is not plainly one or the other is `UNCLEAR`:
a hedge, a negation from afar ("it would be wrong to say yes"), a polarity word among words of other classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from thinkaloud.domains.wording import WORD


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


YES = _words("yes true yeah yep yup aye")
NO = _words("no false nope nah nay")
_PARTICLES = (YES | NO) - {"true", "false"}

_NEGATORS = _words("not never cannot isnt arent wasnt cant dont doesnt wouldnt wont")
_MODALS = _words("could should may might")
_AUXILIARIES = _MODALS | _words("is are was were be been am do does did can would will shall has have had must")
_PRONOUNS = _words("it they he she that this these those there you we i one all some any")
_DENIALS = _words("wrong incorrect untrue mistaken impossible")
_HEDGES = _words(
    "or either neither nor maybe perhaps possibly probably likely unlikely if unless whether doubt doubtful doubts"
    " unsure uncertain unclear hardly scarcely barely except without anything nothing nobody none versus vs guess"
    " almost partly partially sometimes sort kind unknown depends allegedly supposedly reportedly extent"
)
_REVERSALS = _words("opposite contrary reverse kidding joking")
_CONDITIONS = _words("if unless or maybe perhaps possibly probably likely allegedly supposedly reportedly")
"""At the head of an explanation they take its verdict back."""
_OPINIONS = _words("say saying think believe call said")
_FRAME = _words(
    "the a an my your our final correct right answer answers question statement claim case to of for in at here so then"
    " agree"
    " indeed really actually definitely certainly clearly absolutely surely quite very simply just also and but still"
    " yet course fact them its always usually often entirely fully completely necessarily only"
    " even anymore therefore thus hence too well ok okay conclusion"
)
_CLOSED = YES | NO | _NEGATORS | _AUXILIARIES | _PRONOUNS | _DENIALS | _HEDGES | _REVERSALS | _OPINIONS | _FRAME
_AFTER_PARTICLE = (
    (_PRONOUNS - _words("one all some any these those"))
    | (YES | NO | _HEDGES - {"doubt"})
    | _words("the a an not because and but its their his her in on at by for from to with under when where while only")
)
"""Words after which "no" is the answer. Before any other word it is a determiner ("no doubt", "no limit")."""
_REFUSED_NOUNS = _words("way chance idea")

_CLAUSE = re.compile(
    r"[.!;:,\n()\[\]—–…\"“”]+|\s-+\s|\b(?:because|since|as|so|therefore|thus|hence|although|though)\b|(\?)"
)
_NO_DOUBT = re.compile(r"\b(?:no|without(?: a| any)?) doubt\b")
_CONTRACTION = re.compile(r"'(?:s|re|d|ll|ve|m)$")
_UNREADABLE = re.compile(r"[❌✗✘🚫👎]|\b(?:yes|true|false)-\w|\w-(?:yes|true|false)\b")


@dataclass(frozen=True, slots=True)
class Polarity:
    """What a text states: `value`, or None and the reason `why`; `both` where it states yes and no."""

    value: bool | None
    why: str = ""
    both: bool = False


class _Unclear(Exception):
    """The polarity of a clause is not plain; the message quotes it."""


@dataclass(slots=True)
class _Found:
    """Polarities of the clauses: stated (`said`), implied by an elliptic clause such as "it cannot" (`implied`), or
    standing in an explanation (`mentioned`)."""

    said: set[bool]
    implied: set[bool]
    mentioned: set[bool]


def read_polarity(text: str) -> Polarity:
    """The polarity that a short text states; linear in the text.

    >>> [read_polarity(text).value for text in ("Yes.", "That is not true", "No doubt", "It is far from true")]
    [True, False, None, None]
    """
    plain = text.casefold().replace("’", "'")
    if _UNREADABLE.search(plain):
        return Polarity(None, "the polarity is not plain")
    found = _Found(set(), set(), set())
    try:
        for words, asked in _clauses(plain):
            _read_clause(words, asked, found)
        if len(found.said) == 1 and found.mentioned - found.said:
            raise _Unclear("the explanation states the other polarity")
        if not found.said and found.mentioned:
            raise _Unclear("true or false stands in a longer statement")
    except _Unclear as unclear:
        return Polarity(None, f"the polarity is not plain: {unclear}")
    if len(found.said) > 1 or (found.said and found.implied - found.said):
        return Polarity(None, "says both yes and no", both=True)
    if not found.said:
        return Polarity(None, "says neither yes nor no")
    return Polarity(found.said.pop())


def _clauses(text: str) -> list[tuple[list[str], bool]]:
    """The words of each clause, and whether a question mark ends it."""
    clauses = []
    start = 0
    for mark in _CLAUSE.finditer(text):
        clauses.append((_split(text[start : mark.start()]), mark[1] is not None))
        start = mark.end()
    clauses.append((_split(text[start:]), False))
    return [(words, asked) for words, asked in clauses if words]


def _split(clause: str) -> list[str]:
    return [_CONTRACTION.sub("", word) for word in WORD.findall(_NO_DOUBT.sub("indeed", clause))]


def _read_clause(words: list[str], asked: bool, found: _Found) -> None:
    start = 0
    while start < len(words) and words[start] in _PARTICLES and not _is_determiner(words, start):
        found.said.add(words[start] in YES)
        start += 1
    if asked and start:
        raise _Unclear("it is asked")
    words = words[start:]
    if not words:
        return
    if words[0] in _CONDITIONS or _REVERSALS & set(words) or (words[0] == "no" and words[1] in _REFUSED_NOUNS):
        raise _Unclear("a hedge stands beside it")
    polar = {w in YES for i, w in enumerate(words) if w in YES | NO and not _is_determiner(words, i)}
    if asked and polar:
        raise _Unclear("it is asked")
    if len(polar) > 1:
        found.said |= polar
        return
    if all(w in _CLOSED or _negates(w) for w in words) and not _is_determiner(words, 0):
        _read_verdict(words, polar, found)
        return
    if polar and any(w in _HEDGES or w in _DENIALS or _negates(w) for w in words):
        raise _Unclear("a hedge or a negation stands beside it")
    if polar and "that" in words and _states_that(words, found):
        return
    found.mentioned |= polar


def _read_verdict(words: list[str], polar: set[bool], found: _Found) -> None:
    """A clause of closed-class words."""
    if any(w in _HEDGES for w in words):
        raise _Unclear("a hedge stands beside it")
    others = _OPINIONS & set(words) and "i" not in words  # "some say yes"
    if polar and (others or words[0] in _AUXILIARIES or (_MODALS & set(words) and "i" not in words)):
        raise _Unclear("it is not stated as a fact")
    negators = [i for i, w in enumerate(words) if _negates(w)]
    denied = any(w in _DENIALS for w in words)
    if len(negators) > 1 or (polar and denied):
        raise _Unclear("it is denied")
    if not polar:
        if denied:
            found.implied.add(bool(negators))
        elif negators:
            found.implied.add(False)
        elif words[0] in _PRONOUNS and words[-1] in _AUXILIARIES:
            found.implied.add(True)
        return
    if not negators:
        found.said |= polar
        return
    after = words[negators[0] + 1 :]
    after = after[1:] if after and after[0] == "be" else after
    if len(after) != 1 or after[0] not in YES | NO or _OPINIONS & set(words):
        raise _Unclear("it is negated from afar")
    found.said.add(not polar.pop())


def _states_that(words: list[str], found: _Found) -> bool:
    """ "It is true that ...", with an affirmative statement after it."""
    at = words.index("that")
    head = words[:at]
    if head and head[-1] in ("true", "false") and all(w in _CLOSED for w in head) and "no" not in words[at:]:
        found.said.add(head[-1] == "true")
        return True
    return False


def _is_determiner(words: list[str], at: int) -> bool:
    """Whether a "no" belongs to the noun after it ("no doubt") and is no answer."""
    return words[at] == "no" and at + 1 < len(words) and words[at + 1] not in _AFTER_PARTICLE


def _negates(word: str) -> bool:
    return word in _NEGATORS or word.endswith("n't")
