"""Readable diffs: white space and invisible characters are shown."""

from __future__ import annotations

import difflib
import unicodedata
from typing import Any

_MARKS = {" ": "·", "\n": "⏎", "\t": "→", "\r": "␍"}


def visible(text: str, *, break_lines: bool = True) -> str:
    """`text` with every invisible character shown.

    Space is `·`, line feed `⏎` (followed by a real one where `break_lines`), tab `→`, carriage return `␍`; any other
    white space, control, format or unassigned character is `⟨U+200B⟩`.

    >>> visible("a b\\tc", break_lines=False)
    'a·b→c'
    """
    shown = []
    for ch in text:
        if ch in _MARKS:
            shown.append(_MARKS[ch] + ("\n" if ch == "\n" and break_lines else ""))
        elif ch.isspace() or unicodedata.category(ch) in ("Cc", "Cf", "Cn", "Co", "Cs"):
            shown.append(f"⟨U+{ord(ch):04X}⟩")
        else:
            shown.append(ch)
    return "".join(shown)


def diff_texts(expected: str, found: str) -> list[str]:
    """Lines of a diff, `- ` expected and `+ ` found, unchanged lines left out, white space visible."""
    lines = difflib.ndiff(visible(expected).splitlines(), visible(found).splitlines())
    return [line.rstrip() for line in lines if line[:2] in ("- ", "+ ")]


def diff_fields(expected: dict[str, object], found: dict[str, object]) -> str:
    """A diff of two flat records, field by field; texts line by line, other values side by side.

    Args:
        expected: The saved record.
        found: The current record.

    Returns:
        One block for each field that differs: its name, then `- ` and `+ ` lines. Empty where nothing differs.
    """
    blocks = []
    for name in [*expected, *(key for key in found if key not in expected)]:
        old, new = expected.get(name), found.get(name)
        if old == new:
            continue
        if isinstance(old, str) and isinstance(new, str):
            lines = diff_texts(old, new)
        else:
            lines = [f"- {_short(old)}", f"+ {_short(new)}"]
        blocks.append("\n".join([f"{name}:", *(f"  {line}" for line in lines)]))
    return "\n".join(blocks)


def diff_ids(expected: list[int], found: list[int], num_context: int = 4) -> str:
    """Where two lists of token ids first differ: the position and a few ids on either side.

    >>> diff_ids([1, 2, 3], [1, 2, 4, 5])
    'token 2: expected 1 2 [3], found 1 2 [4 5] (3 and 4 tokens)'
    """
    at = next((i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), None)
    if at is None:
        if len(expected) == len(found):
            return ""
        at = min(len(expected), len(found))

    def around(ids: list[int]) -> str:
        before, after = ids[max(0, at - num_context) : at], ids[at : at + num_context]
        return " ".join([*map(str, before), f"[{' '.join(map(str, after))}]"])

    return f"token {at}: expected {around(expected)}, found {around(found)} ({len(expected)} and {len(found)} tokens)"


def _short(value: object) -> str:
    text = visible(str(value), break_lines=False) if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def diff_records(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """A diff of two contract records: fields, the first probe prompt whose text differs, ids where texts agree."""
    blocks = [diff_fields(_flat(expected.get("contract", {})), _flat(found.get("contract", {})))]
    for old, new in zip(expected.get("probes", []), found.get("probes", []), strict=False):
        title = f"prompt of {visible(new['question'], break_lines=False)!r}:"
        if old["prompt"] != new["prompt"]:
            blocks.append(diff_fields({title[:-1]: old["prompt"]}, {title[:-1]: new["prompt"]}))
            break  # one prompt is enough to show the difference
        if old["ids"] != new["ids"]:
            blocks.append(f"{title}\n  {diff_ids(old['ids'], new['ids'])}")
    return "\n".join(block for block in blocks if block)


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": list(v) if isinstance(v, tuple) else v for key, v in value.items()}
        else:
            flat[name] = value
    return flat
