"""Words whose change makes a different task or answer, however similar the texts are: numbers, negations, opposites."""

from __future__ import annotations

from collections.abc import Collection

from thinkaloud.domains.word_classes import FUNCTION_WORDS


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBER_WORDS = _set(
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen "
    "half twice thrice double triple quadruple quarter quarters thirds fourth fifth sixth"
)
NEGATIONS = _set(
    "not no non anti never none nor neither without except cannot false isn't aren't wasn't weren't don't doesn't "
    "didn't won't wouldn't can't couldn't shouldn't hasn't haven't hadn't mustn't needn't"
)
_CONTRASTS = (
    "more less fewer",
    "most least fewest",
    "maximum minimum",
    "max min",
    "maximal minimal",
    "highest lowest",
    "higher lower",
    "high low",
    "largest smallest",
    "larger smaller",
    "large small",
    "biggest smallest",
    "bigger smaller",
    "big small little",
    "greatest least smallest",
    "greater less smaller",
    "longest shortest",
    "longer shorter",
    "long short",
    "best worst",
    "better worse",
    "good bad",
    "faster slower",
    "fastest slowest",
    "fast slow",
    "older younger",
    "oldest youngest",
    "old young new",
    "taller shorter",
    "heavier lighter",
    "hotter colder cooler warmer",
    "hot cold cool warm",
    "before after during",
    "above below",
    "over under",
    "inside outside",
    "left right",
    "up down",
    "top bottom",
    "front back",
    "first second third last final",
    "next previous",
    "odd even prime",
    "positive negative",
    "increase decrease",
    "increases decreases",
    "increased decreased",
    "increasing decreasing",
    "ascending descending",
    "add subtract multiply divide",
    "added subtracted multiplied divided removed",
    "sum difference product quotient ratio",
    "rows columns",
    "row column",
    "all any some every each none",
    "always sometimes",
    "same different",
    "true false",
    "yes no",
    "with without",
    "gain lose",
    "gains loses",
    "buy sell",
    "bought sold",
    "uppercase lowercase",
    "upper lower",
    "female male",
    "north south east west",
    "summer winter spring autumn fall",
    "monday tuesday wednesday thursday friday saturday sunday",
    "january february march april may june july august september october november december",
    "solid liquid gas",
    "acid base",
    "inner outer",
    "input output",
    "advantage disadvantage",
    "advantages disadvantages",
    "pros cons",
    "rise fall",
    "rises falls",
    "rose fell",
    "rising falling",
    "absorb release emit reflect",
    "absorbs releases emits reflects",
    "attract repel",
    "attracts repels",
    "expand contract shrink",
    "expands contracts shrinks",
    "win lose",
    "wins loses",
    "won lost",
    "strong weak",
    "stronger weaker",
    "begin end",
    "early late",
    "earlier later",
    "alive dead",
    "open closed",
    "allow forbid",
    "allows forbids",
    "allowed forbidden prohibited",
    "northern southern eastern western",
)
"""Groups of words that exclude each other, one group per line."""

_GROUPS: dict[str, set[int]] = {}
for _number, _line in enumerate(_CONTRASTS):
    for _one in _line.split():
        _GROUPS.setdefault(_one, set()).add(_number)

_MEMBERS = [line.split() for line in _CONTRASTS]

_ENDINGS = frozenset(("", "s", "es", "e", "y", "ies", "d", "ed", "ied", "ing", "ly", "al"))
_LIGHT = FUNCTION_WORDS | _set(
    "called name named term terms word kind kinds type types sort known defined considered given said referred used "
    "using use find count write give get gets become becomes mainly generally usually commonly often typically"
)
"""Words that can be added, removed or exchanged without changing a short question."""

_PREFIXES = ("un", "non", "in", "im", "il", "ir", "dis", "anti", "a", "endo", "exo", "hyper", "hypo")


def changes_the_task(removed: Collection[str], added: Collection[str]) -> bool:
    """Whether two texts that differ in these words are different tasks.

    >>> changes_the_task(["largest"], ["smallest"]), changes_the_task(["shop"], ["store"])
    (True, False)
    """
    differing = [*removed, *added]
    if any(is_number(word) or word in _NUMBER_WORDS or word in NEGATIONS for word in differing):
        return True
    if set(removed) & set(added):  # the words were swapped
        return True
    return any(are_opposite(one, other) for one in removed for other in added)


def is_light(removed: Collection[str], added: Collection[str]) -> bool:
    """Whether the texts differ only in function words or in word endings.

    >>> is_light(["what"], ["which"]), is_light(["vessel"], ["vessels"]), is_light(["virus"], ["animal"])
    (True, True, False)
    """
    light = _LIGHT.issuperset(removed), _LIGHT.issuperset(added)
    if all(light) or (removed and added and any(light)):
        return True
    return len(removed) == len(added) and all(map(_same_stem, removed, added))


def is_number(word: str) -> bool:
    """Whether a word (of `words_of`) is a number or an operator."""
    return not word[0].isalpha()


def are_opposite(one: str, other: str) -> bool:
    """Whether two words exclude each other ("inner", "outer"), or one negates the other by a prefix ("unstable")."""
    return bool(opposites_in(one, frozenset((other,))))


def opposites_in(word: str, others: frozenset[str]) -> set[str]:
    """Those of `others` that exclude a word, as `are_opposite` tells; its time does not grow with `others`."""
    found = {other for number in _GROUPS.get(word, ()) for other in _MEMBERS[number] if other in others}
    if len(word) > 3:
        found.update(others.intersection([prefix + word for prefix in _PREFIXES]))
        if word.startswith(_PREFIXES):
            bases = [word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix)]
            found.update(base for base in bases if len(base) > 3 and base in others)
    return found


def _same_stem(one: str, other: str) -> bool:
    """Whether two words are forms of one: after what they share, each has an ending ("city", "cities"; "stop",
    "stopped"), not just another letter ("Iran", "Iraq"; "Niger", "Nigeria")."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    if shared < 3 or min(len(one), len(other)) < 4:
        return False
    doubled = one[shared - 1]  # the consonant of "stopped"
    return all(end in _ENDINGS or end.removeprefix(doubled) in _ENDINGS for end in (one[shared:], other[shared:]))
