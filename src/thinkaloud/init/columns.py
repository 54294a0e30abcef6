"""Which column of a file is what: by its name, then by what it holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow
from thinkaloud.data.sources.own_values import CHATS, from_chat, text_of, texts_of
from thinkaloud.domains.base import quote
from thinkaloud.errors import UserError, nearest
from thinkaloud.init.sample import Sample

NAMES = {
    "question": (
        *("question", "prompt", "instruction", "query", "problem", "task", "exercise", "q", "input", "ask"),
        *("frage", "aufgabe", "pregunta", "domanda", "pergunta"),
    ),
    "answer": (
        *("final_answer", "correct_answer", "gold_answer", "gold", "answer", "answerkey", "ground_truth", "target"),
        *("expected", "label", "output", "response", "completion", "reply", "solution", "result", "correct", "a"),
        *("antwort", "lösung", "respuesta", "réponse", "reponse", "risposta", "resposta"),
    ),
    "rationale": (
        *("rationale", "reasoning", "explanation", "chain_of_thought", "cot", "thought", "thoughts", "thinking"),
        *("justification", "working", "steps", "why", "support", "solution", "begründung", "erklärung"),
    ),
    "choices": ("choices", "options", "alternatives", "candidates"),
    "tests": ("tests", "test_list", "test_cases", "unit_tests", "assertions", "asserts"),
    "setup": ("setup", "test_setup_code", "setup_code"),
    "context": ("context", "passage", "paragraph", "background", "article", "document", "input"),
}
"""Usual names by role, the likeliest first; compared in lower case, with `_` for other characters."""

_OTHER = {
    *("id", "idx", "index", "no", "nr", "number", "uuid", "key", "source", "origin", "category", "topic", "subject"),
    *("type", "level", "difficulty", "grade", "split", "lang", "language", "url", "link", "date", "time", "author"),
    *("license", "licence", "tags", "tag", "version", "name", "title", "file", "count", "score", "unnamed", "comment"),
}
"""Words of columns that are neither question nor answer."""

_OPTIONS = re.compile(r"(?:option|choice|answer|opt|op|ans)?_?([a-h]|[0-8])")
_MARKS = ("####", "</think>", "Final answer:", "The answer is", "Answer:")
"""Marks before the answer, in columns that hold the rationale too."""
_LOOKED_AT = 200
"""Rows that the content of a column is judged from."""
_MOST = 0.9
"""The share of rows that counts as all of them, a few exceptions aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns by role; the fields are those of a source in a recipe.

    Attributes:
        chat: The column of chat turns that question and answer come from; empty for others.
        why: The reason for a role, by its name.
        unused: The other columns.
    """

    question: str
    answer: str
    rationale: str | None = None
    choices: str | tuple[str, ...] | None = None
    tests: str | None = None
    setup: str | None = None
    context: str | None = None
    answer_after: str | None = None
    chat: str = ""
    why: dict[str, str]
    unused: tuple[str, ...] = ()


def find_columns(sample: Sample, given: dict[str, str | None]) -> Columns:
    """The role of each column.

    Args:
        given: Columns that the user named, by role; an empty name: there is none.

    Raises:
        UserError: A named column does not exist, or question or answer are not found.
    """
    columns, rows = sample.columns, sample.rows[:_LOOKED_AT]
    for role, name in given.items():
        if name and name not in columns:
            raise UserError(
                f"--{role}: expected a column of {sample.path}, found {quote(name)}{nearest(name, columns)}"
            )
    chat = next((name for name in CHATS if name in columns), "") if not given["question"] else ""
    if chat and not any(NAMES["question"][0] == _plain(name) for name in columns):
        return _of_chat(sample, chat, given)
    if len(columns) < 2:
        raise UserError(
            f"expected at least two columns in {sample.path}, a question and an answer; found one: "
            f"{quote(columns[0]) if columns else 'none'}; check the delimiter, and the line of column names"
        )
    _check_header(sample, given)
    return _Search(columns, rows, given).found()


def _check_header(sample: Sample, given: dict[str, str | None]) -> None:
    """Raises UserError where the first line of a CSV file is a row and names no columns."""
    names = sample.columns
    known = {word for role in NAMES.values() for word in role} | _OTHER
    if any(given.values()) or any(_plain(name) in known or set(_plain(name).split("_")) & known for name in names):
        return
    odd = next((name for name in names if name.rstrip().endswith("?") or re.fullmatch(r"[\s\d.,$€%-]+", name)), None)
    if odd is not None:
        raise UserError(
            f"expected column names in the first line of {sample.path}, found {quote(odd)}; add a line such as "
            "question,answer"
        )


def _of_chat(sample: Sample, chat: str, given: dict[str, str | None]) -> Columns:
    answer = given["answer"] or "answer"
    rows = [from_chat(row, "question", answer) for row in sample.rows[:_LOOKED_AT]]
    return Columns(
        question="question",
        answer=answer,
        rationale=given["rationale"] or None,
        answer_after=_mark([_text(row, answer) for row in rows]),
        chat=chat,
        why={"question": f"the last user turn of {quote(chat)}", "answer": f"the last assistant turn of {quote(chat)}"},
        unused=tuple(name for name in sample.columns if name != chat),
    )


class _Search:
    """The roles of columns, found one after the other; a column has one role."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Values], given: dict[str, str | None]) -> None:
        self.columns, self.rows, self.given = columns, rows, given
        self.roles: dict[str, str] = {}
        self.why: dict[str, str] = {}
        for role, name in given.items():
            if name:
                self._take(role, name, "as given")

    def found(self) -> Columns:
        options = self._options()
        for role in ("tests", "setup", "question", "answer", "choices", "rationale", "context"):
            if role not in self.roles and self.given.get(role) != "" and (name := self._by_name(role, options)):
                self._take(role, name, f"named {quote(name)}")
        self._by_content(options)
        if "tests" in self.roles and not self._holds_lists(self.roles["tests"]):
            del self.roles["tests"]
        choices = self.roles.get("choices")
        if choices is not None and not self._holds_lists(choices) and self.given.get("choices") is None:
            choices = self.roles.pop("choices", None) and None
        mark = _mark([_text(row, self.roles["answer"]) for row in self.rows])
        used = {*self.roles.values(), *(options if choices is None else ())}
        return Columns(
            question=self.roles["question"],
            answer=self.roles["answer"],
            rationale=self.roles.get("rationale"),
            choices=choices or options or None,
            tests=self.roles.get("tests"),
            setup=self.roles.get("setup") if "tests" in self.roles else None,
            context=self.roles.get("context"),
            answer_after=mark,
            why=self.why,
            unused=tuple(name for name in self.columns if name not in used),
        )

    def _take(self, role: str, name: str, why: str) -> None:
        self.roles[role], self.why[role] = name, why

    def _free(self, options: Sequence[str] = ()) -> list[str]:
        return [name for name in self.columns if name not in self.roles.values() and name not in options]

    def _by_name(self, role: str, options: Sequence[str]) -> str | None:
        """The free column whose whole name is the likeliest one of a role; else one with such a word in its name."""
        free = [name for name in self._free(options) if self._has_text(name)]
        for name in (name for word in NAMES[role] for name in free if _plain(name) == word):
            return name
        for word in NAMES[role]:
            for name in free:
                parts = _plain(name).split("_")
                if len(word) > 1 and word in parts and not _OTHER & set(parts):
                    return name
        return None

    def _has_text(self, name: str) -> bool:
        return any(value is not None and value != "" and value != [] for value in (row.get(name) for row in self.rows))

    def _holds_lists(self, name: str) -> bool:
        """Whether most values of a column are lists of texts."""
        lists = 0
        for row in self.rows:
            with suppress(InvalidRow):
                lists += bool(texts_of(row, name, ""))
        return lists >= len(self.rows) / 2

    def _options(self) -> tuple[str, ...]:
        """Columns with one option each: A, B, C, or option_1, option_2, ..."""
        if self.given.get("choices") is not None:
            return ()
        free = [name for name in self._free() if _OPTIONS.fullmatch(_plain(name))]
        starts: dict[str, list[str]] = {}
        for name in free:
            starts.setdefault(_plain(name)[:-1], []).append(name)
        most = max(starts.values(), key=len, default=[])
        return tuple(most) if len(most) >= 3 else ()

    def _by_content(self, options: Sequence[str]) -> None:
        """Fill question and answer where no name tells: questions are long or end in `?`, answers are what is left."""
        usable = [name for name in self._free(options) if self._is_content(name)]
        texts = {name: [_text(row, name) for row in self.rows] for name in usable}
        if "question" not in self.roles and usable:
            asked = [
                name for name in usable if sum(text.rstrip().endswith("?") for text in texts[name]) * 2 > len(self.rows)
            ]
            name = asked[0] if asked else max(usable, key=lambda name: sum(map(len, texts[name])))
            self._take("question", name, "its texts end in a question mark" if asked else "it has the longest texts")
            usable.remove(name)
        if "answer" not in self.roles and len(usable) == 1:
            self._take("answer", usable[0], "the only other column with content")
        for role in ("question", "answer"):
            if role not in self.roles:
                raise UserError(
                    f"expected a column with the {'gold answers' if role == 'answer' else 'questions'}, found columns "
                    f"{', '.join(quote(name) for name in self.columns[:20])}; name it with --{role} COLUMN"
                )

    def _is_content(self, name: str) -> bool:
        """Whether a column may hold questions or answers: no number of the row, no constant, no other usual column."""
        texts = [_text(row, name).strip() for row in self.rows]
        filled = sum(map(bool, texts)) * 2 >= len(texts)
        constant = len(texts) > 3 and len(set(filter(None, texts))) == 1
        return filled and not constant and not _is_numbering(texts) and not set(_plain(name).split("_")) & _OTHER


def _is_numbering(texts: Sequence[str]) -> bool:
    """Whether texts are numbers that count up by one."""
    if len(texts) < 2 or not all(text.isdecimal() and len(text) < 19 for text in texts):
        return False
    return all(int(text) == int(texts[0]) + place for place, text in enumerate(texts))


def _mark(answers: Sequence[str]) -> str | None:
    """The mark before the answer that nearly all of a column's texts have, with text before it."""
    for mark in _MARKS:
        if answers and sum(bool(text.rpartition(mark)[0].strip()) for text in answers) >= _MOST * len(answers):
            return mark
    return None


def _text(row: Values, name: str) -> str:
    """A value as text; empty where it is none."""
    try:
        return text_of(row, name)
    except InvalidRow:
        return ""


def _plain(name: str) -> str:
    """A column's name in lower case, words joined by `_`.

    >>> _plain(" Correct Answer (en)")
    'correct_answer_en'
    """
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")
