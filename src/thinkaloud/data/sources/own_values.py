"""Values of a user's own rows as texts, lists of texts and chat turns."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow
from thinkaloud.data.sources.number_text import number_text
from thinkaloud.errors import type_name

CHATS = ("messages", "conversations", "conversation", "chat")
"""Columns of chat turns, read where there is no column with the question; the first one that a row has."""

_USER = ("user", "human")
_ASSISTANT = ("assistant", "gpt", "model", "bot")
_MAX_LITERAL = 100_000
"""Characters of a list in Python's notation that are read."""


def turns_of(values: Values) -> list[tuple[str, str]]:
    """The chat turns of a row as (role, text), roles `user` and `assistant`; empty for any other row.

    A turn is an object with `role` and `content`, or with `from` and `value`.
    """
    chat: Any = next((values[name] for name in CHATS if values.get(name)), None)
    if isinstance(chat, str):
        chat = _parsed(chat)
    if not isinstance(chat, list):
        return []
    found = []
    for turn in chat:
        if isinstance(turn, Mapping):
            role = str(turn.get("role") or turn.get("from") or "").casefold()
            role = "user" if role in _USER else "assistant" if role in _ASSISTANT else ""
            text = turn.get("content", turn.get("value"))
            if role and isinstance(text, str):
                found.append((role, text))
    return found


def from_chat(values: Values, question: str, answer: str) -> Values:
    """A row with its last user turn as `question` and its last assistant turn as `answer`, if it is a chat."""
    if question in values or not any(name in values for name in CHATS):
        return values
    turns = dict(turns_of(values))  # of equal roles the last one counts
    return {**values, question: turns.get("user"), answer: turns.get("assistant")}


def text_of(row: Values, column: str | None) -> str:
    """A value as text: whole numbers without `.0`, other numbers in full; empty for a missing value.

    Raises:
        InvalidRow: The value is not text, a number or a date.
    """
    value = row.get(column) if column else None
    match value:
        case None | "":
            return ""
        case bool() | str():
            return str(value)
        case float() if math.isnan(value):
            return ""
        case float():
            return number_text(value)
        case Decimal():
            return format(value.normalize(), "f") if value.is_finite() else str(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise InvalidRow(f"column {column}: bytes that are not UTF-8") from None
        case int() | date() | time():
            return str(value)
        case _:
            raise InvalidRow(f"column {column}: {type_name(value)} instead of text")


def texts_of(row: Values, column: str | tuple[str, ...] | None, reason: str) -> list[str]:
    """The texts of several columns, or of one that holds a list.

    A list may also be written as JSON or in Python's notation, or stand in the field `text` of an object.

    Args:
        column: One column, or one for each text; empty ones are left out.
        reason: Of the error.

    Raises:
        InvalidRow: The value is no list of texts.
    """
    if isinstance(column, tuple):
        return [text for name in column if (text := text_of(row, name)).strip()]
    value: Any = row.get(column) if column else None
    if isinstance(value, str) and value.strip():
        value = _parsed(value)
        if value is None:
            raise InvalidRow(reason)
    if isinstance(value, Mapping):
        value = value.get("text", "not a list")
    if value is None or value == "":
        return []
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise InvalidRow(reason)
    return [str(item) for item in value]


def _parsed(text: str) -> Any:
    """A value from JSON, or a list in Python's notation, as pandas writes it into CSV files; None for other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if not text.lstrip().startswith(("[", "{")) or len(text) > _MAX_LITERAL:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
