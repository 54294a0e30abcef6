"""Text that UTF-8 can hold, and text that can be shown safely."""

from __future__ import annotations

import unicodedata


def well_formed(text: str) -> str:
    """The text with each lone surrogate, which has no UTF-8 form, replaced by U+FFFD; surrogate pairs are joined.

    >>> well_formed("a\\ud800b"), well_formed("\\ud83d\\ude42") == "\\U0001f642"
    ('a\ufffdb', True)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def one_line(text: str) -> str:
    """The text on one line: white space is one space, and so is each character that cannot be printed.

    >>> one_line(" a\\n\\tb\\x1bc ")
    'a b c'
    """
    return "".join(ch if ch.isprintable() else " " for ch in " ".join(text.split()))


def printable(text: str, max_chars: int) -> str:
    """`text` truncated to `max_chars`, with characters that could hide or reorder text written as escapes.

    Control, format (bidirectional overrides, zero width), private and unassigned characters and lone surrogates become
    `⟨U+202E⟩`; line feeds and tabs stay. Time is linear in `max_chars`.

    >>> printable("a\\x1b[2Jb", 80)
    'a⟨U+001B⟩[2Jb'
    """
    shown = "".join(
        f"⟨U+{ord(ch):04X}⟩"
        if ch not in "\n\t" and unicodedata.category(ch) in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
        else ch
        for ch in text[:max_chars]
    )
    return shown if len(text) <= max_chars else f"{shown}\n[truncated for display: {len(text):,} characters in all]"
