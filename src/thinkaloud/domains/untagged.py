"""The final answer of a completion, read without the contract's tags.

A model that was never trained on the format may solve a task and write the answer in its own way. The first of these
that the text has is its answer:

1. the last `<answer>` block, closed or not;
2. the last `\\boxed{...}`, unless "the final answer is" follows;
3. the text after the last "answer is", "Answer:" or `####`;
4. by the kind of the gold answer: the last code block that defines something, the last option, the last yes or no, the
   last number, the last formula; otherwise the words of the last line that the question does not hold, or that line.

The task's verifier then decides, as for an answer in tags. The reader is generous about where an answer stands, but not
about what it says: of "3 or 4" it returns both numbers or nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise

from thinkaloud.domains.answer_kind import AnswerKind, expected_of
from thinkaloud.domains.base import Domain
from thinkaloud.domains.choices import LETTERS, label_alone, label_and_rest, labels_inside, resolve_answer
from thinkaloud.domains.polarity import NO, YES, read_polarity
from thinkaloud.domains.short_text import Token, tokens
from thinkaloud.domains.text import plain, singular
from thinkaloud.domains.values.kinds import Number, Text, Unread
from thinkaloud.domains.values.reader import read
from thinkaloud.domains.word_classes import FUNCTION_WORDS
from thinkaloud.prompt.chat_templates import ANSWER_PLACEHOLDER
from thinkaloud.prompt.parse import Tags
from thinkaloud.records import Task

MAX_CHARS = 16_000
"""The end of a completion that is read, for all kinds but code."""
MAX_CODE = 100_000
MAX_SENTENCES = 40

_NEW_TASK = re.compile(r"^[ \t]*(?:Task|Question|Q|User|Human)\s*:|<\|im_start\|>|<start_of_turn>", re.MULTILINE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_FINAL = re.compile(r"\bfinal answer is\b(?=[^.\n]*[\d$\\])", re.IGNORECASE)
_FORMULA = re.compile(r"\$([^$\n]+)\$|\\\(([^$\n]+?)\\\)|\\\[([^$\n]+?)\\\]")
_SAID = re.compile(
    r"\banswer\b(?:[^.,\n:=]{0,40}?\b(?:is|was|would be)\b|[\s*_]{0,4}[:=])[\s*_:]{0,6}"
    r"|\b(?:correct|right|best) (?:option|choice)\b[^.,\n:=]{0,20}?(?:\bis\b|:)[\s*_:]{0,6}"
    r"|####\s*(?=[-$\d\\])",
    re.IGNORECASE,
)
_OR = re.compile(r"\b(?:or|versus|vs|maybe|perhaps|possibly)\b", re.IGNORECASE)
_RANGE = re.compile(r"\b(?:or|and|to|versus|vs|maybe|perhaps|possibly)\b|^\s*[-–—/]\s*$", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|never|cannot|\w{2,8}n['’]t)(?:\s+\w+){0,2}\s*\W{0,3}$", re.IGNORECASE)
_MARKS_ALONE = re.compile(r"[\s*_`$\\\[\](){}:.-]*")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_POLAR = re.compile(rf"\b(?:{'|'.join(sorted(YES | NO))})\b", re.IGNORECASE)
_FIRST_WORD = re.compile(r"[\s*_\"]*(yes|no|true|false)\b[\s*_\"]*(?:[.,!;:–—-]|$|\n)", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.,^])[-−]?[$€£]?(?:\\[dt]?frac\s*\{-?\d+\}\s*\{\d+\}|(?:\d+\s+)?\d+\s*/\s*\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?"
    r"|\d+(?:\.\d+)?|\.\d+)(?![\d/]|\.\d|(?:st|nd|rd|th)\b)(?:\s?\\?%)?"
)
_WORDS = re.compile(r"[^\W\d_][^\W\d_ '’-]*(?:[ '’-][^\W\d_]+){0,5}")
_BRACKETED = re.compile(r"\([^()]*\)")
_NEGATION = re.compile(r"\b(?:not|never|no|nor|neither|cannot|\w{2,8}n['’]t)\b", re.IGNORECASE)
_UNIT = re.compile(r"(?:\s?[A-Za-z°µΩ][\w°/²³^*]*){1,3}")
_FENCED = re.compile(r"^[ \t]{0,3}(```+|~~~+)[^\n`]*\n(.*?)(?:^[ \t]{0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_DEFINES = re.compile(r"^\s*(?:async def|def|class)\s", re.MULTILINE)
_CODE_LINE = re.compile(
    r"[ \t]|[@#)\]}]|(?:async|def|class|import|from|if|for|while|try|except|with|return|print|assert)\b|\w+\s*="
)


def read_answer_without_tags(text: str, task: Task, domain: Domain, tags: Tags | None = None) -> str | None:
    """The final answer of a completion, whether or not it keeps the format.

    Args:
        text: The completion, hostile perhaps, and possibly cut off.
        task: Its task.
        domain: The task's domain, a verifiable one.
        tags: The contract's; the default ones when absent.

    Returns:
        The answer for the domain's scorer; None where the text has none. Linear in the text.
    """
    kind = expected_of(task, domain).kind
    text = _own_text(text[-MAX_CODE:] if kind is AnswerKind.CODE else text[-MAX_CHARS:])
    block = _last_block(text, tags or Tags())
    if block is not None:
        answer, closed = block
        if kind is AnswerKind.CODE:
            return _code(answer) or answer
        return answer if closed or "\n" not in answer else _read(answer, kind, task) or answer
    if kind is AnswerKind.CODE:
        return _code(text)
    return _read(text, kind, task)


def without_code(text: str) -> str:
    """The text without its code blocks."""
    return _FENCED.sub("", text)


def _own_text(text: str) -> str:
    """The text up to where the model goes on with a question of its own."""
    new = next((match for match in _NEW_TASK.finditer(text) if text[: match.start()].strip()), None)
    return text[: new.start()] if new else text


def _last_block(text: str, tags: Tags) -> tuple[str, bool] | None:
    """The content of the last answer block that has one, and whether it is closed."""
    name = re.escape(tags.answer)
    pieces = re.split(rf"<\s*{name}\s*>", text, flags=re.IGNORECASE)
    end = re.compile(rf"<\s*/\s*{name}\s*>|</?\s*{re.escape(tags.reasoning)}\s*>", re.IGNORECASE)
    for piece in reversed(pieces[1:]):
        closing = end.search(piece)
        content = (piece[: closing.start()] if closing else piece).strip()
        if content and content != ANSWER_PLACEHOLDER:
            return content, closing is not None
    return None


def _read(text: str, kind: AnswerKind, task: Task) -> str | None:
    if (boxed := _boxed(text)) is not None and not _FINAL.search(text, text.rfind("\\boxed")):
        return boxed
    if (said := _said(text)) is not None:
        return _short(said, kind, task)
    if kind is AnswerKind.CHOICE:
        return _last_option(text, task.choices)
    if kind is AnswerKind.POLARITY:
        return _last_polarity(text)
    if kind is AnswerKind.NUMBER:
        return _last_number(text, task)
    if not isinstance(read(task.answer), Text | Unread) and (formula := _last_formula(text)):
        return formula
    lines = [line for line in text.splitlines() if not _MARKS_ALONE.fullmatch(line)]
    if not lines:
        return None
    named = _new_words(lines[-1], task.question) if _WORDS.fullmatch(task.answer.strip()) else None
    return named or lines[-1].strip()


def _last_formula(text: str) -> str | None:
    """The last formula of the last sentence that has one: none where it is denied or offered with another."""
    for sentence in _sentences_from_the_end(text):
        if formulas := _FORMULA.findall(sentence):
            hedges = _OR.search(sentence) or _NEGATION.search(sentence) or sentence.rstrip("*_ ").endswith("?")
            return None if hedges else "".join(formulas[-1]).strip()
    return None


def _new_words(sentence: str, question: str) -> str | None:
    """The one run of words in a sentence that says something beyond the question: `Iron` in "Fe stands for Iron."; None
    where there are several, or one is denied or offered with another."""
    flat = _BRACKETED.sub(" ", sentence)
    if _OR.search(flat) or _NEGATION.search(flat):
        return None
    known = {singular(token.word) for token in tokens(question)} | FUNCTION_WORDS
    runs: list[list[Token]] = [[]]
    for token in tokens(flat):
        if token.word in known or singular(token.word) in known:
            runs.append([])
        else:
            runs[-1].append(token)
    found = [run for run in runs if run]
    return flat[found[0][0].start : found[0][-1].end] if len(found) == 1 else None


def _boxed(text: str) -> str | None:
    """The content of the last box; with "or" or "and" between them, that of the last two."""
    found: list[tuple[int, int, str]] = []
    for match in list(_BOXED.finditer(text))[-4:]:
        depth, end = 1, match.end()
        while end < min(len(text), match.end() + 2_000) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not depth:
            found.append((match.start(), end, text[match.end() : end - 1].strip()))
    if len(found) > 1:
        (_, before, first), (after, _, last) = found[-2:]
        gap = text[before:after]
        if first != last and len(gap) < 40 and (joint := re.search(r"\b(?:or|and)\b", gap)):
            return f"{first} {joint[0]} {last}"
    return found[-1][2] if found and found[-1][2] else None


def _said(text: str) -> str | None:
    """The sentence after the last "answer is"; from the one before where "or" joins them."""
    marks = list(_SAID.finditer(text))
    while marks:
        last = marks.pop()
        start = last.end()
        if marks and start - marks[-1].end() < 100 and _OR.search(text[marks[-1].end() : last.start()]):
            start = marks[-1].end()
            return " ".join(text[start : start + 200].split())
        for line in text[start : start + 2_000].splitlines():
            if not _MARKS_ALONE.fullmatch(line):
                return _SENTENCE.split(line.strip(), maxsplit=1)[0].strip("* ")
    return None


def _short(said: str, kind: AnswerKind, task: Task) -> str:
    """A sentence that states the answer, without the words around it where they hide it from the verifier."""
    if kind is AnswerKind.CHOICE and resolve_answer(said, task.choices).index is None:
        head = re.split(r"\b(?:because|since|as)\b|,", said, maxsplit=1)[0]
        return head if resolve_answer(head, task.choices).index is not None and not _OR.search(said) else said
    if kind is AnswerKind.NUMBER and not isinstance(read(said), Number):
        numbers = list(_NUMBER.finditer(said))
        if numbers and not _hedges(said, numbers, 0):
            return _with_unit(said, numbers[0], task)
    return said


def _last_option(text: str, choices: tuple[str, ...]) -> str | None:
    """The letter of the option that the text picks: in its first line, or in the last sentence that picks one.

    Lines that list several options by their labels pick none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    labels = [_label(line, choices) for line in lines]
    listed = {label for label in labels if label is not None}
    if labels and labels[0] is not None and len(listed) == 1:
        pick = resolve_answer(lines[0], choices)
        return None if pick.named > 1 else LETTERS[labels[0]]  # the label of one option, and the text of another
    if len(listed) > 1:
        text = "\n".join(line for line, label in zip(lines, labels, strict=True) if label is None)
    for sentence in _sentences_from_the_end(text):
        pick = resolve_answer(sentence, choices)
        if pick.index is not None:
            return LETTERS[pick.index]
        if pick.named > 1 and _OR.search(sentence):
            return None
    return None


def _label(line: str, choices: tuple[str, ...]) -> int | None:
    """The option whose label a line begins with."""
    flat = plain(line)
    if (alone := label_alone(flat, choices)) is not None:
        return alone
    labelled = label_and_rest(flat, choices)
    return labelled[0] if labelled and not labels_inside(labelled[1], choices) - {labelled[0]} else None


def _last_polarity(text: str) -> str | None:
    """`yes` or `no`: what the last plain sentence says, unless the first word says the opposite."""
    first = _FIRST_WORD.match(text)
    said = {read_polarity(first[1]).value} if first else set()
    for sentence in _sentences_from_the_end(text):
        words = {word.casefold() for word in _POLAR.findall(sentence)}
        if words & YES and words & NO and _OR.search(sentence):
            return None
        value = read_polarity(sentence).value if words else None
        if value is not None:
            said.add(value)
            break
    return ("yes" if said.pop() else "no") if len(said) == 1 else None


def _last_number(text: str, task: Task) -> str | None:
    """The last number that is stated: none where it is one of several offered, denied or asked."""
    for sentence in _sentences_from_the_end(text):
        numbers = list(_NUMBER.finditer(sentence))
        if not numbers:
            continue
        if _hedges(sentence, numbers, len(numbers) - 1) or sentence.rstrip("*_ ").endswith("?"):
            return None
        return _with_unit(sentence, numbers[-1], task)
    return None


def _hedges(sentence: str, numbers: list[re.Match[str]], at: int) -> bool:
    """Whether the number at `at` is denied, or offered with the one beside it ("3 or 4", "3 to 4")."""
    near = [numbers[i] for i in (at - 1, at, at + 1) if 0 <= i < len(numbers)]
    gaps = [sentence[one.end() : other.start()] for one, other in pairwise(near)]
    offered = any(len(gap) < 30 and _RANGE.search(gap) for gap in gaps if "=" not in gap)
    return offered or _DENIED.search(sentence[: numbers[at].start()][-40:]) is not None


def _with_unit(sentence: str, number: re.Match[str], task: Task) -> str:
    """The number, with the unit after it where the gold answer has one."""
    gold = read(task.answer)
    if isinstance(gold, Number) and gold.unit and (unit := _UNIT.match(sentence, number.end())):
        words = unit[0].split(" ")
        for count in range(len(words), 0, -1):
            value = read(whole := number[0] + " ".join(words[:count]))
            if isinstance(value, Number) and value.unit:
                return whole
    return number[0]


def _sentences_from_the_end(text: str) -> list[str]:
    found = [sentence for sentence in _SENTENCE.split(text) if sentence.strip()]
    return found[: -MAX_SENTENCES - 1 : -1]


def _code(text: str) -> str | None:
    """The last code block that defines something, else the last one, else the lines from the first definition on."""
    blocks = [match[2] for match in _FENCED.finditer(text) if match[2].strip()]
    if blocks:
        return next((block for block in reversed(blocks) if _DEFINES.search(block)), blocks[-1])
    lines = text.splitlines()
    starts = [at for at, line in enumerate(lines) if re.match(r"(?:async def|def|class|import|from|@)\b|@", line)]
    if not starts:
        return None
    end = starts[0]
    while end < len(lines) and (not lines[end].strip() or _CODE_LINE.match(lines[end])):
        end += 1
    return "\n".join(lines[starts[0] : end]) or None
