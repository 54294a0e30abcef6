"""Text that UTF-8 can hold."""

from __future__ import annotations


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
