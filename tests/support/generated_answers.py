"""The answers of generated tasks, recomputed from their questions by rules that share nothing with the templates."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

MATH_RULES: dict[str, Callable[..., int | Fraction]] = {
    r"is given .* more": lambda a, b: a + b,
    r"gave .* of them away": lambda a, b: a - b,
    r"bags on a table": lambda a, b: a * b,
    r"fairly to": lambda a, b: Fraction(a, b),
    r"steady": lambda a, b: a * b,
    r"still missing": lambda a, b: a - b,
    r"How many more": lambda a, b: a - b,
    r"into each box": lambda a, b: Fraction(b, a),
    r"change are due": lambda n, p, note: note - n * p,
    r"if \d+[a-z] \+": lambda a, b, c: Fraction(c - b, a),
    r"are red": lambda n, a, b: n * Fraction(a, b),
    r"continues the row": lambda a, b, c, d: d + (d - a) // 3,
    r"travels for": lambda h, m: 60 * h + m,
    r"saves \d+%": lambda p, n: Fraction(p * n, 100),
    r"the average score": lambda a, b, c: Fraction(a + b + c, 3),
    r"of them every day": lambda n, each, days: n - each * days,
    r"has a gate": lambda a, b, gate: a + a + b + b - gate,
    r"of a cake": lambda a, b, c, d: 1 - Fraction(a, b) - Fraction(c, d),
    r"dollars does this cost": lambda a, p, b, q: a * p + b * q,
    r"% cheaper": lambda n, p: n - Fraction(p * n, 100),
    r"times as many as": lambda a, k, more: a + a * k + more,
    r"A bus leaves": lambda n, on, off, later: n + on - off + later,
    r"A bike costs": lambda n, has, got, spent: Fraction(n - has, got - spent),
    r"fill bags of": lambda a, b, size, price: Fraction(a + b, size) * price,
    r"dollars come back": lambda a, p, b, q, note: note - a * p - b * q,
    r"pages on Monday": lambda a, k, less: a + 2 * k * a - less,
    r"if \d+\(": lambda a, b, c, d, e: Fraction(Fraction(e + d, a) - c, b),
    r"lessons of": lambda n, each, pause: n * each + (n - 1) * pause,
    r"gets a hedge": lambda a, b, gap, price: (2 * (a + b) - gap) * price,
    r"off the total": lambda n, p, k: n * p * Fraction(100 - k, 100),
    r"the fourth game bring": lambda a, b, c, mean: 4 * mean - a - b - c,
    r"share everything": lambda n, each, packs, size: each + Fraction(packs * size, n),
}
"""By words of the question: the answer from its numbers in order."""

WEEK = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
COMPASS = ["north", "east", "south", "west"]
UPWARDS = {
    "taller": 1,
    "older": 1,
    "faster": 1,
    "stronger": 1,
    "shorter": -1,
    "younger": -1,
    "slower": -1,
    "weaker": -1,
}


def _ranked(text: str) -> bool:
    """Whether the last comparison follows from the others, by repeated composition."""
    found = re.findall(r"(\w+) (?:is )?(\w+er) than (\w+)", text)
    pairs = [(a, b) if UPWARDS[word] > 0 else (b, a) for a, word, b in found]
    above, asked = set(pairs[:-1]), pairs[-1]
    for _ in range(3):
        above |= {(a, d) for a, b in above for c, d in above if b == c}
    assert (asked in above) != (asked[::-1] in above)
    return asked in above


def _weekday(now: str, then: str, days: str, way: str) -> bool:
    return WEEK[(WEEK.index(now) + (-1 if way == "ago" else 1) * int(days)) % 7] == then


def _entry(least: str, word: str, age: str, ticket: str, asked: str) -> bool:
    holds = [int(age) >= int(least), ticket == "a"]
    return (all(holds) if word == "and" else any(holds)) == (asked == "May")


def _clock(hour: str, minute: str, length: str, asked: str, hours: str, minutes: str) -> bool:
    end = int(hour) * 60 + int(minute) + int(length)
    return (int(hours) * 60 + int(minutes) > end) == (asked == "over")


def _lamp(start: str, a: str, b: str, c: str, asked: str) -> bool:
    return ((int(a) + int(b) + int(c)) % 2 == 1) == (start != asked)


def _turns(start: str, turns: str, asked: str) -> bool:
    quarters = sum({"right": 1, "around": 2, "left": -1}[turn] for turn in turns.split(", then "))
    return COMPASS[(COMPASS.index(start) + quarters) % 4] == asked


def _cups(place: str, swaps: str, asked: str) -> bool:
    cups = {place}
    for one, other in re.findall(r"(\d) and (\d)", swaps):
        cups = {other} if cups == {one} else {one} if cups == {other} else cups
    return cups == {asked}


def _rule(cause: str, effect: str, fact: str, asked: str) -> bool:
    return (fact, asked) == (cause, effect)


def _two_rules(a: str, b: str, c: str, d: str, no: str, fact: str, denied: str, asked: str) -> bool:
    assert b == c
    assert no == denied
    return (fact, asked) == ((d, a) if no else (a, d))


LOGIC_RULES: dict[str, Callable[..., bool]] = {
    r"\w+ is (\d+) years old, and \w+ is (\d+)\. Is \w+ (\w+) than": lambda a, b, asked: (
        (int(a) > int(b)) == (asked == "older")
    ),
    r"A \w+ contains only (.*)\. Are there (\w+) in": lambda content, asked: asked in re.findall(r"\w+", content),
    r"Does the code ([\w-]+) contain the letter (\w)\?": lambda code, letter: letter in code,
    r"There is a rule .* whenever (.*), (.*)\. Right now (.*)\. Is it certain that (.*)\?": _rule,
    r"Does the word (\w+) come (\w+) the word (\w+)": lambda a, asked, b: (a < b) == (asked == "before"),
    r"Is it (true|false) that (\d+) is a multiple of (\d+)": lambda asked, n, of: (
        (int(n) % int(of) == 0) == (asked == "true")
    ),
    r"Is (\d+) \+ (\d+) an (\w+) number": lambda a, b, asked: (int(a) + int(b)) % 2 == ["even", "odd"].index(asked),
    r"Is (\d+) divisible by (\d+)": lambda a, b: int(a) % int(b) == 0,
    r"Does (\d+) / (\d+) leave a remainder": lambda a, b: int(a) % int(b) > 0,
    r"Is (\d+) times (\d+) (greater|less) than (\d+)": lambda a, b, asked, c: (
        (int(a) * int(b) > int(c)) == (asked == "greater")
    ),
    r"All (\w+) are (\w+)\. (All|No) \2 are (\w+)\. Does it follow that (.*) of the \1 is among the \4": (
        lambda a, b, given, c, asked: given == ("All" if asked == "every one" else "No")
    ),
    r"((?:It is false that |it is false that )+)\w+ (has|lacks) (\w+)\. Does \w+ (have|lack) \3": (
        lambda claim, given, _, asked: (claim.count("false") % 2 == 0) == (given[0] == asked[0])
    ),
    r"Does (\d+) \+ (\d+) lie between (\d+) and (\d+)": lambda a, b, low, high: (
        int(a) + int(b) in range(int(low) + 1, int(high))
    ),
    r"Today is (\w+)\. (?:Is|Was) it (\w+) (\d+) days (ago|from now)": _weekday,
    r"(\w+ is (?!\d).* than .*)": _ranked,
    r"Exactly those who are at least (\d+) years old (and|or) have a ticket may go on a ride\. "
    r"\w+ is (\d+) and has (a|no) ticket\. (May|Is) ": _entry,
    r"Is (\d+) x (\d+) (more|less) than (\d+) x (\d+)": lambda a, b, asked, c, d: (
        (int(a) * int(b) > int(c) * int(d)) == (asked == "more") and int(a) * int(b) != int(c) * int(d)
    ),
    r"Whenever (.*), (.*)\. Whenever (.*), (.*)\. Now (it is not true that )?(.*)\. "
    r"Is it certain that (it is not true that )?(.*)\?": _two_rules,
    r"A film starts at (\d+):(\d+) and lasts (\d+) minutes\. Is it (.*) at (\d+):(\d+)": _clock,
    r"\w+ wants (\d+) \w+ at (\d+) .* and (\d+) \w+ at (\d+) .* has (\d+) dollars\. Is this (.*)\?": (
        lambda a, p, b, q, has, asked: (int(a) * int(p) + int(b) * int(q) <= int(has)) == (asked == "enough")
    ),
    r"A lamp is (on|off).*\. \w+ presses (\d+) \w+, \w+ (\d+) \w+ and \w+ (\d+) \w+\. Is the lamp (on|off)": _lamp,
    r"A robot faces (\w+)\. It turns (.*)\. Does it face (\w+) now": _turns,
    r".* at least (\d+)\. \w+ has (\d+), (\d+) and (\d+) points\. Does \w+ (pass|fail)": lambda least, a, b, c, asked: (
        (int(a) + int(b) + int(c) >= 3 * int(least)) == (asked == "pass")
    ),
    r"A \w+ is under cup (\d) of three\. We swap the cups at (.*)\. Is the \w+ under cup (\d)": _cups,
}


def math_answer(question: str) -> str:
    (rule,) = [rule for words, rule in MATH_RULES.items() if re.search(words, question)]
    return str(Fraction(rule(*map(int, re.findall(r"\d+", question)))))


def logic_answer(question: str) -> str:
    found = [(match, rule) for pattern, rule in LOGIC_RULES.items() if (match := re.match(pattern, question))]
    assert len(found) == 1, f"{len(found)} rules match {question!r}"
    match, rule = found[0]
    return "yes" if rule(*match.groups()) else "no"
