"""Why our verdict on a pair of another project's tests differs from theirs: kinds found by inspection, told by rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from peer_suites import Pair

Side = Literal["ours", "theirs", "open"]

_ROUNDED = re.compile(r"\d*\.\d+")
_UNFINISHED = re.compile(
    r"^\W*Answer \\\( \(\d|\\frac\d\{\d\}|^\$-x\b|\\end\{pmatrix\} *\+? *\\begin"  # sums, 3/3, -x > -1, products
)
_BROKEN = re.compile(r"\\\\\\?(?:left|[dt]?frac|le\b|boxed|text)|\x0c|\\zzz|\\\$ =|\{, \}|(?<!\$)\$\\boxed\{28 p[^$]*$")
_DECIMAL_COMMA = re.compile(r"(?<![\d,(])\d+,\d\d?(?![\d,)])|^0,\d+$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A pair as it stands, with final answers, and our verdict on the latter: paid or not, and why."""

    pair: Pair
    final: Pair
    paid: bool
    why: str

    @property
    def texts(self) -> str:
        return f"{self.pair.gold}\n{self.pair.answer}"


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of disagreement. `side`: whose verdict is wrong; `open`: both can be defended."""

    name: str
    side: Side
    holds: Callable[[Disagreement], bool]


def cause_of(found: Disagreement) -> Cause:
    """The first cause that holds; where none does, the fault is taken as ours."""
    return next(cause for cause in CAUSES if cause.holds(found))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def _is_rounded(found: Disagreement) -> bool:
    """Decimals that are close to the gold answer's, or that stand for its fractions."""
    gold, answer = _numbers(found.final.gold), _numbers(found.final.answer)
    if not _ROUNDED.search(found.final.gold + found.final.answer):
        return False
    if len(gold) != len(answer):
        return "frac" in found.final.gold
    return all(abs(a - b) <= 0.01 * max(1, abs(a)) for a, b in zip(gold, answer, strict=True))


def _has(pattern: str | re.Pattern[str], text: str) -> bool:
    return re.search(pattern, text) is not None


def _num_boxes(text: str) -> int:
    return text.count("\\boxed")


def _has_same_words(found: Disagreement) -> bool:
    return sorted(found.pair.gold.split()) == sorted(found.pair.answer.split())


def _signs_set_aside(found: Disagreement) -> bool:
    return found.pair.gold.replace("-", "+") == found.pair.answer.replace("-", "+")


CAUSES = (
    Cause("their test disables the verifier", "theirs", lambda d: d.paid and d.pair.gold == d.pair.answer),
    Cause("they refuse a line break inside $ $", "theirs", lambda d: d.paid and " \n 9 \n " in d.pair.answer),
    Cause("they set a sign aside", "theirs", _signs_set_aside),
    Cause("a set for a pair", "theirs", lambda d: d.why.endswith("a set, not a tuple")),
    Cause("they refuse, or grade, a sentence", "open", lambda d: d.paid and d.pair.answer.endswith(d.pair.gold)),
    Cause("a part of a malformed number is read", "ours", lambda d: d.paid and _has(r"\d\.\d+\.\d", d.pair.answer)),
    Cause("broken LaTeX", "open", lambda d: _has(_BROKEN, d.texts) or '\\"' in d.final.answer),
    Cause("another language", "open", lambda d: not d.pair.english),
    Cause("thinking tags of another format", "open", lambda d: "<think>" in d.pair.answer),
    Cause("reasons and a hedge before the option", "open", lambda d: d.pair.options and "I think" in d.pair.answer),
    Cause("which of several boxes", "open", lambda d: max(map(_num_boxes, (d.pair.gold, d.pair.answer))) > 1),
    Cause("rounded without a request", "open", _is_rounded),
    Cause("decimal comma or list", "open", lambda d: _has(_DECIMAL_COMMA, d.texts)),
    Cause("factorial or exclamation mark", "open", lambda d: _has(r"\d!$", d.pair.answer)),
    Cause("an approximation, or a false equation", "open", lambda d: _has(r"^.{1,50}\\approx", d.pair.answer)),
    Cause("an unfinished calculation", "open", lambda d: _has(_UNFINISHED, d.pair.answer)),
    Cause("percent or number: no question given", "open", lambda d: "%" in d.texts and "%" not in d.final.gold),
    Cause("a value given twice", "open", lambda d: d.why.endswith("another number of values")),
    Cause("real or complex variable", "open", lambda d: "|z|" in d.pair.gold),
    Cause(
        "names left out, in another order", "open", lambda d: d.pair.gold.count("=") > 1 and "=" not in d.pair.answer
    ),
    Cause("leading zeros", "open", lambda d: _has(r"(?<!\d)00\d", d.pair.answer)),
    Cause("several right answers: needs the puzzle", "open", _has_same_words),
    Cause("the final answer is not marked", "open", lambda d: len(d.final.answer) > 200),
    Cause("sum notation is not read", "ours", lambda d: "\\sum" in d.texts),
    Cause("plural set aside in a word puzzle", "ours", lambda d: d.paid and not _has(r"\d", d.texts)),
    Cause("not explained", "ours", lambda d: True),
)
